"""THE state machine: what happened goes in, what to do comes out. No MPI, no file, no clock: `now` is an argument.

Rule 1: everything that decides about a task is in this file.

A task is waiting, leased (to a rank, as attempt k), done, or failed. Its laws:

1. A task is leased to at most one rank at a time, and every lease has an attempt number of its own. A report that does
   not match the lease of its task is stale: dropped and counted, never recorded.
2. A task is recorded as succeeded at most once: only a lease can succeed, and succeeding ends it.
3. Leases never exceed credit: a rank is granted no more than it said it can take.
4. First attempts go in the order of the list. What a lost worker had, and what was interrupted, goes in front of them,
   uncharged; what failed goes behind all of them, after a pause, to another node where there is one: see `retries`.
5. After 1 + retries failures a task has failed for good. So has one that was running on LOST_LIMIT lost workers in turn,
   earlier runs counted; what may have killed a worker is not queued behind other tasks any more, so that it is known what
   was running, and after the last but one loss no other suspect runs beside it. Who is convicted acquits the others.
   What may have taken a whole farm down goes last, behind the retries: the rest should be done by then. See `suspects`.
6. No slot stays idle while a task waits that it may run; beyond its slots no rank gets more than its share of what is
   left, so the last tasks spread over all of them.
7. After a stop nothing is granted. When nothing is leased, and nothing waits or nothing may be granted: finish, once.
8. A node on which everything fails while others do well gets nothing more, and what failed there in a row is dealt again
   in front. Each task is let off such a failure once, so a list in which everything fails ends. See `quarantine`.

Only what is out of order is held: leases, what comes back, retries, failures. The rest of the list is one number, the
dealing offset, behind `fresh`. So memory grows with what is in flight, not with the list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpifarm.schedule.quarantine import Fitness, Judged, Quarantine, slots_by_node
from mpifarm.schedule.retries import Retries, Task
from mpifarm.schedule.suspects import LIMIT, Lineup, Suspect, Word

Records = NDArray[np.void]  # with the fields offset, length and seq: a Task each

# An attempt that runs, or waits for a slot on its node: attempt, length and seq, and whether there was a slot for it, so
# that it runs. A plain tuple, since hundreds of thousands are made in a second.
_Lease = tuple[int, int, int, bool]

_NO_LEASE: _Lease = (-1, 0, 0, False)

LOST_LIMIT = LIMIT
STOP_PATIENCE_S = 15.0  # how long after a stop that kills a worker may take to say that all is dead
LOOK_S = 1.0  # how often to look for silent workers


class Verdict(IntEnum):
    """What an attempt that ended means for its task."""

    STALE = 0  # not a lease of this rank: drop it
    SUCCEEDED = 1
    FAILED = 2  # it will be tried again
    FAILED_FOR_GOOD = 3
    INTERRUPTED = 4  # stopped with the farm: it will be dealt again, uncharged


class How(IntEnum):
    """How the farm is to stop."""

    DRAIN = 1
    KILL = 2
    KILL_NOW = 3


class Outcome(IntEnum):
    """How it ended: the exit code."""

    ALL_SUCCEEDED = 0
    SOME_FAILED = 1
    WORK_LEFT = 3


@dataclass(frozen=True, slots=True)
class Grant:
    """Send these tasks to *rank*: lists of equal length."""

    rank: int
    offsets: list[int]
    lengths: list[int]
    seqs: list[int]
    attempts: list[int]


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell *rank* to stop."""

    rank: int
    how: How


@dataclass(frozen=True, slots=True)
class Lost:
    """*rank* is lost: its *leases* are dealt again, but for those that have failed for good, *poisoned* (offsets)."""

    rank: int
    node: str
    leases: int
    poisoned: list[int]


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing more can be done."""

    outcome: Outcome


Action = Grant | Stop | Lost | Judged | Finish


@dataclass(frozen=True, slots=True)
class Ends:
    """Verdicts on attempts that ended, and what the schedule knows of their tasks: lists of equal length."""

    verdicts: list[Verdict]
    lengths: list[int]
    seqs: list[int]

    def append(self, verdict: Verdict, length: int, seq: int) -> None:
        """Add one."""
        self.verdicts.append(verdict)
        self.lengths.append(length)
        self.seqs.append(seq)


@dataclass(slots=True)
class _Worker:
    node: str
    slots: int
    leases: dict[int, _Lease] = field(default_factory=dict)  # by offset
    granted: int = 0  # tasks since it joined
    limit: int = 0  # tasks it has asked for since it joined
    heard: float = 0.0
    leaving: bool = False
    accused: set[int] = field(default_factory=set)  # offsets of suspects among the leases


@dataclass(slots=True)
class _History:
    """Of a task that did not succeed at once."""

    attempts: int = 0
    failures: int = 0
    let_off: bool = False  # one of its failures was its node's
    suspect: bool = False  # its last worker was lost, perhaps because of it
    lost_in_turn: int = 0  # workers, or farms, on which it was running when they were lost
    carried: bool = False  # it is suspected since an earlier run


@dataclass(slots=True)
class Counts:
    """For the status line."""

    done: int = 0
    failed: int = 0
    leased: int = 0
    waiting: int = 0
    stale: int = 0


class _Tasks(NamedTuple):
    """Tasks as columns."""

    offsets: list[int]
    lengths: list[int]
    seqs: list[int]

    def append(self, task: Task) -> None:
        for column, value in zip(self, task, strict=True):
            column.append(value)


class Schedule:
    """Who runs what."""

    def __init__(
        self,
        fresh: Callable[[int], Records],
        fresh_left: int,
        again: Records,
        ranks: Iterable[int],
        *,
        retries: int = 2,
        max_fails: int | None = None,
        lost_after_s: float = 120.0,
        suspects: Sequence[Suspect] = (),
    ) -> None:
        """*fresh(n)* returns the next n tasks of the list, fewer at its end, of which there are *fresh_left*.

        *again* are the tasks before those that earlier runs have dealt and not finished, but for their *suspects*; *ranks*
        are expected to join.
        """
        self._fresh = fresh
        self._fresh_left = fresh_left
        self._front: deque[Task] = deque(again[["offset", "length", "seq"]].tolist())
        self._suspected: deque[Task] = deque()  # their worker was lost: they go before those in front
        self._isolated: deque[Task] = deque()  # one more loss convicts them: they go before all
        self._lineup = Lineup(suspects)
        self._retries = Retries()
        self._leased = 0
        self._failed: dict[int, tuple[int, int]] = {one.task[0]: one.task[1:] for one in suspects if one.convicted}
        self._history = {one.task[0]: _History(suspect=True, lost_in_turn=one.deaths, carried=True) for one in suspects}
        self._expected = set(ranks)  # they have not joined yet
        self._workers: dict[int, _Worker] = {}
        self._ready: set[int] = set()  # ranks that can take more
        self._all_slots: int | None = None  # of those that take tasks; None: count them
        self._quarantine = Quarantine()
        self._max_attempts = retries + 1
        self._max_fails = max_fails
        self._lost_after_s = lost_after_s
        self._ticked = float("inf")
        self._look_at = float("-inf")
        self._away_s = 0.0
        self._join_by: float | None = None
        self._stop_by = float("inf")
        self._stopping: How | None = None
        self._finished = False
        self._done = 0
        self._stale = 0

    # events

    def worker_joined(self, rank: int, node: str, slots: int, now: float) -> list[Action]:
        """*rank* is ready to run *slots* tasks at a time. One that had joined before has forgotten what it had."""
        actions = self.worker_lost(rank) if rank in self._workers else []
        self._expected.discard(rank)
        self._workers[rank] = _Worker(node, slots, heard=now)
        self._nodes_changed()
        if self._stopping:
            actions.append(Stop(rank, self._stopping))
        return actions

    def heard_of(self, rank: int, now: float) -> bool:
        """*rank* has sent something; return whether it is one of the workers."""
        worker = self._workers.get(rank)
        if worker:
            worker.heard = now
        return worker is not None

    def credit_changed(self, rank: int, seen: int, credit: int) -> None:
        """*rank*, which has received *seen* tasks so far, can take *credit* more."""
        worker = self._workers[rank]
        worker.limit = seen + credit
        if worker.limit > worker.granted and not worker.leaving:
            self._ready.add(rank)

    def attempts_ended(
        self, rank: int, offsets: list[int], attempts: list[int], failed: list[bool], interrupted: list[bool], now: float
    ) -> Ends:
        """These attempts of *rank* have ended: lists of equal length. Return what they mean."""
        worker = self._workers.get(rank) or _Worker("", 0)
        if not (any(failed) or any(interrupted)) and (ends := self._all_succeeded(worker, offsets, attempts)):
            return ends
        ends = Ends([], [], [])
        for offset, attempt, bad, stopped in zip(offsets, attempts, failed, interrupted, strict=True):
            leased_as, length, seq, _ = worker.leases.get(offset, _NO_LEASE)
            if leased_as != attempt:
                self._stale += 1
                ends.append(Verdict.STALE, 0, 0)
            else:
                del worker.leases[offset]
                worker.accused.discard(offset)
                self._leased -= 1
                ends.append(self._judge(worker, attempt, (offset, length, seq), bad, stopped, now), length, seq)
        return ends

    def worker_left(self, rank: int) -> None:
        """*rank* has been told by somebody else to stop: it takes nothing more, and will report what it had."""
        self._workers[rank].leaving = True
        self._ready.discard(rank)
        self._nodes_changed()

    def worker_lost(self, rank: int) -> list[Action]:
        """*rank* is gone. What it had is dealt again, in front and uncharged."""
        worker = self._workers.pop(rank, None)
        if worker is None and rank not in self._expected:
            return []
        self._expected.discard(rank)
        self._ready.discard(rank)
        self._nodes_changed()
        if worker is None:
            return [Lost(rank, "", 0, [])]
        self._leased -= len(worker.leases)
        poisoned = self._blame(worker)
        for offset in sorted(worker.leases.keys() - set(poisoned), reverse=True):
            _, length, seq, _ = worker.leases[offset]
            self._queue(offset).appendleft((offset, length, seq))
        return [Lost(rank, worker.node, len(worker.leases), poisoned)]

    def stop_asked(self, how: How, now: float) -> list[Action]:
        """Start nothing more; finish what runs, or end it. Never takes a stronger wish back."""
        if self._stopping is not None and how <= self._stopping:
            return []
        self._stopping = how
        if how is not How.DRAIN:
            self._stop_by = now + STOP_PATIENCE_S
        return [Stop(rank, how) for rank in self._workers]

    def clock_ticked(self, now: float, all_told: bool = True) -> list[Action]:
        """It is *now*: find who is silent for too long, grant what can be granted, finish if nothing is left.

        Silence is judged only after all that has arrived was told. If the manager itself was away (a file system that
        hung), the silence of that time does not count.
        """
        actions: list[Action] = []
        if all_told:
            self._away_s += max(0.0, now - self._ticked - LOOK_S)
            self._ticked = now
            actions = self._look_for_lost(now) if now >= self._look_at else []
        actions += self._judge_nodes()
        if self._failed_too_often():
            actions += self.stop_asked(How.DRAIN, now)
        if self._stopping is None:
            actions += self._deal(now)
        finish = self._finish()
        return actions + ([finish] if finish else [])

    # what others may know

    @property
    def counts(self) -> Counts:
        """How many tasks are in which state, of those that this run has met or will meet."""
        return Counts(self._done, len(self._failed), self._leased, self._waiting(), self._stale)

    @property
    def stopping(self) -> How | None:
        """How it was asked to stop."""
        return self._stopping

    @property
    def workers(self) -> dict[int, tuple[str, int]]:
        """The node and the slots of every worker, by rank."""
        return {rank: (worker.node, worker.slots) for rank, worker in self._workers.items()}

    def node(self, rank: int) -> str:
        """Return the node of a worker."""
        return self._workers[rank].node

    @property
    def tried(self) -> tuple[int, int, int]:
        """Which suspects of earlier runs may be running: their count, and the first and the last of them. See `Dealt`."""
        return self._lineup.tried

    def failed(self, offset: int) -> Task:
        """Return a task that has failed for good."""
        return (offset, *self._failed[offset])

    def suspects(self) -> list[Word]:
        """Return every task that may have taken its worker, or its farm, with it, sorted."""
        known = [(offset, past.lost_in_turn) for offset, past in self._history.items() if past.lost_in_turn]
        return sorted((offset, deaths, offset in self._failed) for offset, deaths in known)

    def unfinished(self) -> list[int]:
        """Return the offset of every task before the dealing offset that has not succeeded, sorted."""
        queues = (self._front, self._suspected, self._isolated, self._retries.tasks(), self._lineup.tasks())
        waiting = (task[0] for task in chain.from_iterable(queues))
        leased = chain.from_iterable(worker.leases for worker in self._workers.values())
        return sorted((*leased, *self._failed, *waiting))

    def check(self) -> None:
        """Raise AssertionError if the parts contradict each other."""
        places = self.unfinished()
        assert len(places) == len(set(places)), "a task is in two states"
        assert self._leased == sum(len(worker.leases) for worker in self._workers.values()), "the leases are miscounted"
        for rank, worker in self._workers.items():
            assert all(attempt >= 1 for attempt, *_ in worker.leases.values())
            assert len(worker.leases) <= worker.granted, f"rank {rank} has more than it was granted"
            held = [offset for offset in worker.leases if self._is_suspect(offset)]
            isolated = any(map(self._one_more_convicts, held)) and not self._lineup.alone
            assert not isolated or len(held) == 1, f"rank {rank} runs a suspect beside one that the next loss convicts"
        for offset, history in self._history.items():
            assert history.failures <= self._max_attempts
            assert offset in self._failed or history.failures < self._max_attempts
        count, first, last = self._lineup.tried
        assert count < 2 or first != last or self._leased + len(self._lineup.batch) <= 1, "a suspect is not alone"
        assert not (self._finished and self._leased), "finished with leases"

    # how

    def _all_succeeded(self, worker: _Worker, offsets: list[int], attempts: list[int]) -> Ends | None:
        """These have succeeded: what nearly always happens, and so in bulk. None, and nothing done, if some are stale."""
        leases = [lease for offset in offsets if (lease := worker.leases.get(offset))]
        if not leases or len(leases) < len(offsets) or len(set(offsets)) < len(offsets):
            return None
        held, lengths, seqs, _ = (list(column) for column in zip(*leases, strict=True))
        if held != attempts:
            return None
        for offset in offsets:
            del worker.leases[offset]
        for offset in self._history.keys() & offsets if self._history else ():
            del self._history[offset]
            worker.accused.discard(offset)
        self._quarantine.succeeded(worker.node, offsets)
        self._leased -= len(offsets)
        self._done += len(offsets)
        return Ends([Verdict.SUCCEEDED] * len(offsets), lengths, seqs)

    def _judge(self, worker: _Worker, attempt: int, task: Task, bad: bool, stopped: bool, now: float) -> Verdict:
        offset, length, seq = task
        if not bad and not stopped:
            self._history.pop(offset, None)
            self._quarantine.succeeded(worker.node, [offset])
            self._done += 1
            return Verdict.SUCCEEDED
        history = self._history.setdefault(offset, _History(attempt))
        if not (stopped and (self._stopping or history.carried)):  # the end of the farm clears nobody
            history.lost_in_turn, history.suspect = 0, False
        if stopped:
            self._queue(offset).append(task)
            return Verdict.INTERRUPTED
        self._quarantine.failed(worker.node, offset, worker.slots)
        if self._quarantine.fitness(worker.node) is not Fitness.FIT and not history.let_off:
            history.let_off = True
            self._front.append(task)
            return Verdict.FAILED
        history.failures += 1
        if history.failures >= self._max_attempts:
            self._failed[offset] = (length, seq)
            return Verdict.FAILED_FOR_GOOD
        self._retries.add(worker.node, task, history.failures, now)
        return Verdict.FAILED

    def _blame(self, worker: _Worker) -> list[int]:
        """What was running on a lost *worker* may have done it. Return who is convicted: one, or nobody."""
        guilty: list[int] = []
        for offset, (attempt, _, _, at_once) in worker.leases.items():
            history = self._history.setdefault(offset, _History(attempt))
            history.suspect = True
            history.lost_in_turn += at_once
            if at_once and history.lost_in_turn >= LOST_LIMIT:
                guilty.append(offset)
        if len(guilty) != 1:
            return []
        _, length, seq, _ = worker.leases[guilty[0]]
        self._failed[guilty[0]] = (length, seq)
        self._acquit_the_others(self._history[guilty[0]].carried)
        return guilty

    def _acquit_the_others(self, carried: bool) -> None:
        """Who was suspected with one that was convicted is free; *carried*: it was so since an earlier run."""
        for offset, history in self._history.items():
            if offset not in self._failed and (carried or not history.carried):
                history.lost_in_turn, history.suspect = 0, False
        waiting = [*self._isolated, *self._suspected, *(self._lineup.acquit() if carried else ())]
        self._isolated.clear()
        self._suspected.clear()
        for task in sorted(waiting, reverse=True):
            self._queue(task[0]).appendleft(task)

    def _queue(self, offset: int) -> deque[Task]:
        """Return where a task goes that is dealt again uncharged."""
        if self._one_more_convicts(offset):
            return self._isolated
        return self._suspected if self._is_suspect(offset) else self._front

    def _judge_nodes(self) -> list[Action]:
        """Find the nodes on which everything fails; what failed there in a row is to be tried elsewhere."""
        judged = self._quarantine.judge(slots_by_node((w.node, w.slots) for w in self._workers.values() if not w.leaving))
        if judged:
            self._all_slots = None
        for change in judged:
            if change.fitness is Fitness.SUSPECTED:
                accused = self._quarantine.accused(change.node)
                self._quarantine.put_on_trial(change.node, self._try_again(accused))
        return [*judged]

    def _try_again(self, accused: list[int]) -> list[int]:
        """Put those of *accused* that wait or have failed in front, let off one failure; return them."""
        to_try = {offset for offset in accused if offset in self._history and not self._history[offset].let_off}
        found: list[Task] = [(offset, *self._failed.pop(offset)) for offset in to_try & self._failed.keys()]
        found += self._retries.remove(to_try)
        for offset, *_ in found:
            history = self._history[offset]
            history.failures -= 1
            history.let_off = True
        self._front.extend(sorted(found))
        return [offset for offset, *_ in found]

    def _look_for_lost(self, now: float) -> list[Action]:
        """Find the silent ones. What the manager was away itself is added to their time."""
        self._look_at = now + LOOK_S
        away_s, self._away_s = self._away_s, 0.0
        self._join_by = now + self._lost_after_s if self._join_by is None else self._join_by + away_s
        silent = list(self._expected) if now > self._join_by else []
        for rank, worker in self._workers.items():
            worker.heard = min(now, worker.heard + away_s)
            too_long = now > worker.heard + self._lost_after_s or (now > self._stop_by and worker.leases)
            if too_long and rank:  # rank 0 is this process
                silent.append(rank)
        return [action for rank in silent for action in self.worker_lost(rank)]

    def _nodes_changed(self) -> None:
        self._all_slots = None
        self._quarantine.nodes_changed()

    def _waiting(self) -> int:
        accused = len(self._suspected) + len(self._isolated) + len(self._lineup)
        return self._fresh_left + len(self._front) + accused + len(self._retries)

    def _open_round(self, now: float) -> int:
        """A round of dealing begins: see which retries and suspects it is the turn of. Return how many may be dealt."""
        lineup = self._lineup
        if lineup.alone and not lineup.batch and not self._leased:
            lineup.end_batch()
        others = self._fresh_left + len(self._front) + len(self._suspected) + len(self._isolated) + len(lineup.open)
        retries = self._retries.open_round(now, busy=bool(self._leased or others)) and len(self._retries)
        if not (lineup.alone or self._leased or others or self._retries):
            lineup.next_batch()
        return len(lineup.batch) if lineup.alone else others + retries

    def _deal(self, now: float) -> list[Action]:
        """Fill free slots; if more waits than that, let each rank hold half its share of the rest, as far as it asks."""
        waiting = self._open_round(now)
        ready = [(rank, self._workers[rank]) for rank in self._ready if self._takes(self._workers[rank])]
        if not ready or not waiting:
            return []
        free = sum(max(0, worker.slots - len(worker.leases)) for _, worker in ready)
        if self._all_slots is None:
            self._all_slots = sum(worker.slots for worker in self._workers.values() if self._takes(worker))
        rest = max(0, waiting - free)
        actions: list[Action] = []
        for rank, worker in ready:
            count = worker.slots - len(worker.leases)
            if rest:
                count += rest * worker.slots // (2 * self._all_slots)
            elif free:
                count = -(-waiting * max(0, count) // free)  # rounded up, so that nothing is left
            count = min(count, worker.limit - worker.granted)
            if count > 0:
                actions += self._grant(rank, worker, count)
        return actions

    def _takes(self, worker: _Worker) -> bool:
        return not worker.leaving and self._quarantine.fitness(worker.node) is Fitness.FIT

    def _grant(self, rank: int, worker: _Worker, count: int) -> Iterator[Action]:
        room = max(0, worker.slots - len(worker.leases))
        offsets, lengths, seqs = self._next(worker, count, room)
        if not offsets:
            return
        attempts = [self._attempt(offset) for offset in offsets] if self._history else [1] * len(offsets)
        at_once = chain(repeat(True, room), repeat(False))
        leases = zip(attempts, lengths, seqs, at_once, strict=False)
        worker.leases.update(zip(offsets, leases, strict=False))
        worker.granted += len(offsets)
        self._leased += len(offsets)
        if worker.granted >= worker.limit:
            self._ready.discard(rank)
        yield Grant(rank, offsets, lengths, seqs, attempts)

    def _attempt(self, offset: int) -> int:
        history = self._history.get(offset)
        if history is None:
            return 1
        history.attempts += 1
        return history.attempts

    def _next(self, worker: _Worker, count: int, room: int) -> _Tasks:
        """Return at most *count* tasks for a worker that has *room* slots free."""
        tasks = _Tasks([], [], [])
        if self._lineup.alone:
            self._accuse(worker, self._lineup.batch.popleft, len(self._lineup.batch), min(count, room), tasks)
            return tasks
        if (self._isolated or self._suspected) and self._next_suspects(worker, min(count, room), tasks):
            count = min(count, room)  # a slot that becomes free is for the next one
        while self._front and len(tasks.offsets) < count:
            tasks.append(self._front.popleft())
        if self._fresh_left and len(tasks.offsets) < count:
            wanted = count - len(tasks.offsets)
            fresh = self._fresh(wanted)
            # The list may have ended, whatever was thought before.
            self._fresh_left = self._fresh_left - fresh.size if fresh.size == wanted else 0
            for column, name in zip(tasks, ("offset", "length", "seq"), strict=True):
                column.extend(fresh[name].tolist())
        if self._fresh_left:
            return tasks
        while len(tasks.offsets) < count and (retry := self._retries.take(worker.node, lambda: self._elsewhere(worker))):
            tasks.append(retry)
        if self._lineup.open and not self._in_isolation(worker):
            most = min(count, room) - len(tasks.offsets)
            self._accuse(worker, self._lineup.take_open, len(self._lineup.open), most, tasks)
        return tasks

    def _next_suspects(self, worker: _Worker, count: int, tasks: _Tasks) -> bool:
        """Add what may have killed a worker in this run; return whether more of that waits that *worker* may have."""
        if self._isolated and not self._accused(worker):
            self._accuse(worker, self._isolated.popleft, 1, count, tasks)
            return not tasks.offsets
        if self._in_isolation(worker):
            return False
        self._accuse(worker, self._suspected.popleft, len(self._suspected), count, tasks)
        return bool(self._suspected)

    def _accuse(self, worker: _Worker, take: Callable[[], Task], waiting: int, most: int, tasks: _Tasks) -> None:
        """Add suspects for *worker*: as many as wait, and *most* at the most."""
        for _ in range(min(waiting, most)):
            task = take()
            worker.accused.add(task[0])
            tasks.append(task)

    def _accused(self, worker: _Worker) -> list[int]:
        """Return the suspects that *worker* has; some may have been acquitted since it got them."""
        return [offset for offset in worker.accused if self._is_suspect(offset)]

    def _in_isolation(self, worker: _Worker) -> bool:
        return any(self._one_more_convicts(offset) for offset in worker.accused)

    def _is_suspect(self, offset: int) -> bool:
        history = self._history.get(offset)
        return history is not None and history.suspect

    def _one_more_convicts(self, offset: int) -> bool:
        history = self._history.get(offset)
        return history is not None and history.lost_in_turn >= LOST_LIMIT - 1

    def _elsewhere(self, worker: _Worker) -> bool:
        return any(other.node != worker.node and self._takes(other) for other in self._workers.values())

    def _finish(self) -> Finish | None:
        if self._finished or self._leased:
            return None
        waiting = self._waiting()
        nobody = not self._expected and not any(self._takes(worker) for worker in self._workers.values())
        if waiting and self._stopping is None and not nobody:
            return None
        self._finished = True
        if waiting and not self._failed_too_often():
            return Finish(Outcome.WORK_LEFT)
        return Finish(Outcome.SOME_FAILED if self._failed else Outcome.ALL_SUCCEEDED)

    def _failed_too_often(self) -> bool:
        return self._max_fails is not None and len(self._failed) > self._max_fails
