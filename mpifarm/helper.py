"""The launcher's helper: a process that starts, times out, reaps and kills tasks, and nothing else.

Its one rule: it is forked before MPI and numpy exist, and it outlives nobody. When its rank is gone, however that
happened, it reads end-of-file and kills every task it has started.

The thinking:

1. A freed slot is filled from the helper's own short queue, without asking the worker; see `outbox` for what is told
   when.
2. A slot is not used again before its output is on its way. So what is in memory stays bounded, and a farm that produces
   output faster than it can be written down slows down instead.
3. A task is not gone because its shell is: a terminated one keeps its slot until nobody of it is left, or 5 s later
   for the KILL. What a *finished* task leaves in the background runs on, and is killed with the rest in the end; the
   slot gets new capture files, so that nobody writes into another task's output.
4. The helper is a session of its own, because mpiexec forwards signals to process groups, and kills by them.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import mmap
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from mpifarm import capture, ended, process
from mpifarm.ended import Ended
from mpifarm.frames import ENTRY, ORDER, SESSION, Order
from mpifarm.outbox import Outbox, Stream

GRACE_S = 5.0  # between TERM and KILL
LINGER_S = 0.05  # how often to look whether all of a terminated task is gone
LAST_ROUNDS, LAST_ROUND_S = 100, 0.01
LONGEST_WAIT_S = 3600.0  # poll(2) takes an int of milliseconds

_RSS_UNITS_PER_KIB = 1024 if sys.platform == "darwin" else 1  # getrusage(2)


@dataclass(frozen=True, slots=True)
class Queued:
    """A task that waits for a slot."""

    offset: int
    attempt: int
    timeout_s: float
    command: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """What wait4 tells of a process."""

    status: int
    seconds: float = 0.0
    user_s: float = 0.0
    system_s: float = 0.0
    rss_kib: int = 0


@dataclass(slots=True)
class Slot:
    """A place for one task at a time, with its capture files."""

    index: int
    number: int
    out: int
    err: int
    task: Queued | None = None
    pid: int = 0  # of the leader, and so the number of the group; 0: nothing runs here
    serial: int = 0  # tells this attempt's deadlines from an earlier one's
    started: float = 0.0  # monotonic
    started_unix: float = 0.0
    flags: int = 0
    kill_at: float | None = None
    result: Result | None = None  # of a leader that was reaped while others of its group live
    shared: bool = False  # somebody may still write to the capture files: the next task gets new ones


def main(connection: socket.socket, sessions: mmap.mmap, environ: Mapping[str, str]) -> NoReturn:
    """Serve the worker at the other end of *connection* until it is gone. Runs in a forked child, never returns."""
    os.setsid()
    try:
        process.ignore_signals()
        process.adopt_orphans()
        _close_all_but(connection.fileno())
        Helper(connection, sessions, dict(environ)).run()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _close_all_but(kept: int) -> None:
    """Close what the rank had open. A copy of PMI_FD here would hide the rank's death from its launcher."""
    for descriptor in [int(name) for name in os.listdir("/dev/fd")]:
        if descriptor > 2 and descriptor != kept:
            with contextlib.suppress(OSError):  # the one that listdir used
                os.close(descriptor)


class Helper:
    """The slots, the queue, and the one loop that waits."""

    def __init__(self, connection: socket.socket, sessions: mmap.mmap, environ: dict[str, str]) -> None:
        self._connection = connection
        self._connection.setblocking(False)
        self._sessions = sessions
        self._environ = environ
        self._outbox = Outbox(connection)
        self._orders = bytearray()
        self._connected = True
        self._queue: deque[Queued] = deque()
        self._slots: list[Slot] = []
        self._free: list[Slot] = []
        self._running: dict[int, Slot] = {}
        self._deadlines: list[tuple[float, int, int]] = []  # heap of (when, serial, slot index)
        self._serial = 0
        self._strays: dict[int, float] = {}  # what finished tasks have left behind: pid, when that was seen
        self._living: process.Sessions | None = None  # looked up at most once a turn
        self._null = os.open(os.devnull, os.O_RDWR)
        self._child_ended, wakeup = os.pipe()
        os.set_blocking(self._child_ended, False)
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._poll = select.poll()
        self._poll.register(self._child_ended, select.POLLIN)

    def run(self) -> None:
        """Serve until the worker is gone, then kill what is left."""
        while self._connected:
            self._wait()
            now = time.monotonic()
            self._living = None
            self._receive(now)
            self._reap(now)
            self._expire(now)
            self._start_queued(now)
            self._report(now)
        self._kill_all()

    def _wait(self) -> None:
        self._poll.register(self._connection, select.POLLIN | (select.POLLOUT if self._outbox.eager else 0))
        now = time.monotonic()
        wake_at = [when for when in (self._outbox.due_at, self._deadlines[0][0] if self._deadlines else None) if when]
        wait_s = min(max(0.0, min(wake_at, default=LONGEST_WAIT_S + now) - now), LONGEST_WAIT_S)
        for descriptor, _ in self._poll.poll(wait_s * 1000):
            if descriptor == self._child_ended:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._child_ended, 4096)

    # orders

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
            self._reap(now)  # what has ended by now has ended by itself
            self._give_back(now)
            for slot in self._slots if kind is not Order.RECALL else ():
                self._terminate(slot, now, Ended.INTERRUPTED, 0.0 if kind is Order.KILL else GRACE_S)

    def _set_up(self, body: bytes) -> None:
        settings = json.loads(body)
        if settings["widen"]:
            os.sched_setaffinity(0, range(os.cpu_count() or 1))  # the kernel takes what the job's cpuset allows
        self._environ["MPIFARM_NODE"] = settings["node"]
        self._environ["MPIFARM_THREADS"] = str(settings["threads"])
        try:
            for index in range(settings["slots"]):
                out, err = capture.open_unnamed(), capture.open_unnamed()
                self._slots.append(Slot(index, settings["first_slot"] + index, out, err))
        except OSError as error:
            self._no_capture(error)
        self._free = self._slots[::-1]

    def _enqueue(self, body: bytes) -> None:
        at = 0
        while at < len(body):
            offset, attempt, timeout_s, length = ENTRY.unpack_from(body, at)
            at += ENTRY.size
            self._queue.append(Queued(offset, attempt, timeout_s, body[at : at + length]))
            at += length

    def _give_back(self, now: float) -> None:
        for task in self._queue:
            self._outbox.add(_record(task, 0, Result(0), time.time(), Ended.INTERRUPTED | Ended.NOT_STARTED), b"", now)
        self._queue.clear()

    # starting

    def _start_queued(self, now: float) -> None:
        while self._queue and self._free and not self._outbox.full:
            self._start(self._queue.popleft(), self._free.pop(), now)

    def _start(self, task: Queued, slot: Slot, now: float) -> None:
        self._environ["MPIFARM_TASK"] = str(task.offset)
        self._environ["MPIFARM_ATTEMPT"] = str(task.attempt)
        self._environ["MPIFARM_SLOT"] = str(slot.number)
        started_unix = time.time()
        try:
            pid = process.spawn(task.command, self._environ, self._null, slot.out, slot.err)
        except OSError as error:  # no /bin/sh, no processes or memory left, an environment too large
            self._free.append(slot)
            reason = f"mpifarm: cannot start /bin/sh: {error}\n".encode()
            record = _record(task, slot.number, Result(126), started_unix, Ended.NOT_STARTED, err=len(reason))
            self._outbox.add(record, reason, now)
            return
        self._serial += 1
        slot.task, slot.pid, slot.serial, slot.flags = task, pid, self._serial, 0
        slot.kill_at = slot.result = None
        slot.started, slot.started_unix = now, started_unix
        SESSION.pack_into(self._sessions, slot.index * SESSION.size, pid)
        self._running[pid] = slot
        if task.timeout_s:
            self._wake_at(now + task.timeout_s, slot)

    # ending

    def _reap(self, now: float) -> None:
        ended: list[Slot] = []
        while self._running or self._strays:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            slot = self._running.pop(pid, None)
            if slot:
                code = os.waitstatus_to_exitcode(status)
                rss_kib = usage.ru_maxrss // _RSS_UNITS_PER_KIB
                slot.result = Result(code, now - slot.started, usage.ru_utime, usage.ru_stime, rss_kib)
                ended.append(slot)
        for slot in ended:
            self._leader_ended(slot, now)

    def _leader_ended(self, slot: Slot, now: float) -> None:
        strays = process.children()
        if strays is not None:
            self._strays = {pid: self._strays.get(pid, now) for pid in strays - self._running.keys()}
        # Whose a stray is cannot be told when it has made a session of its own: it may be anybody's who ran by then.
        slot.shared = slot.shared or any(seen >= slot.started for seen in self._strays.values())
        if slot.kill_at is not None and self._alive(slot):
            self._wake_at(min(now + LINGER_S, slot.kill_at), slot)
        else:
            slot.shared = slot.shared or (strays is None and self._alive(slot))
            self._finish(slot, now)

    def _expire(self, now: float) -> None:
        while self._deadlines and self._deadlines[0][0] <= now:
            _, serial, index = heapq.heappop(self._deadlines)
            slot = self._slots[index]
            if slot.serial != serial or not slot.pid:
                continue
            if slot.kill_at is None:
                self._terminate(slot, now, Ended.TIMED_OUT, GRACE_S)
            elif now >= slot.kill_at:
                self._signal(slot, signal.SIGKILL)
                if slot.result is not None:  # the leader went before; now the rest as well
                    slot.shared = True
                    self._finish(slot, now)
            elif slot.result is not None:
                self._leader_ended(slot, now)

    def _terminate(self, slot: Slot, now: float, why: Ended, grace_s: float) -> None:
        if not slot.pid:
            return
        slot.flags |= why
        if slot.kill_at is None:  # one TERM is enough: to some programs a second one means at once
            self._signal(slot, signal.SIGTERM)
            self._signal(slot, signal.SIGCONT)  # a stopped process acts on TERM only when it goes on
        if slot.kill_at is None or now + grace_s < slot.kill_at:
            slot.kill_at = now + grace_s
            self._wake_at(slot.kill_at, slot)

    def _finish(self, slot: Slot, now: float) -> None:
        """Report the attempt in *slot* with what it wrote, and make the slot free."""
        assert slot.task is not None
        assert slot.result is not None
        SESSION.pack_into(self._sessions, slot.index * SESSION.size, 0)
        slot.pid = 0
        if slot.flags & Ended.INTERRUPTED:  # it will run again: what it wrote so far is nobody's result
            self._outbox.add(_record(slot.task, slot.number, slot.result, slot.started_unix, slot.flags), b"", now)
            self._release(slot)
            return
        size = capture.size(slot.out)
        err, clipped = capture.clipped(slot.err, capture.size(slot.err))
        slot.flags |= Ended.CLIPPED if clipped else 0
        succeeded = slot.result.status == 0 and not slot.flags & Ended.TIMED_OUT
        if succeeded and size > capture.INLINE_BYTES:
            record = _record(slot.task, slot.number, slot.result, slot.started_unix, slot.flags, size, 0, len(err))
            self._outbox.add_stream(Stream(slot.index, slot.out, size, record, err))
            return
        out, clipped = capture.clipped(slot.out, size)
        slot.flags |= Ended.CLIPPED if clipped else 0
        record = _record(slot.task, slot.number, slot.result, slot.started_unix, slot.flags, len(out), len(out), len(err))
        self._outbox.add(record, out + err, now)
        self._release(slot)

    def _release(self, slot: Slot) -> None:
        try:
            if slot.shared:
                os.close(slot.out)
                os.close(slot.err)
                slot.out, slot.err = capture.open_unnamed(), capture.open_unnamed()
                slot.shared = False
            else:
                capture.empty(slot.out)
                capture.empty(slot.err)
        except OSError as error:
            self._no_capture(error)
        else:
            self._free.append(slot)

    def _signal(self, slot: Slot, number: int) -> bool:
        if self._living is None:
            self._living = process.living_sessions()
        return process.signal_session(slot.pid, number, self._living)

    def _alive(self, slot: Slot) -> bool:
        if self._living is None:
            self._living = process.living_sessions()
        return slot.pid in self._living if self._living else self._signal(slot, 0)

    def _kill_all(self) -> None:
        """Kill what runs and what was left behind, and what that leaves behind, until nobody is left."""
        for _ in range(LAST_ROUNDS):
            living = process.living_sessions()
            strays = (process.children() or set()) - self._running.keys()
            alive = [process.signal_session(slot.pid, signal.SIGKILL, living) for slot in self._slots]
            for pid in strays:
                process.signal_session(process.session_of(pid), signal.SIGKILL, living)
            self._reap(time.monotonic())
            if not any(alive) and not strays:
                return
            time.sleep(LAST_ROUND_S)

    # reporting

    def _report(self, now: float) -> None:
        self._outbox.close_batch(now, idle=bool(self._free) and not self._queue)
        try:
            for stream in self._outbox.send():
                self._release(self._slots[stream.slot])
        except ConnectionError:
            self._connected = False

    def _no_capture(self, error: OSError) -> None:
        node = self._environ["MPIFARM_NODE"]
        self._outbox.add_trouble(f"{node}: no place for the tasks' output: {error} (set TMPDIR, or raise ulimit -n)")

    def _wake_at(self, when: float, slot: Slot) -> None:
        heapq.heappush(self._deadlines, (when, slot.serial, slot.index))


def _record(
    task: Queued, slot: int, result: Result, start: float, flags: int, total: int = 0, out: int = 0, err: int = 0
) -> bytes:
    return ended.STRUCT.pack(
        task.offset,
        task.attempt,
        slot,
        result.status,
        flags,
        start,
        result.seconds,
        result.user_s,
        result.system_s,
        result.rss_kib,
        total,
        out,
        err,
    )
