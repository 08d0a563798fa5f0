"""Which tasks have been running longest, and since when: what the farm is waiting for in the end.

The rule: nothing is kept for a task. A first attempt was dealt when dealing came past its offset, and of that so many
moments are kept as make no difference of a hundredth. What is dealt out of order (a retry, what a lost worker had) is known
since it was first seen among the oldest of its worker.

A worker of short tasks holds some that wait for a slot, and does not tell when they get it. Such a task runs at the latest
when it is among the oldest, or when nothing waits there any more: since then it is said to run, so that nobody is told of a
task that hangs, and only waited.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from mpifarm.schedule.answers import Seen
from mpifarm.texts import LONGEST_LINE, shown
from mpifarm.view.snapshot import MOST_LONGEST, Longest

OLDEST = 3  # leases of each worker that are looked at

_MARK_S = 0.25
_MOST_MARKS = 2048  # enough for weeks
_SHARE = 1 / 128  # of its age, by which the start of a task may be wrong

_Place = tuple[int, int]  # offset, attempt


class Seniors:
    """The tasks of one run that have been running longest."""

    def __init__(self, began: int) -> None:
        """*began*: the dealing offset at the start."""
        self._began = began
        self._offsets: list[int] = []  # how far dealing had come
        self._times: list[float] = []  # when
        self._seen: dict[_Place, float] = {}
        self._queued: dict[int, float] = {}  # by rank: when tasks were last seen to wait there
        self._commands: dict[int, str] = {}  # by offset, of those that were told last

    def dealt(self, to: int, now: float) -> None:
        """Dealing has come *to* an offset."""
        if self._offsets and (to == self._offsets[-1] or now < self._times[-1] + _MARK_S):
            return
        self._offsets.append(to)
        self._times.append(now)
        if len(self._offsets) > _MOST_MARKS:
            self._thin(now)

    def told(
        self, workers: Sequence[Seen], now: float, clock: float, command: Callable[[int, int], bytes]
    ) -> tuple[Longest, ...]:
        """Return those of *workers* that have run longest. *clock* is the Unix time that it is *now*; *command* reads a
        record by offset and length."""
        held = [(worker, lease) for worker in workers for lease in worker.oldest[: max(1, worker.slots)]]
        self._queued.update((worker.rank, now) for worker in workers if worker.queued)
        self._seen = {
            lease[:2]: self._seen.get(lease[:2], now)
            for worker, lease in held
            if lease[1] > 1 or lease[0] < self._began or worker.rank in self._queued
        }
        aged = sorted((self.since(worker.rank, *lease[:2], now), lease, worker.node) for worker, lease in held)
        kept = self._commands
        self._commands = {
            offset: kept.get(offset) or shown(command(offset, length), LONGEST_LINE)
            for _, (offset, _, length, _), _ in aged[:MOST_LONGEST]
        }
        return tuple(
            Longest(seq, node, clock - (now - since), attempt, self._commands[offset])
            for since, (offset, attempt, _, seq), node in aged[:MOST_LONGEST]
        )

    def since(self, rank: int, offset: int, attempt: int, now: float) -> float:
        """Return since when an attempt runs on *rank*; *now* if that is not known."""
        seen = self._seen.get((offset, attempt), now)
        if attempt > 1 or offset < self._began:
            return seen
        at = bisect_right(self._offsets, offset)
        dealt = self._times[at] if at < len(self._times) else now
        return max(dealt, min(seen, self._queued.get(rank, dealt)))

    def _thin(self, now: float) -> None:
        """Leave out what makes no difference: the older, the more."""
        kept = [0]
        for place in range(1, len(self._times)):
            if self._times[place] - self._times[kept[-1]] >= _SHARE * (now - self._times[place]):
                kept.append(place)
        self._offsets = [self._offsets[place] for place in kept]
        self._times = [self._times[place] for place in kept]
