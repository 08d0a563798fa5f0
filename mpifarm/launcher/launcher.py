"""The worker's handle on the helper processes that run its tasks.

The helpers are forked from a small, single-threaded interpreter before numpy and MPI are imported. Why a process of its
own: a task inherits nothing that MPI_Init leaves behind; nothing is ever forked in a process that has registered memory
with a network card; when the rank is killed -9 its helpers read end-of-file and kill what runs.

The other way round, a helper that is killed -9 leaves its tasks to the worker: both share a table of the tasks' sessions,
and the worker kills what stands in it. Who has to go and does not, and what is left when all of these are gone, is the
`guardian`'s.

Its rule: no helper is waited for without end. One that is stopped, or hangs in the kernel, does not read, and does not
answer: so nothing is sent with patience, and after an order to end what runs it has ANSWER_S, beside the grace of the
tasks. Who has said nothing by then is killed, and lost.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import select
import signal
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from mpifarm.awake import Awake
from mpifarm.launcher import capture, guardian
from mpifarm.launcher.frames import (
    ENTRY,
    KILLED_AT,
    MAX_SLOTS,
    REPLY,
    SHELL,
    TABLE_BYTES,
    Killed,
    Order,
    Reply,
    Task,
    order,
)
from mpifarm.launcher.guardian import Guard
from mpifarm.launcher.patience import Word
from mpifarm.launcher.processes import Children, kill_adopted, wait_for
from mpifarm.settings import KILL_AFTER_S

CPUS_PER_HELPER = 32  # one helper starts some 700 tasks a second; on two cores a second helper only takes turns with it
MAX_HELPERS = 8
ANSWER_S = 5.0  # how long a helper may take to say that all is dead, once it has to be
SEND_S = 1.0  # how long the worker waits for a helper to take an order: it always reads, if it is not stopped


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
    unsent: bytearray = field(default_factory=bytearray)
    heard: float = 0.0  # when it has last said something, on the launcher's clock


@dataclass(frozen=True, slots=True)
class Crew:
    """The helpers of a rank, and their guardian."""

    guard: Guard
    helpers: list[Handle]

    def dismiss(self) -> None:
        """Let all of them go: this process ends in order."""
        for handle in self.helpers:
            handle.connection.close()
        self.guard.dismiss()


@dataclass(frozen=True, slots=True)
class Frame:
    """A message of a helper."""

    lane: int
    kind: Reply
    records: int
    body: bytes


def fork_helpers(cpus: int, environ: Mapping[str, str], start_s: float = math.inf) -> Crew:
    """Fork the helpers of a rank that may use *cpus* CPUs; their tasks get *environ*. To be called before MPI exists.

    If the rank has not called `Launcher.ready` within *start_s* seconds, it is killed: MPI_Init waits for all ranks, and if
    one of them never starts, for ever. Raises OSError.
    """
    count = max(1, min(MAX_HELPERS, cpus // CPUS_PER_HELPER))
    pairs = [socket.socketpair() for _ in range(count)]
    tables = [mmap.mmap(-1, TABLE_BYTES) for _ in range(count)]
    guard, pids = guardian.fork(
        [(theirs, table) for (_, theirs), table in zip(pairs, tables, strict=True)], environ, start_s
    )
    for _, theirs in pairs:
        theirs.close()
    return Crew(guard, [Handle(pid, ours, table) for pid, (ours, _), table in zip(pids, pairs, tables, strict=True)])


class Launcher:
    """Runs tasks in the slots of its helpers."""

    def __init__(self, crew: Crew, shell: str = SHELL, kill_after_s: float = KILL_AFTER_S) -> None:
        """*shell* runs the lines; *kill_after_s* is between the TERM of a task and its KILL."""
        self.killed = Killed()
        self._guard = crew.guard
        self._helpers = list(crew.helpers)
        self._lanes = [handle.pid for handle in crew.helpers]
        self._clock = Awake(time.monotonic())
        self._end_by = math.inf  # when all that runs has to be dead, and reported
        self._shell = shell
        self._kill_after_s = kill_after_s
        self._children = Children()
        self._born: set[int] = set()  # children of this process: what comes later was a helper's

    @property
    def most_slots(self) -> int:
        """How many slots there can be, by the descriptors that the helpers may open."""
        return min(MAX_SLOTS, len(self._helpers) * capture.most_slots())

    def ready(self, manages: bool) -> None:
        """MPI has started; *manages*: this is rank 0."""
        self._guard.tell(Word.MANAGES if manages else Word.WORKS)

    def set_up(self, node: str, slots: int, first_slot: int, widen: bool = False, cpus: int = 0) -> None:
        """Divide *slots* slots, numbered from *first_slot*, among the helpers. To be called once, before `start`.

        *widen*: let tasks use all the CPUs that the job allows, even if this process is bound to fewer. *cpus*: of a slot,
        what a Slurm job's tasks are told; 0: nothing.
        """
        self._born = self._children.pids() or set()
        self._let_go(self._helpers[slots:])
        self._helpers = self._helpers[:slots]
        for lane, handle in enumerate(self._helpers):
            handle.slots = slots // len(self._helpers) + (lane < slots % len(self._helpers))
            settings = {
                "node": node, "threads": slots, "first_slot": first_slot, "slots": handle.slots, "widen": widen,
                "cpus": cpus, "shell": self._shell, "kill_after_s": self._kill_after_s,
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
        """Give back what has not started; end what runs: TERM, then KILL."""
        self._order_all(Order.TERMINATE)
        self._has_to_end(self._kill_after_s)

    def kill(self) -> None:
        """Give back what has not started; KILL what runs."""
        self._order_all(Order.KILL)
        self._has_to_end(0.0)

    def descriptors(self) -> list[int]:
        """Return what to poll for reading."""
        return [handle.connection.fileno() for handle in self._helpers]

    def read(self) -> list[Frame]:
        """Return what the helpers have said, without waiting. Raises HelperLost, after the last words of all of them."""
        frames: list[Frame] = []
        lost: Handle | None = None
        now = self._clock.turn(time.monotonic())
        for lane, handle in enumerate(self._helpers):
            self._flush(handle)
            before = len(handle.received)
            if not self._receive(handle):
                lost = handle
            elif len(handle.received) > before:
                handle.heard = now
            frames += _unpack(lane, handle)
        if not any(handle.busy for handle in self._helpers):
            self._end_by = math.inf  # all is dead and reported: a worker that joins again may start anew
        if lost and not frames:
            self._lose(lost, "is gone; its tasks were killed")
        for handle in self._helpers:
            if handle.busy and now > max(self._end_by, handle.heard + ANSWER_S):
                with suppress(ProcessLookupError):
                    os.kill(handle.pid, signal.SIGKILL)
                self._lose(handle, "does not answer: it was killed with its tasks")
        return frames

    def close(self) -> None:
        """Let the helpers go. They kill what still runs; `killed` is what tasks had left behind of it."""
        self._let_go(self._helpers)
        for handle in self._helpers:
            self.killed += Killed.unpacked(handle.table[KILLED_AT:])
        self._helpers = []

    def _room(self, lane: int) -> int:
        return self._helpers[lane].slots - self._helpers[lane].busy

    def _order_all(self, kind: Order) -> None:
        for handle in self._helpers:
            self._send(handle, order(kind))

    def _has_to_end(self, grace_s: float) -> None:
        self._end_by = min(self._end_by, self._clock.turn(time.monotonic()) + grace_s + ANSWER_S)

    def _send(self, handle: Handle, frame: bytes) -> None:
        waits = not handle.unsent
        handle.unsent += frame
        self._flush(handle)
        if not (waits and handle.unsent):
            return
        until = time.monotonic() + SEND_S
        ready = select.poll()
        ready.register(handle.connection, select.POLLOUT)
        while handle.unsent and ready.poll(max(0.0, until - time.monotonic()) * 1000):
            self._flush(handle)

    def _flush(self, handle: Handle) -> None:
        try:
            while handle.unsent:
                del handle.unsent[: handle.connection.send(handle.unsent, socket.MSG_DONTWAIT)]
        except BlockingIOError:
            return
        except ConnectionError:  # `read` will find that it is gone, after what it has said before
            handle.unsent.clear()

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

    def _lose(self, handle: Handle, why: str) -> NoReturn:
        guardian.kill_sessions(handle.table)
        self.close()
        kill_adopted(self._children, self._born)
        raise HelperLost(f"the launcher's helper, process {handle.pid}, {why}")

    def _let_go(self, handles: list[Handle]) -> None:
        for handle in handles:
            handle.connection.close()
            self._guard.tell(Word.CLOSES + self._lanes.index(handle.pid))
        without = self._guard.wait([handle.pid for handle in handles])
        for handle in handles:
            if handle.pid in without and not wait_for(handle.pid, guardian.CLOSE_S):
                os.kill(handle.pid, signal.SIGKILL)
                guardian.kill_sessions(handle.table)


def _unpack(lane: int, handle: Handle) -> list[Frame]:
    """Take the whole frames out of what a helper has said."""
    frames: list[Frame] = []
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
    return frames
