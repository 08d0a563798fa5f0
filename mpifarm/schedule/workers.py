"""Who is there, and who has what: the workers, their leases and their credit. Pure, as the schedule is that asks it.

Its rule: a lease begins and ends here, and nowhere else. So what is leased is counted in one place, and a report that does
not match the lease of its task gets nothing out of it (laws 1 to 3 of `schedule`).

Ends come by the hundred thousand, and nearly always all of a report are successes that match: those are taken out as
columns, and only when one is stale, or has failed, are they looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain, repeat

from mpifarm.schedule.answers import Grant
from mpifarm.schedule.quarantine import Fitness, Judged, Quarantine, slots_by_node
from mpifarm.schedule.retries import Task

# An attempt that runs, or waits for a slot on its node: attempt, length and seq, and whether there was a slot for it, so
# that it runs. A plain tuple, since hundreds of thousands are made in a second.
Lease = tuple[int, int, int, bool]

_NO_LEASE: Lease = (-1, 0, 0, False)


@dataclass(slots=True)
class Worker:
    """A rank that runs tasks."""

    node: str
    slots: int
    leases: dict[int, Lease] = field(default_factory=dict)  # by offset
    granted: int = 0  # tasks since it joined
    limit: int = 0  # tasks it has asked for since it joined
    heard: float = 0.0  # on the clock of `silence`
    leaving: bool = False
    accused: set[int] = field(default_factory=set)  # offsets of suspects among the leases
    doubted: int = 0  # leases whose attempts have ended; what with is told later

    @property
    def room(self) -> int:
        """How many slots are free; fewer than none, if it holds more than that."""
        return self.slots - len(self.leases) + self.doubted

    @property
    def running(self) -> int:
        """How many slots are taken."""
        return min(max(0, len(self.leases) - self.doubted), self.slots)

    @property
    def opening(self) -> int:
        """How many of them it has asked for tasks for."""
        return min(self.room, self.limit - self.granted)


class Workers:
    """The workers of a farm."""

    def __init__(self, ranks: Iterable[int], quarantine: Quarantine) -> None:
        """*ranks* are expected to join; *quarantine* knows on which nodes."""
        self.by_rank: dict[int, Worker] = {}
        self.expected = set(ranks)  # they have not joined yet
        self.leased = 0
        self._ready: set[int] = set()  # ranks that can take more
        self._all_slots: int | None = None  # of those that take tasks; None: count them
        self._quarantine = quarantine

    # who is there

    def join(self, rank: int, node: str, slots: int, now: float) -> None:
        """*rank* is ready to run *slots* tasks at a time."""
        self.expected.discard(rank)
        self.by_rank[rank] = Worker(node, slots, heard=now)
        self._nodes_changed()

    def leave(self, rank: int) -> None:
        """*rank* takes nothing more."""
        self.by_rank[rank].leaving = True
        self._ready.discard(rank)
        self._nodes_changed()

    def remove(self, rank: int) -> Worker | None:
        """Forget *rank*, with its leases; return what it was, None if it had not joined."""
        worker = self.by_rank.pop(rank, None)
        self.expected.discard(rank)
        self._ready.discard(rank)
        self._nodes_changed()
        self.leased -= len(worker.leases) if worker else 0
        return worker

    def judge_nodes(self, now: float) -> list[Judged]:
        """Ask the quarantine what has changed for the nodes of those that do not leave."""
        staying = ((worker.node, worker.slots) for worker in self.by_rank.values() if not worker.leaving)
        judged = self._quarantine.judge(slots_by_node(staying), now)
        if judged:
            self._all_slots = None
        return judged

    # who may have more

    def credit_changed(self, rank: int, seen: int, credit: int, doubted: int = 0) -> None:
        """*rank*, which has received *seen* tasks so far, can take *credit* more; *doubted* of what it has have ended."""
        worker = self.by_rank[rank]
        worker.limit = seen + credit
        worker.doubted = doubted
        if worker.limit > worker.granted and not worker.leaving:
            self._ready.add(rank)

    def takes(self, worker: Worker) -> bool:
        """Return whether *worker* is given tasks, and not only now and then one on probation."""
        return not worker.leaving and self._quarantine.fitness(worker.node) is Fitness.FIT

    def ready(self) -> list[tuple[int, Worker]]:
        """Return those that can take more now, with their ranks."""
        return [(rank, self.by_rank[rank]) for rank in self._ready if self.takes(self.by_rank[rank])]

    def on_probation(self, now: float) -> Iterator[tuple[int, Worker, int, AbstractSet[int]]]:
        """Yield ranks of nodes that are not fit and may be tried now, with how many tasks they may get: one, or as many as
        run there on probation. The last are those that rather should not be among them, since they have failed there.
        """
        for node in self._quarantine.due(now):
            mates = [(rank, worker) for rank, worker in self.by_rank.items() if worker.node == node]
            tried = self._quarantine.tried(node)
            left = max(1, sum(len(tried & worker.leases.keys()) for _, worker in mates))
            for rank, worker in mates:
                room = min(worker.opening, left)
                if rank in self._ready and room > 0:
                    left -= room
                    yield rank, worker, room, self._quarantine.accused(node)

    def all_slots(self) -> int:
        """Return how many slots all have that take tasks."""
        if self._all_slots is None:
            self._all_slots = sum(worker.slots for worker in self.by_rank.values() if self.takes(worker))
        return self._all_slots

    def elsewhere(self, worker: Worker) -> bool:
        """Return whether another node than that of *worker* takes tasks."""
        return any(other.node != worker.node and self.takes(other) for other in self.by_rank.values())

    def free_elsewhere(self, worker: Worker) -> bool:
        """Return whether another node should have what has failed on that of *worker*, rather than this one at once.

        So it is if a slot is free there, or if everything has failed here of late: then it may be the node.
        """
        if self._quarantine.may_be_sick(worker.node):
            return self.elsewhere(worker)
        others = (other for other in self.by_rank.values() if other.node != worker.node)
        return any(other.opening > 0 and self.takes(other) for other in others)

    def anybody(self) -> bool:
        """Return whether anybody takes tasks, or is expected to."""
        return bool(self.expected) or any(self.takes(worker) for worker in self.by_rank.values())

    # leases

    def lease(self, worker: Worker, grant: Grant, room: int) -> None:
        """*worker*, which has *room* slots free, gets what *grant* says."""
        at_once = chain(repeat(True, room), repeat(False))
        leases = zip(grant.attempts, grant.lengths, grant.seqs, at_once, strict=False)
        worker.leases.update(zip(grant.offsets, leases, strict=False))
        worker.granted += len(grant.offsets)
        self.leased += len(grant.offsets)
        if worker.granted >= worker.limit:
            self._ready.discard(grant.rank)

    def lease_on_probation(self, worker: Worker, grant: Grant, now: float) -> None:
        """*worker*, whose node is not fit, gets what *grant* says."""
        self.lease(worker, grant, len(grant.offsets))
        for offset in grant.offsets:
            self._quarantine.put_on_probation(worker.node, offset, now)

    def end_all(self, worker: Worker, offsets: list[int], attempts: list[int]) -> tuple[list[int], list[int]] | None:
        """End these leases in bulk: return lengths and seqs; None, and nothing done, if any is stale or none is there."""
        leases = [lease for offset in offsets if (lease := worker.leases.get(offset))]
        if not leases or len(leases) < len(offsets) or len(set(offsets)) < len(offsets):
            return None
        held, lengths, seqs, _ = (list(column) for column in zip(*leases, strict=True))
        if held != attempts:
            return None
        for offset in offsets:
            del worker.leases[offset]
        if worker.accused:
            worker.accused.difference_update(offsets)
        self.leased -= len(offsets)
        return lengths, seqs

    def end_each(self, worker: Worker, offsets: list[int], attempts: list[int]) -> list[Task | None]:
        """End these leases; return their tasks, None for each that is stale."""
        tasks: list[Task | None] = []
        for offset, attempt in zip(offsets, attempts, strict=True):
            leased_as, length, seq, _ = worker.leases.get(offset, _NO_LEASE)
            if leased_as != attempt:
                tasks.append(None)
            else:
                del worker.leases[offset]
                worker.accused.discard(offset)
                self.leased -= 1
                tasks.append((offset, length, seq))
        return tasks

    def check(self) -> None:
        """Raise AssertionError if the leases contradict what was counted."""
        assert self.leased == sum(len(worker.leases) for worker in self.by_rank.values()), "the leases are miscounted"
        for rank, worker in self.by_rank.items():
            assert all(attempt >= 1 for attempt, *_ in worker.leases.values())
            assert len(worker.leases) <= worker.granted, f"rank {rank} has more than it was granted"

    def _nodes_changed(self) -> None:
        self._all_slots = None
        self._quarantine.nodes_changed()
