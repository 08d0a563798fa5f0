"""The one loop of a rank, whether it is manager, worker or both.

Take what has arrived, let worker and manager have their turn, and wait, in one place, for a signal, the launcher, whoever
reads what is printed, or the next look at MPI.

The rule: nothing else waits. While the reader of standard output takes his time, rank 0 takes no more from the workers, and
that is all: signals, limits and the clock go on. What it does not take stays in MPI, so the workers, and then their
helpers, slow down by themselves.
"""

from __future__ import annotations

import select
import time

from mpifarm.ranks.backoff import Backoff
from mpifarm.ranks.comm import SENDING_WAIT_S, Comm
from mpifarm.ranks.manager import Manager
from mpifarm.ranks.signals import Signals
from mpifarm.ranks.wire import Stop, Tag
from mpifarm.ranks.worker import MOST_UNSENT_BYTES, ManagerLost, State, Worker
from mpifarm.schedule.answers import How

LOOPBACK_WAIT_S = 0.5  # nobody else sends anything: only the clock has to be looked at
# Each look costs a tenth of a millisecond in a process that has slept. What a long wait of rank 0 delays the workers'
# prefetch hides; a worker looks so often only while its slots may be idle.
MANAGER_WAIT_S = 0.005
WORKER_WAIT_S = 0.001
TURN_BYTES = 16 * 1024 * 1024  # messages taken before what they say is written


def run(comm: Comm, manager: Manager | None, worker: Worker | None, signals: Signals) -> None:
    """Work until the manager has finished or the worker was told to go."""
    looked = time.monotonic()
    backoff = Backoff(looked, MANAGER_WAIT_S if manager else WORKER_WAIT_S)
    while True:
        now = time.monotonic()
        if manager:
            manager.was_away(now - looked)
        looked = now
        full = manager is not None and manager.full
        active, drained = _receive(comm, manager, worker, now, full)
        _hear(comm, manager, worker, signals, now)
        if worker:
            active = worker.turn(now, MOST_UNSENT_BYTES if full else comm.backlog) or active
            if worker.state is State.GONE and not manager:
                return
        if manager:
            manager.turn(now, drained)
            if manager.outcome is not None:
                return
        if active:
            backoff.reset(now)
        if not drained or (active and manager):  # what a turn of rank 0 sends may be to itself
            continue
        wait_s = backoff.wait_s(now) if comm.remote else LOOPBACK_WAIT_S
        _wait(comm, manager, worker, signals, _bounded(wait_s, manager, worker, now))


def _hear(comm: Comm, manager: Manager | None, worker: Worker | None, signals: Signals, now: float) -> None:
    """Hand on what did not come as a message: ranks that MPI has found dead, and signals."""
    for rank in comm.take_lost():
        if manager:
            manager.lose(rank)
        elif rank == 0:
            raise ManagerLost("rank 0 is gone")
    for how, name in signals.take():
        if manager:
            manager.stop(how, now, f"{name}: stopping" if how is not How.DRAIN else f"{name}: draining")
        elif worker:
            worker.on_signal(Stop(how), now)


def _receive(comm: Comm, manager: Manager | None, worker: Worker | None, now: float, full: bool) -> tuple[bool, bool]:
    """Hand on what has arrived, only what is from this rank if the manager is *full*; return whether there was something,
    and whether that was all."""
    taken = 0
    active = False
    for received in comm.own() if full else comm.poll():
        active = True
        if received.tag in (Tag.GRANT, Tag.STOP) or manager is None:
            if worker:
                worker.on_message(received, now)
        else:
            manager.on_message(received, now)
        taken += received.message.size
        if taken > TURN_BYTES:
            return True, False
    return active, True


def _bounded(wait_s: float, manager: Manager | None, worker: Worker | None, now: float) -> float:
    """Return how long to wait: a worker that has enough to do can take its time, the end of the job cannot."""
    if manager:
        return max(0.0, min(wait_s, manager.due_at - now))
    return max(wait_s, worker.patience_s) if worker else wait_s


def _wait(comm: Comm, manager: Manager | None, worker: Worker | None, signals: Signals, wait_s: float) -> None:
    if comm.backlog:
        wait_s = min(wait_s, SENDING_WAIT_S)
    poll = select.poll()
    for descriptor in (signals.descriptor, *(worker.descriptors if worker else ())):
        poll.register(descriptor, select.POLLIN)
    for descriptor in manager.outputs if manager else ():
        poll.register(descriptor, select.POLLOUT)
    for descriptor, _ in poll.poll(wait_s * 1000):
        if descriptor == signals.descriptor:
            signals.clear()
