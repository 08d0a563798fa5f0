"""Failed attempts in the words of people: of which kind one is, and what is said of the first ones.

Its rule: a command, and what it has printed, are anybody's text, and are shown as `texts` says.

Attempts are of one kind if they have ended alike, and their last line on standard error is the same but for its digits: the
names of a thousand files that are missing make one kind.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from mpifarm.journal.lines import Attempt, reason
from mpifarm.texts import LONGEST_LINE, gist, last_line, shown
from mpifarm.view import advice
from mpifarm.view.facts import Alike
from mpifarm.words import duration

_MOST_NODES = 3  # that are named
_MOST_APART = 100  # kinds
MOST_LOOKED_AT = 500  # failures between two reports


class Kind(NamedTuple):
    """What failures have in common."""

    how: str  # exit code 127, killed by SIGSEGV, timed out
    last: str  # their last line, with # for its digits


class Failure(NamedTuple):
    """An attempt that failed."""

    attempt: Attempt
    last: str  # line of its standard error, fit to be shown; empty if there is none

    @property
    def kind(self) -> Kind:
        return Kind(reason(self.attempt), gist(self.last))


def failure(attempt: Attempt, err: memoryview) -> Failure:
    """Return what there is to say of an *attempt* that failed, with all that it has of standard error."""
    return Failure(attempt, last_line(err))


def told(one: Failure, place: str) -> str:
    """Return what is said, behind `failed`, of one while the farm goes on; *place* is that of its task in the list."""
    attempt = one.attempt
    took = f"{attempt.seconds:.2f} s" if attempt.seconds < 10 else duration(attempt.seconds)
    said = f'"{one.last}": ' if one.last else ""
    how = f"{reason(attempt)} after {took}"
    return f"task {attempt.seq} ({place}) on {attempt.node}, {how}: {said}{shown(attempt.command, LONGEST_LINE)}"


def all_alike(count: int, one: Failure, limit: str) -> str:
    """Return what is said if each of the first *count* attempts has failed as *one* has; *limit*: what --max-fails is."""
    alike = Alike(count, reason(one.attempt), one.last, limit)
    return "".join(told.said for told in advice.advise(advice.WHEN_ALL_FAIL, alike))


class More:
    """Failures beyond those that were told one by one, until they are told together."""

    def __init__(self) -> None:
        self._kinds: Counter[Kind] = Counter()
        self._nodes: dict[str, None] = {}  # in the order in which they came
        self.looked_at = 0

    def add(self, one: Failure) -> None:
        """One more has failed."""
        self.looked_at += 1
        if one.kind in self._kinds or len(self._kinds) < _MOST_APART:
            self._kinds[one.kind] += 1
        if len(self._nodes) <= _MOST_NODES:
            self._nodes[one.attempt.node] = None

    def take(self, failed: int, log: object) -> str:
        """Return what is said of them, once; *failed* is how many there were, looked at or not, and *log* has them all."""
        kinds, nodes, looked_at = self._kinds, list(self._nodes), self.looked_at
        self._kinds, self._nodes, self.looked_at = Counter(), {}, 0
        if not kinds:
            return ""
        (kind, times), *others = kinds.most_common()
        alike = f'{kind.how}, "{kind.last}"' if kind.last else kind.how
        where = ", ".join(nodes[:_MOST_NODES]) + (", ..." if len(nodes) > _MOST_NODES else "")
        if not others and times == looked_at:
            what = f"{failed:,} more with the same last line" if failed > 1 else "1 more like it"
            return f"{what} ({where}): {alike}; {log} has {'them' if failed > 1 else 'it'}"
        return (
            f"{failed:,} more of several kinds ({where}), {times * failed // looked_at:,} of them {alike}; {log} has them"
        )
