"""Messages between ranks: over MPI, or in this process when there is one rank. The only importer of mpi4py.

The rule: never wait in MPI. Every MPI spins inside a blocking call, so what arrives is found by Iprobe between sleeps
(measured: a loop that sleeps 20 ms costs 0.4 % of a core), and what is sent is an Isend whose buffer is kept until it is
done. Nobody waits for a send to one rank: that rank may be dead, and most MPIs never tell. Those that have ULFM (Open MPI 5
with --with-ft ulfm) do, by an error of any call, again and again until it is acknowledged; MPICH over libfabric does when
it sends. Any other error of receiving names nobody, and is survived: it is said once, and tried again with the next look.
Who cannot be heard is silent, so the deadlines for that say who is lost, and if nobody is left the farm ends in order. Only
what MPICH itself calls a fatal error (a completion queue of libfabric that fails, after peers have gone without goodbye)
ends the process, whatever error handler is set: MPIR_Err_return_comm does not ask it then. After start-up there is no
collective; messages of one rank arrive in the order in which it sent them.

What a rank sends to itself takes the same road through a queue of this process, so manager and worker do not know
whether they live in one process.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np

from mpifarm import FarmError, NodeError, say
from mpifarm.ranks.wire import Message, Tag
from mpifarm.site import hosts
from mpifarm.site.packages import lacks

SENDING_WAIT_S = 0.001  # MPI moves a large message on only when it is called
PROBES = 3
_LOOKS = 64
_PLACE = np.dtype([("works", "?"), ("node", "S256"), ("host", "S256")])
CRASHED = 70  # exit code of a farm that fell over a bug of its own; EX_SOFTWARE of sysexits(3)
_LAUNCHER_S = 0.2  # how long the other processes may take to be gone once MPI_Finalize is over


class Received(NamedTuple):
    """A message that has arrived."""

    source: int
    tag: Tag
    message: Message


class Comm(Protocol):
    """A transport."""

    rank: int
    size: int

    def node_mates(self, node: str, host: str, works: bool) -> tuple[int, int, str]:
        """Return which of the working ranks of *host* this one is, how many there are, and what *node* is called.

        Collective, at start-up.
        """

    def send(self, rank: int, tag: Tag, message: Message) -> None:
        """Send without waiting."""

    def poll(self) -> Iterator[Received]:
        """Yield what has arrived."""

    def own(self) -> Iterator[Received]:
        """Yield what this rank has sent to itself, and leave the rest where it is."""

    @property
    def backlog(self) -> int:
        """Bytes of messages that are not yet on their way."""

    @property
    def remote(self) -> bool:
        """Whether messages may arrive from other processes, so that somebody has to look."""

    def take_lost(self) -> set[int]:
        """Return the ranks that MPI has found dead since the last call. Most MPIs never find any."""

    def leave(self, code: int, complete: bool) -> NoReturn:
        """End the process; *complete*: every other rank does the same, none is lost."""

    def abort(self, code: int) -> NoReturn:
        """End all ranks, loudly."""


class Loopback:
    """One rank alone."""

    rank = 0
    size = 1
    backlog = 0
    remote = False

    def __init__(self) -> None:
        self._queue: deque[Received] = deque()

    def node_mates(self, node: str, host: str, works: bool) -> tuple[int, int, str]:
        return 0, 1, node

    def send(self, rank: int, tag: Tag, message: Message) -> None:
        self._queue.append(Received(rank, tag, message))

    def poll(self) -> Iterator[Received]:
        while self._queue:
            yield self._queue.popleft()

    own = poll

    def take_lost(self) -> set[int]:
        return set()

    def leave(self, code: int, complete: bool) -> NoReturn:
        sys.exit(code)

    def abort(self, code: int) -> NoReturn:
        sys.exit(code)


class MpiComm:
    """The ranks of an MPI job."""

    remote = True

    def __init__(self, mpi: Any) -> None:
        self._mpi = mpi
        self._world = mpi.COMM_WORLD.Dup()  # messages of ours can be taken for nobody else's
        for comm in (mpi.COMM_WORLD, mpi.COMM_SELF, self._world):  # mpi4py does it, unless MPI4PY_RC_ERRORS says otherwise
            comm.Set_errhandler(mpi.ERRORS_RETURN)
        self.rank: int = self._world.Get_rank()
        self.size: int = self._world.Get_size()
        self._self = Loopback()
        self._sending: deque[tuple[Any, Message, int]] = deque()
        self._added = 0  # to these, since they were last looked at
        self._dead: set[int] = set()
        self._lost: set[int] = set()  # of these, what nobody has been told of
        self._acknowledged = 0
        self._complained = False
        self._status = mpi.Status()
        self.backlog = 0

    def node_mates(self, node: str, host: str, works: bool) -> tuple[int, int, str]:
        mine = np.array([(works, node.encode(), host.encode())], dtype=_PLACE)
        everyone = np.empty(self.size, dtype=_PLACE)
        self._world.Allgather([mine.view(np.uint8), self._mpi.BYTE], [everyone.view(np.uint8), self._mpi.BYTE])
        mates = np.flatnonzero(everyone == mine)
        others = zip(everyone["node"].tolist(), everyone["host"].tolist(), strict=True)
        name: bytes = hosts.shown(mine["node"].item(), mine["host"].item(), others)
        return int(np.searchsorted(mates, self.rank)), mates.size, name.decode(errors="replace")

    def send(self, rank: int, tag: Tag, message: Message) -> None:
        if rank == self.rank:
            self._self.send(rank, tag, message)
        elif rank not in self._dead:
            try:
                request = self._world.Isend([message, self._mpi.BYTE], dest=rank, tag=tag)
            except self._mpi.Exception:  # MPICH over libfabric finds that the connection is gone; over UCX nobody does
                self._bury(rank)
                return
            self._sending.append((request, message, rank))
            self._added += 1
            self.backlog += message.size

    def own(self) -> Iterator[Received]:
        yield from self._self.poll()
        self._let_go()

    def poll(self) -> Iterator[Received]:
        yield from self.own()
        while received := self._receive():
            yield received

    def _receive(self) -> Received | None:
        """Return the next message, None if there is none."""
        try:
            # One Iprobe that finds nothing may just have moved a message from the network into reach of the next one:
            # measured with MPICH 5, where a single one per turn delays a message by several turns.
            if not any(self._world.Iprobe(status=self._status) for _ in range(PROBES)):
                return None
            source, tag = self._status.Get_source(), self._status.Get_tag()
            message = np.empty(self._status.Get_count(self._mpi.BYTE), dtype=np.uint8)
            self._world.Recv([message, self._mpi.BYTE], source=source, tag=tag)
        except self._mpi.Exception as error:
            if not self._acknowledge():
                self._complain(error)
            return None
        return Received(source, Tag(tag), message)

    def _complain(self, error: Exception) -> None:
        """Say that nothing can be received, once."""
        if not self._complained:
            self._complained = True
            told = " ".join(str(error).split())
            say(f"rank {self.rank}: MPI cannot receive: {told}: trying again; who stays silent is taken for lost")

    def _acknowledge(self) -> bool:
        """Bury the ranks that ULFM has found dead, so that it lets us receive again; return whether there are new ones."""
        try:
            failed = self._world.Get_failed()
            ranks = self._mpi.Group.Translate_ranks(failed, range(failed.size), self._world.group)
            self._world.Ack_failed()
        except (self._mpi.Exception, NotImplementedError):  # no ULFM: it was another error
            return False
        for rank in ranks:
            self._bury(rank)
        known, self._acknowledged = self._acknowledged, len(ranks)
        return self._acknowledged > known

    def _let_go(self) -> None:
        """Forget what has been sent. A dead rank's messages stay: they are few, and end with the process.

        Thousands may wait for ranks that are slow, so each call looks at some: more than were added since the last one.
        """
        looks, self._added = self._added + _LOOKS, 0
        for _ in range(min(looks, len(self._sending))):
            request, message, rank = self._sending.popleft()
            try:
                sent = rank in self._dead or request.Test()
            except self._mpi.Exception:
                self._bury(rank)
                sent = True
            if sent:
                self.backlog -= message.size
            else:
                self._sending.append((request, message, rank))

    def _bury(self, rank: int) -> None:
        if rank not in self._dead:
            self._dead.add(rank)
            self._lost.add(rank)

    def take_lost(self) -> set[int]:
        lost, self._lost = self._lost, set()
        return lost

    def leave(self, code: int, complete: bool) -> NoReturn:
        _flush()
        if not complete:  # MPI_Finalize would wait for the lost rank: with srun and MPICH for ever
            os._exit(code)
        self._mpi.Finalize()
        if self.rank == 0 and code:
            # Open MPI's mpiexec complains, and kills, if this is not the last process to go.
            time.sleep(_LAUNCHER_S)
        sys.exit(code)  # not os._exit: MPICH says goodbye to Hydra in an exit handler, and is taken for crashed without

    def abort(self, code: int) -> NoReturn:
        _flush()
        self._world.Abort(code)
        os._exit(code)


def _flush() -> None:
    """Write out what others, mpi4py say, have printed: our own output does not go there. They may be None."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            if stream is not None:
                stream.flush()


def connect(launched_ranks: int, advice: Callable[[str, str], str | None], fallback: str) -> Comm:
    """Start MPI, and return the transport of this process.

    Where the launcher says that it started several ranks, and MPI cannot see them, there would be as many managers on one
    list: raises FarmError. *advice*, given vendor and version of the MPI library, returns what is wrong with the way in
    which it was launched, and is asked before MPI_Init, which may abort; *fallback* is what is said if it knows nothing.
    """
    try:
        mpi4py = importlib.import_module("mpi4py")
        mpi4py.rc.initialize, mpi4py.rc.finalize = False, True
        mpi = importlib.import_module("mpi4py.MPI")
    except Exception as error:  # no mpi4py, a broken one, or no MPI library that it can load
        if launched_ranks > 1:
            raise NodeError(f"{lacks('mpi4py', 'mpi4py', error)}; {fallback}") from None
        return Loopback()
    advised = advice(mpi.get_vendor()[0], mpi.Get_library_version())
    if advised and launched_ranks > 1:
        raise FarmError(advised)
    if advised:  # one rank needs no MPI, and Open MPI's MPI_Init aborts in a step that has no PMIx
        return Loopback()
    mpi.Init_thread(mpi.THREAD_SINGLE)
    comm = MpiComm(mpi)
    if comm.size > 1:
        return comm
    if launched_ranks > 1:
        raise FarmError(f"MPI sees 1 rank, but the launcher started {launched_ranks}: {fallback}")
    return Loopback()
