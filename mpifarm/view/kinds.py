"""Why attempts of this run have failed, counted by kind as they fail: see `failures`.

The rule: memory is bounded, whatever a million tasks print on standard error: of a task that has failed for good, of which
kind it was. What comes after MOST_KINDS kinds is counted, and not told apart.

A task may have failed for good, and then not: a node that fails all is found out later than its tasks. It counts no more
then, until it fails again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mpifarm.journal.lines import Attempt
from mpifarm.texts import LONGEST_LINE, shown
from mpifarm.view import failures
from mpifarm.view.failures import Kind
from mpifarm.view.snapshot import MOST_REASONS, Reason

MOST_KINDS = 64

_MOST_NAMED = 3  # tasks of a kind


@dataclass(slots=True)
class _Count:
    attempts: int = 0
    tasks: int = 0
    seqs: list[int] = field(default_factory=list)
    command: str = ""
    peak_kib: int = 0


class Kinds:
    """Failures of one run."""

    def __init__(self) -> None:
        self.attempts = 0
        self._kind_of: dict[int, _Count] = {}  # of tasks that have failed for good, by seq
        self._known: dict[Kind, _Count] = {}
        self._others = _Count()

    def add(self, attempt: Attempt, err: memoryview, final: bool) -> None:
        """An attempt has failed, with *err* on standard error; *final*: its task has failed for good."""
        self.attempts += 1
        kind = failures.failure(attempt, err).kind
        count = self._known.get(kind)
        if count is None and len(self._known) >= MOST_KINDS:
            count = self._others
        elif count is None:
            count = self._known[kind] = _Count(command=shown(attempt.command, LONGEST_LINE))
        count.attempts += 1
        if final:
            self._kind_of[attempt.seq] = count
            count.tasks += 1
        count.peak_kib = max(count.peak_kib, attempt.rss_kib)
        if len(count.seqs) < _MOST_NAMED and attempt.seq not in count.seqs:
            count.seqs.append(attempt.seq)

    @property
    def final(self) -> int:
        """How many of them were the last ones of tasks that have failed for good."""
        return len(self._kind_of)

    def revived(self, seqs: Iterable[int]) -> None:
        """These tasks had failed for good, and have not."""
        for seq in seqs:
            if count := self._kind_of.pop(seq, None):
                count.tasks -= 1

    def told(self) -> tuple[tuple[Reason, ...], int]:
        """Return the reasons, those of most tasks first, and how many attempts have failed for others."""
        ordered = sorted(self._known.items(), key=lambda one: (-one[1].tasks, -one[1].attempts, one[0]))
        reasons = tuple(
            Reason(kind.how, kind.last, one.attempts, one.tasks, tuple(one.seqs), one.command, one.peak_kib)
            for kind, one in ordered
        )
        left_out = sum(reason.attempts for reason in reasons[MOST_REASONS:])
        return reasons[:MOST_REASONS], self._others.attempts + left_out
