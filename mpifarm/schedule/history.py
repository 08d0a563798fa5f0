"""What is remembered of a task that did not succeed at once: its attempts, its failures, what it is suspected of.

Its rule: a task that has succeeded, or has never been tried, has no history, so memory grows with what went wrong, not with
the list. Nor has one that is on its first attempt: it gets its history when that ends in any other way than well.

What failed for good is here, too: by failures of its own, or by conviction. All that was running on a worker that was lost
may have done it. Who was there LOST_LIMIT times in turn is convicted, if it is the only one that was; that acquits those
that were suspected with it. The way there is in `queue`, which deals suspects so that one will be the only one, and
in `suspects`, which goes on with it from one farm to the next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from mpifarm.schedule.retries import Task
from mpifarm.schedule.suspects import LIMIT, Suspect, Word
from mpifarm.schedule.workers import Lease

LOST_LIMIT = LIMIT


@dataclass(slots=True)
class History:
    """Of a task that did not succeed at once."""

    attempts: int = 0
    failures: int = 0
    let_off: bool = False  # one of its failures was its node's
    suspect: bool = False  # its last worker was lost, perhaps because of it
    lost_in_turn: int = 0  # workers, or farms, on which it was running when they were lost
    carried: bool = False  # it is suspected since an earlier run


class Histories:
    """The histories of all tasks that have one."""

    def __init__(self, suspects: Sequence[Suspect], max_attempts: int) -> None:
        """*suspects* are those of earlier runs; after *max_attempts* failures a task has failed for good."""
        self.failed: dict[int, tuple[int, int]] = {one.task[0]: one.task[1:] for one in suspects if one.convicted}
        self.max_attempts = max_attempts
        self.undecided: set[int] = set()  # offsets of those that were charged with a failure, and may succeed yet
        self._known = {one.task[0]: History(suspect=True, lost_in_turn=one.deaths, carried=True) for one in suspects}

    def attempts(self, offsets: list[int]) -> list[int]:
        """These are dealt: return which attempt of each it is."""
        return [self._attempt(offset) for offset in offsets] if self._known else [1] * len(offsets)

    def of(self, offset: int, attempt: int) -> History:
        """Return the history of a task, which begins if it has none, with this *attempt*."""
        return self._known.setdefault(offset, History(attempt))

    def forget(self, offset: int) -> None:
        """A task is done."""
        self._known.pop(offset, None)
        self.undecided.discard(offset)

    def forget_all(self, offsets: Collection[int]) -> None:
        """These tasks are done."""
        for offset in self._known.keys() & offsets if self._known else ():
            self.forget(offset)

    def charge(self, task: Task) -> int:
        """*task*, which has a history, has failed once more, and perhaps for good; return how often that makes."""
        history = self._known[task[0]]
        history.failures += 1
        if history.failures >= self.max_attempts:
            self.fail(task)
        else:
            self.undecided.add(task[0])
        return history.failures

    def fail(self, task: Task) -> None:
        """*task* has failed for good."""
        self.failed[task[0]] = task[1:]
        self.undecided.discard(task[0])

    # failures that were the node's

    def charged(self, offsets: Iterable[int]) -> set[int]:
        """Return those of *offsets* that have not been let off a failure yet."""
        return {offset for offset in offsets if offset in self._known and not self._known[offset].let_off}

    def take_back(self, offsets: AbstractSet[int]) -> list[Task]:
        """Take out those of *offsets* that had failed for good: they have not."""
        return [(offset, *self.failed.pop(offset)) for offset in offsets & self.failed.keys()]

    def let_off(self, tasks: Iterable[Task]) -> None:
        """Take one failure off each of *tasks*: it was its node's."""
        for offset, *_ in tasks:
            history = self._known[offset]
            history.failures -= 1
            history.let_off = True
            (self.undecided.add if history.failures else self.undecided.discard)(offset)

    # suspicion

    def is_suspect(self, offset: int) -> bool:
        """Return whether the last worker of a task was lost, perhaps because of it."""
        history = self._known.get(offset)
        return history is not None and history.suspect

    def one_more_convicts(self, offset: int) -> bool:
        """Return whether a task has failed for good if it is running when its next worker is lost."""
        history = self._known.get(offset)
        return history is not None and history.lost_in_turn >= LOST_LIMIT - 1

    def blame(self, leases: Mapping[int, Lease]) -> list[int]:
        """The worker that had these *leases* is lost: what was running may have done it.

        Return who is convicted, and so has failed for good: one, or nobody.
        """
        guilty: list[int] = []
        for offset, (attempt, _, _, at_once) in leases.items():
            history = self.of(offset, attempt)
            history.suspect = True
            history.lost_in_turn += at_once
            if at_once and history.lost_in_turn >= LOST_LIMIT:
                guilty.append(offset)
        if len(guilty) != 1:
            return []
        _, length, seq, _ = leases[guilty[0]]
        self.fail((guilty[0], length, seq))
        return guilty

    def acquit_the_others(self, convicted: int) -> bool:
        """Who was suspected with *convicted* is free; return whether that goes for the suspects of earlier runs, too."""
        carried = self._known[convicted].carried
        for offset, history in self._known.items():
            if offset not in self.failed and (carried or not history.carried):
                history.lost_in_turn, history.suspect = 0, False
        return carried

    def suspects(self) -> list[Word]:
        """Return every task that may have taken its worker, or its farm, with it, sorted."""
        known = [(offset, past.lost_in_turn) for offset, past in self._known.items() if past.lost_in_turn]
        return sorted((offset, deaths, offset in self.failed) for offset, deaths in known)

    def check(self) -> None:
        """Raise AssertionError if a history contradicts what has failed."""
        for offset, history in self._known.items():
            assert history.failures <= self.max_attempts
            assert offset in self.failed or history.failures < self.max_attempts
        charged = {offset for offset, history in self._known.items() if history.failures and offset not in self.failed}
        assert self.undecided == charged, "what has failed, and may succeed yet, is miscounted"

    def _attempt(self, offset: int) -> int:
        history = self._known.get(offset)
        if history is None:
            return 1
        history.attempts += 1
        return history.attempts
