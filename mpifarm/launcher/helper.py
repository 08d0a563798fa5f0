"""The launcher's helper: a process that starts, times out, reaps and kills tasks, and nothing else.

Its one rule: it is forked before MPI and numpy exist, and it outlives nobody. When its rank is gone, however that
happened, it reads end-of-file and kills every task that it has started.

It is a session of its own, because mpiexec forwards signals to process groups, and kills by them. A freed slot is filled
from the helper's own short queue, without asking the worker; see `outbox` for what is told when, and `slots` for the
tasks that run.

Its clock stands still while it does not run itself (see `awake`): a job that was suspended has lost no time of its tasks'
timeouts. To know when it was away, it sleeps in pieces while something is to happen at a time.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
import select
import signal
import socket
import time
import traceback
from collections import deque
from collections.abc import Mapping
from typing import NoReturn

from mpifarm.awake import AWAY_S, Awake
from mpifarm.launcher import processes, spawn
from mpifarm.launcher.capture import Readers
from mpifarm.launcher.frames import ENTRY, ORDER, Order, Task
from mpifarm.launcher.outbox import Outbox
from mpifarm.launcher.slots import Slots
from mpifarm.site import affinity

LONGEST_WAIT_S = 3600.0  # poll(2) takes an int of milliseconds


def main(connection: socket.socket, table: mmap.mmap, environ: Mapping[str, str]) -> NoReturn:
    """Serve the worker at the other end of *connection* until it is gone. Runs in a forked child, never returns."""
    os.setsid()
    try:
        spawn.ignore_signals()
        processes.adopt_orphans()
        processes.close_all_but(connection.fileno())
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)  # what the tasks read
        Helper(connection, table, dict(environ)).run()
        os._exit(0)
    except BaseException:
        with contextlib.suppress(OSError):
            os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
        os._exit(1)


class Helper:
    """The orders, the queue, and the one loop that waits."""

    def __init__(self, connection: socket.socket, table: mmap.mmap, environ: dict[str, str]) -> None:
        self._awake = Awake(time.monotonic())
        self._connection = connection
        self._connection.setblocking(False)
        self._outbox = Outbox(connection)
        self._readers = Readers()
        self._slots = Slots(self._outbox, self._readers, self._awake, table, environ)
        self._orders = bytearray()
        self._connected = True
        self._queue: deque[Task] = deque()
        self._child_ended, wakeup = os.pipe()
        os.set_blocking(self._child_ended, False)
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._poll = select.poll()
        self._poll.register(self._child_ended, select.POLLIN)
        self._poll.register(self._readers.descriptor, select.POLLIN)
        self._awaited = 0  # events of the connection

    def run(self) -> None:
        """Serve until the worker is gone, then kill what is left."""
        now = self._awake.turn(time.monotonic())
        while self._connected:
            wait_s = self._wait_s(now)
            told = self._wait(wait_s)
            now = self._awake.turn(time.monotonic(), wait_s)
            if told:
                self._receive(now)
            self._slots.reap(now)
            self._slots.expire(now)
            while self._can_start(now):
                task = self._queue.popleft()
                if not self._slots.start(task, now):
                    self._queue.appendleft(task)
            if self._queue and self._slots.is_hopeless(now):
                self._give_up(now)
            self._report(now)
        self._slots.kill_all()

    def _can_start(self, now: float) -> bool:
        return bool(self._queue) and self._slots.can_start(now) and not self._outbox.full

    def _give_up(self, now: float) -> None:
        """Nothing can be started on this node: others may do better with what waits here."""
        self._give_back(now)
        self._outbox.add_trouble("no task can be started: no processes, memory or descriptors are left (ulimit -u, -n)")

    def _wait_s(self, now: float) -> float:
        """Return how long there is nothing to do, if nothing happens."""
        if self._can_start(now):
            return 0.0  # what was sent has freed its slot
        retry_at = self._slots.retry_at if self._queue and not self._outbox.full else math.inf
        wake_at = min(self._slots.due_at, self._outbox.due_at, retry_at)
        longest_s = LONGEST_WAIT_S if self._slots.due_at == math.inf else AWAY_S
        return min(max(0.0, wake_at - self._awake.at(time.monotonic())), longest_s)

    def _wait(self, wait_s: float) -> bool:
        """Wait until there is something to do; return whether the worker has said something, or gone."""
        told = False
        events = select.POLLIN | select.POLLOUT if self._outbox.eager else select.POLLIN
        if events != self._awaited:
            self._poll.register(self._connection, events)
            self._awaited = events
        for descriptor, event in self._poll.poll(wait_s * 1000):
            if descriptor == self._child_ended:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._child_ended, 4096)
            elif descriptor == self._readers.descriptor:
                self._readers.read()
            else:
                told = event != select.POLLOUT
        return told

    def _receive(self, now: float) -> None:
        while True:
            try:
                received = self._connection.recv(1 << 20)
            except BlockingIOError:
                break
            except ConnectionError:
                received = b""
            if not received:
                self._connected = False
                return
            self._orders += received
        while len(self._orders) >= ORDER.size:
            kind, length = ORDER.unpack_from(self._orders)
            if len(self._orders) < ORDER.size + length:
                break
            body = bytes(self._orders[ORDER.size : ORDER.size + length])
            del self._orders[: ORDER.size + length]
            self._obey(Order(kind), body, now)

    def _obey(self, kind: Order, body: bytes, now: float) -> None:
        if kind is Order.SETUP:
            self._set_up(body)
        elif kind is Order.START:
            self._enqueue(body)
        else:
            self._give_back(now)
            if kind is not Order.RECALL:
                self._slots.terminate_all(now, at_once=kind is Order.KILL)

    def _give_back(self, now: float) -> None:
        for task in self._queue:
            self._slots.give_back(task, now)
        self._queue.clear()

    def _set_up(self, body: bytes) -> None:
        settings = json.loads(body)
        if settings["widen"]:
            affinity.widen()
        names = ("node", "threads", "first_slot", "slots", "cpus", "shell", "kill_after_s")
        self._slots.set_up(*(settings[name] for name in names))

    def _enqueue(self, body: bytes) -> None:
        at = 0
        while at < len(body):
            offset, seq, attempt, timeout_s, length = ENTRY.unpack_from(body, at)
            at += ENTRY.size
            self._queue.append(Task(offset, seq, attempt, timeout_s, body[at : at + length]))
            at += length

    def _report(self, now: float) -> None:
        self._outbox.close_batch(now, idle=self._slots.free and not self._queue)
        try:
            self._slots.streamed(self._outbox.send())
        except ConnectionError:
            self._connected = False
