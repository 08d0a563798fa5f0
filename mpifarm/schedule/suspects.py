"""Who may have taken the farm down: what is known when one has ended without a word. Pure; lock and fastrecovery keep it.

A farm that is killed from outside (kill -9, out of memory, power) says nothing about it, and the task that did it would be
dealt first at every start. So the lock file says how far dealing has gone, and whoever finds it finds out who was running:

1. Every task that was dealt and is not done may have been running: it is suspected once more. A farm that ends by itself,
   for whatever reason, raises nobody's count; workers that are lost do, one by one.
2. Suspects are dealt last, in the order (count, offset): what can be done without them is done. Those of count 1 go like
   others. The rest go one at a time, with nothing else on the whole farm, so that the next death convicts exactly one. If
   many have the same count, since a power cut struck them together, a hundredth of them goes at a time, and the hundredth
   that dies has a count, and so a bisection, of its own.
3. A task that was alone when the farm died, for the LIMITth time at least, has failed for good: by name, and exit code 1.
   Those that were suspected with it are acquitted. It stays convicted until a farm has ended by itself, or two of its kind
   would take turns; then it is tried again like all that has failed, and with its count: last, and alone.
4. A suspect that succeeds, or fails by itself, is cleared.

The words of the lock, of fixed width, rewritten in place:

    dealt=000000000000001035 tried=0000000002:000000000000000432-000000000000000432 crc=0badc0de

dealing had come to byte 1035, 0 if nothing was dealt; of the suspects of count 2 those from 432 to 432 were running, or may
have been. From count 2 on that means: and nothing else. A count of 0: no suspect was dealt.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mpifarm.schedule.retries import Task

Word = tuple[int, int, bool]  # offset, deaths, convicted

LIMIT = 3  # deaths
_MANY = 200  # suspects of one count; of more than that a part is dealt at a time
_PARTS = 100

_WORDS = re.compile(r"(dealt=(\d{18}) tried=(\d{10}):(\d{18})-(\d{18})) crc=([0-9a-f]{8})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Dealt:
    """How far dealing had gone, as a lock tells of it."""

    offset: int = 0
    count: int = 0
    first: int = 0
    last: int = 0

    @property
    def alone(self) -> bool:
        """Whether there was one task that ran, and no other."""
        return self.count > 1 and self.first == self.last

    def words(self) -> str:
        words = f"dealt={self.offset:018d} tried={self.count:010d}:{self.first:018d}-{self.last:018d}"
        return f"{words} crc={zlib.crc32(words.encode()):08x}"


NOTHING = Dealt()


def parse(text: str) -> Dealt:
    """Return what the words in the lock *text* say: that nothing was dealt, if they are torn or there are none."""
    match = _WORDS.search(text)
    if not match or int(match[6], 16) != zlib.crc32(match[1].encode()):
        return NOTHING
    return Dealt(*map(int, match.groups()[1:5]))


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What is thought of the tasks that are not done."""

    counts: dict[int, int] = field(default_factory=dict)  # deaths by offset
    convicted: frozenset[int] = frozenset()  # offsets of those that have taken a farm down
    raised: int = 0  # how many were running, perhaps, when the last farm ended

    def words(self) -> list[Word]:
        """Return what a checkpoint keeps."""
        return sorted((offset, deaths, offset in self.convicted) for offset, deaths in self.counts.items())


def judge(words: Iterable[Word], left: Iterable[int], dealt: Dealt) -> Suspicion:
    """Judge the tasks *left* undone by what a checkpoint has kept, and by how far the farm that ended had *dealt*."""
    left = list(left)
    kept = {offset: (deaths, convicted) for offset, deaths, convicted in words}
    counts = {offset: kept[offset][0] for offset in left if offset in kept}
    if not dealt.offset:
        return Suspicion(counts)
    convicted = frozenset(offset for offset in counts if kept[offset][1])
    running = [offset for offset, deaths in counts.items() if deaths == dealt.count and dealt.first <= offset <= dealt.last]
    if dealt.count <= 1:
        running += [offset for offset in left if offset < dealt.offset and offset not in counts]
    for offset in running:
        counts[offset] = counts.get(offset, 0) + 1
    if dealt.alone and running and counts[running[0]] >= LIMIT:
        convicted |= {running[0]}
        counts = {offset: counts[offset] for offset in convicted}
    return Suspicion(counts, convicted, len(running))


class Suspect(NamedTuple):
    """A task that may have taken a farm down, or *convicted* of it: not in this run again."""

    deaths: int
    task: Task
    convicted: bool = False


class Lineup:
    """The suspects of earlier runs, until they are dealt."""

    def __init__(self, suspects: Iterable[Suspect]) -> None:
        ordered = sorted((count, task) for count, task, convicted in suspects if not convicted)
        self.open: deque[Task] = deque(task for count, task in ordered if count < 2)
        self._lone = deque((count, task) for count, task in ordered if count >= 2)
        self._sizes = Counter(count for count, _ in self._lone)
        self.batch: deque[Task] = deque()  # of what goes alone: those whose turn it is
        self.tried = (0, 0, 0)  # as in Dealt

    def __len__(self) -> int:
        return len(self.open) + len(self._lone) + len(self.batch)

    @property
    def alone(self) -> bool:
        """Whether suspects have the farm to themselves."""
        return self.tried[0] > 1

    def take_open(self) -> Task:
        """Return the next one that goes like others."""
        task = self.open.popleft()
        self.tried = (1, 0, task[0])
        return task

    def next_batch(self) -> None:
        """Nothing is leased: it is the next ones' turn to have the farm to themselves."""
        self.tried = (0, 0, 0)
        if not self._lone:
            return
        count, (first, *_) = self._lone[0]
        size = self._sizes[count] // _PARTS if self._sizes[count] > _MANY else 1
        while self._lone and self._lone[0][0] == count and len(self.batch) < size:
            self.batch.append(self._lone.popleft()[1])
        self.tried = (count, first, self.batch[-1][0])

    def end_batch(self) -> None:
        """What had the farm to itself has ended."""
        self.tried = (0, 0, 0)

    def acquit(self) -> list[Task]:
        """Take out everybody."""
        free = [*self.batch, *self.open, *(task for _, task in self._lone)]
        for queue in (self.batch, self.open, self._lone):
            queue.clear()
        return free

    def tasks(self) -> Iterator[Task]:
        """Yield what waits."""
        yield from self.open
        yield from self.batch
        yield from (task for _, task in self._lone)
