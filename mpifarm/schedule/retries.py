"""What has failed and waits for its next attempt. Pure, as the schedule is that asks it.

Three attempts within a hundredth of a second are one: a file system that hiccups, or a directory that another task is
about to make, fails them all. So an attempt that follows a failure becomes due a pause later, as long as there is other
work to wait for; when nothing else is there, waiting changes nothing, and all go at once. What is due goes to another
node first; to its own one if there is no other, or if none had a free slot within PATIENCE_S.

Nor do they wait, or go behind anything, when they are in a hurry: as soon as what has failed once may be too much for
--max-fails, they decide about that (law 10 of `schedule`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from heapq import heapify, heappop, heappush
from typing import NamedTuple

Task = tuple[int, int, int]  # offset, length and seq

PAUSES_S = (1.0, 10.0)  # before the second attempt, and before each later one
PATIENCE_S = 5.0  # how long a retry that is due waits for a slot on another node while its own has one free


class _Retry(NamedTuple):
    due: float
    task: Task
    since: float


class Retries:
    """The tasks that wait, by the node where they failed, in the order in which they become due."""

    def __init__(self) -> None:
        self._queues: dict[str, list[_Retry]] = {}  # heaps, none empty
        self._ripe: list[str] = []  # the nodes that had a retry to deal when the round began, the next one last
        self._now = 0.0
        self._at_once = False

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def add(self, node: str, task: Task, failures: int, now: float) -> None:
        """*task* has failed on *node*, for the *failures*th time."""
        due = now + PAUSES_S[min(failures, len(PAUSES_S)) - 1]
        heappush(self._queues.setdefault(node, []), _Retry(due, task, now))

    def open_round(self, now: float, busy: bool) -> bool:
        """A round of dealing begins; *busy*: there is other work, and no hurry. Return whether a retry may be dealt in it.

        That is decided once a round: otherwise the first retry that is granted would make the others wait.
        """
        self._now, self._at_once = now, not busy
        self._ripe = [node for node, queue in self._queues.items() if self._at_once or queue[0].due <= now]
        return bool(self._ripe)

    def take(self, node: str, elsewhere: Callable[[], bool]) -> Task | None:
        """Return what *node* may try now, None if there is nothing; *elsewhere*: its own ones are for other nodes."""
        ripe = self._ripe
        while ripe:
            if not self._is_due(ripe[-1], 0.0):
                ripe.pop()  # each node once: with thousands of them, to look again for every slot would take seconds
            elif ripe[-1] != node:
                return self._pop(ripe[-1])
            elif len(ripe) > 1:
                ripe[0], ripe[-1] = ripe[-1], ripe[0]
            else:
                return self._pop(node) if self._is_due(node, PATIENCE_S) or not elsewhere() else None
        return None

    def remove(self, offsets: Set[int]) -> list[Task]:
        """Take out those of *offsets* that wait here."""
        found: list[Task] = []
        for node, queue in list(self._queues.items()):
            taken = [retry.task for retry in queue if retry.task[0] in offsets]
            if taken:
                found += taken
                self._replace(node, [retry for retry in queue if retry.task[0] not in offsets])
        return found

    def tasks(self) -> Iterator[Task]:
        """Yield what waits."""
        return (retry.task for queue in self._queues.values() for retry in queue)

    def _is_due(self, node: str, patience_s: float) -> bool:
        queue = self._queues.get(node)
        if not queue:
            return False
        return self._now >= (queue[0].since if self._at_once else queue[0].due) + patience_s

    def _pop(self, node: str) -> Task:
        retry = heappop(self._queues[node])
        if not self._queues[node]:
            del self._queues[node]
        return retry.task

    def _replace(self, node: str, queue: list[_Retry]) -> None:
        heapify(queue)
        if queue:
            self._queues[node] = queue
        else:
            del self._queues[node]
