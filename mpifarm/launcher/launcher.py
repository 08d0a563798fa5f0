"""The worker's handle on the helper processes that run its tasks.

The helpers are forked from a small, single-threaded interpreter before numpy and MPI are imported. Why a process of its
own: a task inherits nothing that MPI_Init leaves behind; nothing is ever forked in a process that has registered memory
with a network card; when the rank is killed -9 its helpers read end-of-file and kill what runs.

The other way round, a helper that is killed -9 leaves its tasks to the worker: both share a table of the tasks' sessions,
and the worker kills what stands in it.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import signal
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from mpifarm.launcher import capture, helper
from mpifarm.launcher.frames import (
    ENTRY,
    KILLED_AT,
    MAX_SLOTS,
    REPLY,
    SESSION,
    SHELL,
    TABLE_BYTES,
    Killed,
    Order,
    Reply,
    Task,
    order,
)
from mpifarm.launcher.processes import Children, census, kill_adopted, sessions_of, signal_session

CPUS_PER_HELPER = 32  # one helper starts some 700 tasks a second; on two cores a second helper only takes turns with it
MAX_HELPERS = 8


class HelperLost(Exception):
    """A helper process is gone, and its tasks with it."""


@dataclass(slots=True)
class Handle:
    """The worker's end of one helper. Its place in the list of helpers is its lane."""

    pid: int
    connection: socket.socket
    table: mmap.mmap  # SESSION for each slot: the session that runs there, or 0; then a Killed
    slots: int = 0
    busy: int = 0  # tasks that it has and has not reported
    received: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class Frame:
    """A message of a helper."""

    lane: int
    kind: Reply
    records: int
    body: bytes


def fork_helpers(cpus: int, environ: Mapping[str, str], start_s: float = math.inf) -> list[Handle]:
    """Fork the helpers of a rank that may use *cpus* CPUs; their tasks get *environ*. To be called before MPI exists.

    If the rank has not called `Launcher.ready` within *start_s* seconds, it is killed: MPI_Init waits for all ranks, and if
    one of them never starts, for ever.
    """
    handles: list[Handle] = []
    for _ in range(max(1, min(MAX_HELPERS, cpus // CPUS_PER_HELPER))):
        ours, theirs = socket.socketpair()
        table = mmap.mmap(-1, TABLE_BYTES)
        pid = os.fork()
        if not pid:
            try:
                helper.main(theirs, table, environ, start_s)
            finally:
                os._exit(1)  # whatever happened there, this must not go on as a second rank
        theirs.close()
        handles.append(Handle(pid, ours, table))
    return handles


class Launcher:
    """Runs tasks in the slots of its helpers."""

    def __init__(self, helpers: Sequence[Handle], shell: str = SHELL) -> None:
        """*shell* runs the lines."""
        self.killed = Killed()
        self._helpers = list(helpers)
        self._shell = shell
        self._children = Children()
        self._born: set[int] = set()  # children of this process: what comes later was a helper's

    @property
    def most_slots(self) -> int:
        """How many slots there can be, by the descriptors that the helpers may open."""
        return min(MAX_SLOTS, len(self._helpers) * capture.most_slots())

    def ready(self) -> None:
        """Tell the helpers that MPI has started."""
        self._order_all(Order.READY)

    def set_up(self, node: str, slots: int, first_slot: int, widen: bool = False, cpus: int = 0) -> None:
        """Divide *slots* slots, numbered from *first_slot*, among the helpers. To be called once, before `start`.

        *widen*: let tasks use all the CPUs that the job allows, even if this process is bound to fewer. *cpus*: of a slot,
        what a Slurm job's tasks are told; 0: nothing.
        """
        self._born = self._children.pids() or set()
        for handle in self._helpers[slots:]:
            _close(handle)
        self._helpers = self._helpers[:slots]
        for lane, handle in enumerate(self._helpers):
            handle.slots = slots // len(self._helpers) + (lane < slots % len(self._helpers))
            settings = {
                "node": node, "threads": slots, "first_slot": first_slot, "slots": handle.slots, "widen": widen,
                "cpus": cpus, "shell": self._shell,
            }  # fmt: skip
            first_slot += handle.slots
            self._send(handle, order(Order.SETUP, json.dumps(settings).encode()))

    def start(self, tasks: Iterable[Task]) -> None:
        """Run *tasks*; what finds no free slot waits for one."""
        bodies: list[list[bytes]] = [[] for _ in self._helpers]
        for *numbers, command in tasks:
            lane = max(range(len(self._helpers)), key=self._room) if len(self._helpers) > 1 else 0
            self._helpers[lane].busy += 1
            bodies[lane] += (ENTRY.pack(*numbers, len(command)), command)
        for handle, body in zip(self._helpers, bodies, strict=True):
            if body:
                self._send(handle, order(Order.START, b"".join(body)))

    def recall(self) -> None:
        """Give back what has not started."""
        self._order_all(Order.RECALL)

    def terminate(self) -> None:
        """Give back what has not started; end what runs: TERM, after 5 s KILL."""
        self._order_all(Order.TERMINATE)

    def kill(self) -> None:
        """Give back what has not started; KILL what runs."""
        self._order_all(Order.KILL)

    def descriptors(self) -> list[int]:
        """Return what to poll for reading."""
        return [handle.connection.fileno() for handle in self._helpers]

    def read(self) -> list[Frame]:
        """Return what the helpers have said, without waiting. Raises HelperLost, after the last words of all of them."""
        frames: list[Frame] = []
        lost: Handle | None = None
        for lane, handle in enumerate(self._helpers):
            if not self._receive(handle):
                lost = handle
            at = 0
            while len(handle.received) - at >= REPLY.size:
                kind, records, length = REPLY.unpack_from(handle.received, at)
                end = at + REPLY.size + length
                if len(handle.received) < end:
                    break
                frames.append(Frame(lane, Reply(kind), records, bytes(handle.received[at + REPLY.size : end])))
                handle.busy -= records
                at = end
            del handle.received[:at]
        if lost and not frames:
            self._lose(lost)
        return frames

    def close(self) -> None:
        """Let the helpers go. They kill what still runs; `killed` is what tasks had left behind of it."""
        for handle in self._helpers:
            _close(handle)
            self.killed += Killed.unpacked(handle.table[KILLED_AT:])
        self._helpers = []

    def _room(self, lane: int) -> int:
        return self._helpers[lane].slots - self._helpers[lane].busy

    def _order_all(self, kind: Order) -> None:
        for handle in self._helpers:
            self._send(handle, order(kind))

    def _send(self, handle: Handle, frame: bytes) -> None:
        with suppress(ConnectionError):  # `read` will find that it is gone, after what it has said before
            handle.connection.sendall(frame)  # cannot block for long: a helper always reads

    def _receive(self, handle: Handle) -> bool:
        """Take what has come from a helper; return whether it is there."""
        try:
            received = handle.connection.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        handle.received += received
        return bool(received)

    def _lose(self, handle: Handle) -> NoReturn:
        sessions = sessions_of(census())
        for index in range(handle.slots):
            (session,) = SESSION.unpack_from(handle.table, index * SESSION.size)
            signal_session(session, signal.SIGKILL, sessions)
        self.close()
        kill_adopted(self._children, self._born)
        raise HelperLost(f"the launcher's helper, process {handle.pid}, is gone; its tasks were killed")


def _close(handle: Handle) -> None:
    handle.connection.close()
    with suppress(ChildProcessError):  # `kill_adopted` was first
        os.waitpid(handle.pid, 0)
