"""What waits, and in which order it goes. Pure, as the schedule is that asks it.

Its rule: only what is out of order is held. The rest of the list is one number, the dealing offset, behind `fresh`, which
hands out the next tasks as it is asked for them.

What goes first (laws 4 to 6 of `schedule`):

1. What the next loss convicts: one at a time on a worker, and no other suspect beside it.
2. Other suspects of this run: their worker was lost. Only into free slots, as those before, so that it is known what was
   running; as long as more of them wait, nothing is queued behind the slots of their worker.
3. What is dealt again uncharged, the last that came back from a lost worker first; then the rest of the list.
4. When the list has ended: retries that are due, then suspects of earlier runs that go like others. Retries that are in a
   hurry go before 3.
5. When nothing else is there, and nothing runs: suspects of earlier runs that have the farm to themselves.

A node that is not fit (see `quarantine`) gets of 3 and of the retries.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpifarm.schedule.history import Histories
from mpifarm.schedule.retries import Retries, Task
from mpifarm.schedule.suspects import Lineup, Suspect
from mpifarm.schedule.workers import Worker

Records = NDArray[np.void]  # with the fields offset, length and seq: a Task each


class Tasks(NamedTuple):
    """Tasks as columns."""

    offsets: list[int]
    lengths: list[int]
    seqs: list[int]

    def append(self, task: Task) -> None:
        """Add one."""
        for column, value in zip(self, task, strict=True):
            column.append(value)


class Queue:
    """The tasks that wait."""

    def __init__(
        self,
        fresh: Callable[[int], Records],
        fresh_left: int,
        again: Records,
        suspects: Sequence[Suspect],
        histories: Histories,
    ) -> None:
        """*fresh*, *fresh_left*, *again* and *suspects* are as in `Schedule`; *histories* say who is a suspect by now."""
        self._fresh = fresh
        self._histories = histories
        self._fresh_left = fresh_left
        self._front: deque[Task] = deque(again[["offset", "length", "seq"]].tolist())
        self._suspected: deque[Task] = deque()  # their worker was lost: they go before those in front
        self._isolated: deque[Task] = deque()  # one more loss convicts them: they go before all
        self.lineup = Lineup(suspects)
        self.retries = Retries()
        self._hurry = False  # retries go before the rest of the list

    def __len__(self) -> int:
        accused = len(self._suspected) + len(self._isolated) + len(self.lineup)
        return self._fresh_left + len(self._front) + accused + len(self.retries)

    def tasks(self) -> Iterator[Task]:
        """Yield what waits, but for the rest of the list."""
        return chain(self._front, self._suspected, self._isolated, self.retries.tasks(), self.lineup.tasks())

    # what comes back

    def add(self, task: Task) -> None:
        """*task* is dealt again, uncharged, behind its like."""
        self._place(task[0]).append(task)

    def put_back(self, tasks: Iterable[Task]) -> None:
        """*tasks* are dealt again, uncharged, before their like."""
        for task in sorted(tasks, reverse=True):
            self._place(task[0]).appendleft(task)

    def put_in_front(self, tasks: Iterable[Task]) -> None:
        """*tasks* are dealt again as if nobody suspected them."""
        self._front.extend(sorted(tasks))

    def acquit(self, carried: bool) -> None:
        """The histories have acquitted suspects, *carried*: those of earlier runs, too. Each goes where it belongs now."""
        waiting = [*self._isolated, *self._suspected, *(self.lineup.acquit() if carried else ())]
        self._isolated.clear()
        self._suspected.clear()
        self.put_back(waiting)

    def _place(self, offset: int) -> deque[Task]:
        """Return where a task goes that is dealt again uncharged."""
        if self._histories.one_more_convicts(offset):
            return self._isolated
        return self._suspected if self._histories.is_suspect(offset) else self._front

    # what goes out

    def open_round(self, now: float, leased: int, hurry: bool) -> int:
        """A round of dealing begins: see which retries and suspects it is the turn of. Return how many may be dealt.

        *hurry*: retries go first, and at once.
        """
        self._hurry = hurry
        lineup = self.lineup
        if lineup.alone and not lineup.batch and not leased:
            lineup.end_batch()
        others = self._fresh_left + len(self._front) + len(self._suspected) + len(self._isolated) + len(lineup.open)
        retries = self.retries.open_round(now, busy=bool(leased or others) and not hurry) and len(self.retries)
        if not (lineup.alone or leased or others or self.retries):
            lineup.next_batch()
        return len(lineup.batch) if lineup.alone else others + retries

    def take(self, worker: Worker, count: int, room: int, elsewhere: Callable[[], bool]) -> Tasks:
        """Return at most *count* tasks for a worker that has *room* slots free; *elsewhere*: as in `Retries.take`."""
        tasks = Tasks([], [], [])
        if self.lineup.alone:
            self._accuse(worker, self.lineup.batch.popleft, len(self.lineup.batch), min(count, room), tasks)
            return tasks
        if (self._isolated or self._suspected) and self._take_suspects(worker, min(count, room), tasks):
            count = min(count, room)  # a slot that becomes free is for the next one
        if self._hurry:
            self._take_retries(worker, count, elsewhere, tasks)
        while self._front and len(tasks.offsets) < count:
            tasks.append(self._front.popleft())
        self._take_in_order(worker, count, elsewhere, tasks)
        if self.lineup.open and not self._fresh_left and not self._in_isolation(worker):
            most = min(count, room) - len(tasks.offsets)
            self._accuse(worker, self.lineup.take_open, len(self.lineup.open), most, tasks)
        return tasks

    def take_on_probation(
        self, worker: Worker, count: int, avoid: AbstractSet[int], elsewhere: Callable[[], bool]
    ) -> Tasks:
        """Return at most *count* tasks for a node that is not fit: no suspects, and those that it should *avoid* last."""
        tasks = Tasks([], [], [])
        if self.lineup.alone:
            return tasks
        avoided = 0
        while avoided < len(self._front) and len(tasks.offsets) < count:
            if self._front[avoided][0] in avoid:
                avoided += 1
                continue
            tasks.append(self._front[avoided])
            del self._front[avoided]
        self._take_in_order(worker, count, elsewhere, tasks)
        while self._front and len(tasks.offsets) < count:
            tasks.append(self._front.popleft())
        return tasks

    def _take_in_order(self, worker: Worker, count: int, elsewhere: Callable[[], bool], tasks: Tasks) -> None:
        """Add the rest of the list, then retries that are due, up to *count* in all."""
        if self._fresh_left and len(tasks.offsets) < count:
            wanted = count - len(tasks.offsets)
            fresh = self._fresh(wanted)
            # The list may have ended, whatever was thought before.
            self._fresh_left = self._fresh_left - fresh.size if fresh.size == wanted else 0
            for column, name in zip(tasks, ("offset", "length", "seq"), strict=True):
                column.extend(fresh[name].tolist())
        if not self._fresh_left:
            self._take_retries(worker, count, elsewhere, tasks)

    def _take_retries(self, worker: Worker, count: int, elsewhere: Callable[[], bool], tasks: Tasks) -> None:
        while len(tasks.offsets) < count and (retry := self.retries.take(worker.node, elsewhere)):
            tasks.append(retry)

    def _take_suspects(self, worker: Worker, count: int, tasks: Tasks) -> bool:
        """Add what may have killed a worker in this run; return whether more of that waits that *worker* may have."""
        if self._isolated and not self._accused(worker):
            self._accuse(worker, self._isolated.popleft, 1, count, tasks)
            return not tasks.offsets
        if self._in_isolation(worker):
            return False
        self._accuse(worker, self._suspected.popleft, len(self._suspected), count, tasks)
        return bool(self._suspected)

    def _accuse(self, worker: Worker, take: Callable[[], Task], waiting: int, most: int, tasks: Tasks) -> None:
        """Add suspects for *worker*: as many as wait, and *most* at the most."""
        for _ in range(min(waiting, most)):
            task = take()
            worker.accused.add(task[0])
            tasks.append(task)

    def _accused(self, worker: Worker) -> list[int]:
        """Return the suspects that *worker* has; some may have been acquitted since it got them."""
        return [offset for offset in worker.accused if self._histories.is_suspect(offset)]

    def _in_isolation(self, worker: Worker) -> bool:
        return any(self._histories.one_more_convicts(offset) for offset in worker.accused)
