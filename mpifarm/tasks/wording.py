"""The sentences in which a person is told what has changed in a list.

The rule: a handful of them. The first lines that are not what they were are told word by word, all else in numbers, with
the places of the first. They can stand in one line, joined by semicolons.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from mpifarm.settings import Each
from mpifarm.tasks.changes import Change, What, common_head
from mpifarm.tasks.check import printable, shown
from mpifarm.texts import shown as printed

WORD_BY_WORD = 3
MOST_OF_A_TEMPLATE = 120  # characters
_PLACES = 4
_REMEMBERED = 1024  # places of a kind
_CONTEXT = 20  # characters before a difference

_ALIKE = (What.CHANGED, What.COMMENTED)


def sentences(changes: Iterable[Change]) -> list[str]:
    """Return what to say."""
    singles: list[Change] = []
    tallies = {what: _Tally() for what in What}
    for change in changes:
        if change.what not in _ALIKE or change.count > 1:
            tallies[change.what].add(change)
            continue
        singles = sorted([*singles, change], key=lambda one: one.first)
        if len(singles) > WORD_BY_WORD:
            last = singles.pop()
            tallies[last.what].add(last)
    more = " more" if singles else ""
    said = [
        *map(_word_by_word, singles),
        tallies[What.CHANGED].said(f"1{more} line has changed", "%d" + more + " lines have changed"),
        tallies[What.COMMENTED].said(f"1{more} line is a comment now", "%d" + more + " lines are comments now"),
        _gone(tallies[What.GONE]),
        _new(tallies[What.NEW]),
        tallies[What.MOVED].said("1 line has moved", "%d lines have moved"),
        tallies[What.NO_TASK_NEW].said("1 line without a task is new", "%d lines without a task are new"),
        tallies[What.NO_TASK_GONE].said("1 line without a task is gone", "%d lines without a task are gone", places=False),
    ]
    return [sentence for sentence in said if sentence]


def option(each: Each, start: int = 0) -> str:
    """Return the options that say how arguments become commands, as they are typed; a long template from *start* on."""
    template = each.template if len(each.template) <= MOST_OF_A_TEMPLATE or not start else f"...{each.template[start:]}"
    given = ["--each", shlex.quote(printed(template, MOST_OF_A_TEMPLATE))]
    if each.colsep is not None:
        given += ["--colsep", shlex.quote(printed(each.colsep, MOST_OF_A_TEMPLATE))]
    return " ".join([*given, *(["--header"] if each.header else [])])


def another_each(then: Each | None, now: Each | None) -> list[str]:
    """Return what to say if arguments became other commands then."""
    if then is None or now is None or replace(then, elements=now.elements) == now:
        return []
    start = max(0, common_head(then.template, now.template) - _CONTEXT)
    return [f"{option(then, start)} has become {option(now, start)}"]


@dataclass(slots=True)
class _Tally:
    """Changes of a kind: how many, and where the first ones are."""

    count: int = 0
    first: list[Change] = field(default_factory=list)

    def add(self, change: Change) -> None:
        """Count it."""
        self.count += change.count
        self.first.append(change)
        if len(self.first) > 2 * _REMEMBERED:
            self.first = sorted(self.first, key=lambda one: one.first)[:_REMEMBERED]

    def said(self, one: str, more: str, places: bool = True) -> str:
        """Return what to say of them; nothing if there are none."""
        if not self.count:
            return ""
        return (one if self.count == 1 else more % self.count) + (f" ({self.places()})" if places else "")

    def places(self) -> str:
        """Return where the first ones are, as 3, 7-9, 12, ..."""
        runs: list[list[int]] = []
        for change in sorted(self.first, key=lambda one: one.first):
            if runs and change.first == runs[-1][1] + 1:
                runs[-1][1] = change.last
            else:
                runs.append([change.first, change.last])
        words = [f"{first}" if first == last else f"{first}-{last}" for first, last in runs[:_PLACES]]
        return ", ".join([*words, *(["..."] if len(runs) > _PLACES else [])])


def _word_by_word(change: Change) -> str:
    place = f"line {change.first}"
    if change.what is What.COMMENTED:
        return f"{place} was {shown(change.old)}, and is a comment now"
    old, new = printable(change.old), printable(change.new)
    if old == new:
        return f"{place}, {shown(change.old)}, was written with other bytes, which do not show"
    start = common_head(old, new) - _CONTEXT
    return f"{place} was {shown(change.old, start)}, and is {shown(change.new, start)} now"


def _gone(tally: _Tally) -> str:
    if tally.count == 1:
        return f"task {tally.places()} ({shown(tally.first[0].old)}) is gone"
    return tally.said("", "%d tasks are gone")


def _new(tally: _Tally) -> str:
    if tally.count == 1:
        return f"line {tally.places()} ({shown(tally.first[0].new)}) is new"
    return tally.said("", "%d lines are new")
