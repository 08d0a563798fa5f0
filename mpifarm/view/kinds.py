"""Why attempts of this run have failed, counted by kind as they fail: see `failures`.

The rule: memory is bounded, whatever a million tasks print on standard error. What comes after MOST_KINDS kinds is counted,
and not told apart.
"""

from __future__ import annotations

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
        self.final = 0  # of them, after which the task had failed for good
        self._known: dict[Kind, _Count] = {}
        self._other = 0

    def add(self, attempt: Attempt, err: memoryview, final: bool) -> None:
        """An attempt has failed, with *err* on standard error; *final*: its task has failed for good."""
        self.attempts += 1
        self.final += final
        kind = failures.failure(attempt, err).kind
        count = self._known.get(kind)
        if count is None:
            if len(self._known) >= MOST_KINDS:
                self._other += 1
                return
            count = self._known[kind] = _Count(command=shown(attempt.command, LONGEST_LINE))
        count.attempts += 1
        count.tasks += final
        count.peak_kib = max(count.peak_kib, attempt.rss_kib)
        if len(count.seqs) < _MOST_NAMED and attempt.seq not in count.seqs:
            count.seqs.append(attempt.seq)

    def told(self) -> tuple[tuple[Reason, ...], int]:
        """Return the reasons, those of most tasks first, and how many attempts have failed for others."""
        ordered = sorted(self._known.items(), key=lambda one: (-one[1].tasks, -one[1].attempts, one[0]))
        reasons = tuple(
            Reason(kind.how, kind.last, one.attempts, one.tasks, tuple(one.seqs), one.command, one.peak_kib)
            for kind, one in ordered
        )
        left_out = sum(reason.attempts for reason in reasons[MOST_REASONS:])
        return reasons[:MOST_REASONS], self._other + left_out
