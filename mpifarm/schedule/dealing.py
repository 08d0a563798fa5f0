"""Who gets how many. Pure, as the schedule is that asks it; which ones is the matter of `queue`.

Its rule: no slot stays idle while something waits, and nobody holds more than a share of what is left (laws 3 and 6 of
`schedule`). Tasks queued behind the slots of a rank save it the wait for the next grant, but they are out of the reach of
all others; so it has at most half its share of the rest, and that becomes less and less towards the end of the list.

While retries are in a hurry nothing is queued behind slots: they would wait there, and what is dealt before it is known
whether the farm stops may be too much.

Hundreds of thousands of tasks a second go through here, as columns: no call is made for one of them, unless it has been
tried before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mpifarm.schedule.answers import Grant
from mpifarm.schedule.history import Histories
from mpifarm.schedule.queue import Queue
from mpifarm.schedule.workers import Worker, Workers


def deal(workers: Workers, queue: Queue, histories: Histories, now: float, hurry: bool = False) -> list[Grant]:
    """Fill free slots; if more waits than that, let each rank hold half its share of the rest, as far as it asks.

    *hurry*: retries go first, and no slot has a queue.
    """
    waiting = queue.open_round(now, workers.leased, hurry)
    if not waiting:
        return []
    return _deal_among_the_fit(workers, queue, histories, waiting, hurry) + _deal_on_probation(
        workers, queue, histories, now
    )


def _deal_among_the_fit(workers: Workers, queue: Queue, histories: Histories, waiting: int, hurry: bool) -> list[Grant]:
    ready = workers.ready()
    free = sum(max(0, worker.opening) for _, worker in ready)
    all_slots = workers.all_slots()
    rest = max(0, waiting - free)
    grants: list[Grant] = []
    for rank, worker in ready:
        count = worker.opening
        if rest and not hurry:
            count = min(worker.room + rest * worker.slots // (2 * all_slots), worker.limit - worker.granted)
        elif free and not rest:
            count = -(-waiting * max(0, count) // free)  # rounded up, so that nothing is left
        if count > 0:
            elsewhere = workers.free_elsewhere if hurry else workers.elsewhere
            grants += _grant(workers, queue, histories, rank, worker, count, lambda: elsewhere(worker))  # noqa: B023
    return grants


def _deal_on_probation(workers: Workers, queue: Queue, histories: Histories, now: float) -> list[Grant]:
    grants: list[Grant] = []
    for rank, worker, count, avoid in workers.on_probation(now):
        tasks = queue.take_on_probation(worker, count, avoid, lambda: workers.elsewhere(worker))  # noqa: B023
        if tasks.offsets:
            grants.append(Grant(rank, *tasks, histories.attempts(tasks.offsets)))
            workers.lease_on_probation(worker, grants[-1], now)
    return grants


def _grant(
    workers: Workers,
    queue: Queue,
    histories: Histories,
    rank: int,
    worker: Worker,
    count: int,
    elsewhere: Callable[[], bool],
) -> Iterator[Grant]:
    room = max(0, worker.room)
    tasks = queue.take(worker, count, room, elsewhere)
    if not tasks.offsets:
        return
    grant = Grant(rank, *tasks, histories.attempts(tasks.offsets))
    workers.lease(worker, grant, room)
    yield grant
