"""How the ranks leave: the manager tells the workers to, and goes last.

The launcher shows the exit code of rank 0 only if the others have left with 0. And MPI_Finalize waits for every rank, for
one that is dead for ever: so there are two steps, and it is called only if all are there.
"""

from __future__ import annotations

import time

from mpifarm.launcher.frames import Killed
from mpifarm.ranks import wire
from mpifarm.ranks.comm import SENDING_WAIT_S, Comm
from mpifarm.ranks.wire import Note, Stop, Tag

GOODBYE_S = 10.0  # how long the workers may take to say that they have left; who has not is lost


def dismiss(comm: Comm, gone: set[int]) -> tuple[bool, Killed]:
    """Let the workers go, in two steps. Return whether all of them are there to take part in MPI_Finalize, and what they
    have killed of what tasks had left behind.

    A rank that died a moment ago may not have been missed yet, and MPI_Finalize would wait for it for ever: so everybody is
    asked once more.
    """
    awaited = set(range(1, comm.size)) - gone
    for rank in awaited:
        comm.send(rank, Tag.STOP, wire.pack_stop(Stop.LEAVE))
    until = time.monotonic() + GOODBYE_S
    left: set[int] = set()
    killed = Killed()
    while left < awaited and time.monotonic() < until:
        for received in comm.poll():
            report = wire.unpack_report(received.message) if received.tag is Tag.REPORT else None
            if report and report.notes & Note.LEFT and received.source not in left:
                left.add(received.source)
                killed += Killed.unpacked(report.output)
        awaited -= comm.take_lost()
        time.sleep(SENDING_WAIT_S)
    complete = len(left) == comm.size - 1
    for rank in left:
        comm.send(rank, Tag.STOP, wire.pack_stop(Stop.FINALIZE if complete else Stop.VANISH))
    until = time.monotonic() + GOODBYE_S
    while comm.backlog and time.monotonic() < until:
        for _ in comm.poll():
            pass
        time.sleep(SENDING_WAIT_S)
    return complete, killed
