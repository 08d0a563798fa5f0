"""The slots of a helper: tasks that run, from their start to the report of their end.

The thinking:

1. A slot is not used again before its output is on its way. So what is in memory stays bounded, and a farm that produces
   output faster than it can be written down slows down instead.
2. A task is not gone because its shell is: a terminated one keeps its slot until nobody of it is left, or 5 s later for
   the KILL. One that has *succeeded* has a moment in which what is about to end (`exec > >(tee log)`) may end, too; what
   it leaves in the background then is told, runs on, and is killed with the rest in the end. The slot gets new pipes, so
   that nobody writes into another task's output.
3. Deadlines are in a heap, with the serial number of the attempt that they are for; those of attempts that have ended
   are passed over, and cleared out when they are many.
4. Trouble with the place for output is trouble of the attempts that need it, not of the farm: one that wrote where no
   space is left has failed, whatever its exit code says. But where there is no room for another process, no task was
   tried: see `scarcity`.
"""

from __future__ import annotations

import heapq
import math
import mmap
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from mpifarm import ended
from mpifarm.ended import Ended
from mpifarm.launcher import processes, spawn
from mpifarm.launcher.capture import INLINE_BYTES, Capture, Readers
from mpifarm.launcher.direct import Direct, last_words
from mpifarm.launcher.frames import KILLED_AT, SESSION, TABLE_BYTES, Killed, Task
from mpifarm.launcher.functions import Functions
from mpifarm.launcher.outbox import Outbox, Stream
from mpifarm.launcher.scarcity import Scarcity, is_scarcity
from mpifarm.launcher.strays import Strays, Whose
from mpifarm.launcher.why import Reasons
from mpifarm.site.environ import CPUS_PER_TASK

GRACE_S = 5.0  # between TERM and KILL
LINGER_S = 0.05  # how often to look whether all of a terminated task is gone
LEAVE_S = 0.2  # how long what a task has left may take to end by itself

_TIMED_OUT, _INTERRUPTED = int(Ended.TIMED_OUT), int(Ended.INTERRUPTED)  # a Flag takes a microsecond for an &
_CPUS_PER_TASK = os.fsencode(CPUS_PER_TASK)
_RSS_UNITS_PER_KIB = 1024 if sys.platform == "darwin" else 1  # getrusage(2)
_STALE_DEADLINES = 64  # beyond one a slot


class Result(NamedTuple):
    """What wait4 tells of a process."""

    status: int
    seconds: float = 0.0
    user_s: float = 0.0
    system_s: float = 0.0
    rss_kib: int = 0
    core: bool = False  # it was dumped


class _Sizes(NamedTuple):
    """The last fields of a record."""

    left: int = 0
    total: int = 0
    out: int = 0
    err: int = 0


_NOTHING = _Sizes()


@dataclass(slots=True)
class Slot:
    """A place for one task at a time, with the pipes that it writes to."""

    index: int
    number: int
    out: Capture | None = None  # opened when it is needed
    err: Capture | None = None
    task: Task | None = None
    pid: int = 0  # of the leader, and so the number of the group; 0: nothing runs here
    serial: int = 0  # tells this attempt's deadlines from an earlier one's
    started: float = 0.0  # monotonic
    started_unix: float = 0.0
    flags: int = 0
    awaited: bool = False  # a shell would wait for the leader
    kill_at: float | None = None
    result: Result | None = None  # of a leader that was reaped while others of its task live
    left: int = 0  # processes
    shared: bool = False  # somebody may still write to the pipes: the next task gets new ones

    @property
    def whose(self) -> Whose:
        """By what the processes of its task are known."""
        assert self.task is not None
        return Whose(self.pid, (b"MPIFARM_TASK=%d" % self.task.offset, b"MPIFARM_ATTEMPT=%d" % self.task.attempt))


class Slots:
    """What runs, and where the next task can."""

    def __init__(self, outbox: Outbox, readers: Readers, table: mmap.mmap, environ: dict[str, str]) -> None:
        """*table* is what the worker sees; *environ* is what the tasks get."""
        self._outbox = outbox
        self._readers = readers
        self._table = table
        self._environ = {os.fsencode(name): os.fsencode(value) for name, value in environ.items()}
        self._node = ""
        self._slots: list[Slot] = []
        self._free: list[Slot] = []
        self._running: dict[int, Slot] = {}
        self._deadlines: list[tuple[float, int, int]] = []  # heap of (when, serial, slot index)
        self._serial = 0
        self._strays = Strays()
        self._scarcity = Scarcity()

    @property
    def free(self) -> bool:
        """Whether there is a slot for another task."""
        return bool(self._free)

    @property
    def due_at(self) -> float:
        """When `expire` has something to do (monotonic)."""
        return self._deadlines[0][0] if self._deadlines else math.inf

    @property
    def retry_at(self) -> float:
        """When another start may be tried, if there was no room for it (monotonic)."""
        return self._scarcity.retry_at if self._free else math.inf

    def can_start(self, now: float) -> bool:
        """Return whether a task can be started now."""
        return bool(self._free) and self._scarcity.allows(len(self._running), now)

    def is_hopeless(self, now: float) -> bool:
        """Return whether nothing can be started here, and will be."""
        return self._scarcity.is_hopeless(now)

    def set_up(self, node: str, threads: int, first: int, count: int, cpus: int, shell: str) -> None:
        """Make *count* slots, numbered from *first*, of *cpus* CPUs each, for lines that *shell* runs."""
        self._node = node
        self._environ[b"MPIFARM_NODE"] = os.fsencode(node)
        self._environ[b"MPIFARM_THREADS"] = b"%d" % threads
        if cpus and _CPUS_PER_TASK in self._environ:
            self._environ[_CPUS_PER_TASK] = b"%d" % cpus
        self._shell = os.fsencode(shell)
        self._functions = Functions(self._environ, self._shell)
        self._direct = Direct(self._environ, self._shell, self._functions.lost)
        self._reasons = Reasons(self._environ, self._shell)
        self._slots = [Slot(index, first + index) for index in range(count)]
        self._free = self._slots[::-1]
        with suppress(OSError):  # chosen now: later on TMPDIR may be full, and outputs would go to /tmp unasked
            tempfile.gettempdir()

    def give_back(self, task: Task, now: float) -> None:
        """Report a task that was never started."""
        flags = Ended.INTERRUPTED | Ended.NOT_STARTED
        self._outbox.add(_record(task, 0, Result(0), time.time(), flags), b"", now)

    def start(self, task: Task, now: float) -> bool:
        """Start *task* in a free slot, or report why that cannot be; return False if there is no room for it now."""
        slot = self._free.pop()
        started, started_unix = time.monotonic(), time.time()
        try:
            self._open(slot)
            pid = self._spawn(task, slot)
        except Exception as error:  # whatever it is: this attempt's trouble, not the helper's end
            self._free.append(slot)
            if is_scarcity(error):
                self._scarcity.failed(len(self._running), now)
                return False
            self._report_unstarted(task, slot, started_unix, error, now)
            return True
        self._serial += 1
        slot.task, slot.pid, slot.serial, slot.flags = task, pid, self._serial, 0
        slot.kill_at = slot.result = None
        slot.started, slot.started_unix = started, started_unix
        SESSION.pack_into(self._table, slot.index * SESSION.size, pid)
        self._running[pid] = slot
        self._scarcity.started(len(self._running), now)
        if task.timeout_s:
            self._wake_at(started + task.timeout_s, slot)
        return True

    def _open(self, slot: Slot) -> None:
        """Open what is missing of the pipes. Raises OSError."""
        if slot.out is None:
            slot.out = Capture()
            self._readers.add(slot.out)
        if slot.err is None:
            slot.err = Capture()
            self._readers.add(slot.err)

    def _report_unstarted(self, task: Task, slot: Slot, started_unix: float, error: Exception, now: float) -> None:
        reason = f"mpifarm: {self._node}: cannot start {os.fsdecode(self._shell)}: {error}\n".encode()
        record = _record(task, slot.number, Result(126), started_unix, Ended.NOT_STARTED, _Sizes(err=len(reason)))
        self._outbox.add(record, reason, now)

    def _spawn(self, task: Task, slot: Slot) -> int:
        assert slot.out and slot.err
        files = slot.out.writer, slot.err.writer
        own = {
            b"MPIFARM_TASK": b"%d" % task.offset,
            b"MPIFARM_SEQ": b"%d" % task.seq,
            b"MPIFARM_ATTEMPT": b"%d" % task.attempt,
            b"MPIFARM_SLOT": b"%d" % slot.number,
        }
        if program := self._direct.program(task.command):
            slot.awaited = program.awaited
            try:
                return spawn.spawn_program(program.path, program.argv, {**program.environ, **own}, *files)
            except OSError as error:
                if is_scarcity(error):
                    raise
        slot.awaited = False  # what any other error means for a shell only the shell knows
        way = self._functions.way(task.command)
        return spawn.spawn(task.command, {**way.environ, **own}, *files, way.shell)

    def reap(self, now: float) -> None:
        """Take note of what has ended."""
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
                core = os.WCOREDUMP(status)
                slot.result = Result(code, now - slot.started, usage.ru_utime, usage.ru_stime, rss_kib, core)
                ended.append(slot)
        if ended:
            told = self._strays.look(self._running, now)
            self._readers.read()  # what they wrote last, and what is gone by now of what they had left
            for slot in ended:
                self._leader_ended(slot, now, told)

    def _leader_ended(self, slot: Slot, now: float, strays_are_told: bool) -> None:
        assert slot.result is not None
        slot.left = 0
        if slot.kill_at is not None:
            waits_until = slot.kill_at if self._strays.alive(slot.whose, now) else now
        else:
            # Whose a stray is cannot always be told: it may be anybody's who ran by then, and hold the pipes.
            slot.shared = self._strays.seen_since(slot.started) or (
                not strays_are_told and self._strays.alive(slot.whose, now)
            )
            if slot.shared and slot.result.status == 0:
                slot.left = len(self._strays.left_by(slot.whose, now))
            waits_until = slot.started + slot.result.seconds + LEAVE_S if slot.left else now
        if now < waits_until:
            self._wake_at(min(now + LINGER_S, waits_until), slot)
            return
        if slot.shared or self._strays:
            self._readers.read()  # what ended since they were looked up has written before
        self._finish(slot, now)

    def expire(self, now: float) -> None:
        """Terminate what has run out of time, and KILL what was terminated and is still there."""
        while self._deadlines and self._deadlines[0][0] <= now:
            _, serial, index = heapq.heappop(self._deadlines)
            slot = self._slots[index]
            if slot.serial != serial or not slot.pid:
                continue
            if slot.kill_at is not None and now >= slot.kill_at:
                self._strays.signal(slot.whose, signal.SIGKILL, now)
                if slot.result is not None:  # the leader went before; now the rest as well
                    slot.shared = True
                    self._finish(slot, now)
            elif slot.result is not None:
                self._leader_ended(slot, now, self._strays.look(self._running, now))
            elif slot.kill_at is None:
                self._terminate(slot, now, Ended.TIMED_OUT, GRACE_S)

    def _terminate(self, slot: Slot, now: float, why: Ended, grace_s: float) -> None:
        if not slot.pid or (slot.result is not None and slot.kill_at is None):  # what has ended has ended by itself
            return
        slot.flags |= why
        if slot.kill_at is None:  # one TERM is enough: to some programs a second one means at once
            self._strays.look(self._running, now)
            self._strays.signal(slot.whose, signal.SIGTERM, now)
            self._strays.signal(slot.whose, signal.SIGCONT, now)  # a stopped process acts on TERM only when it goes on
        if slot.kill_at is None or now + grace_s < slot.kill_at:
            slot.kill_at = now + grace_s
            self._wake_at(slot.kill_at, slot)

    def _finish(self, slot: Slot, now: float) -> None:
        """Report the attempt in *slot* with what it wrote, and make the slot free."""
        out, err = slot.out, slot.err
        assert slot.task and slot.result and out and err
        SESSION.pack_into(self._table, slot.index * SESSION.size, 0)
        slot.pid = 0
        if slot.flags & _INTERRUPTED:  # it will run again: what it wrote so far is nobody's result
            self._outbox.add(_record(slot.task, slot.number, slot.result, slot.started_unix, slot.flags), b"", now)
            self._release(slot)
            return
        errors = self._errors(slot, err)
        succeeded = slot.result.status == 0 and not slot.flags & _TIMED_OUT
        if succeeded and (missing := out.trouble or err.trouble):
            succeeded = False
            slot.result = slot.result._replace(status=os.EX_IOERR)
            errors += f"mpifarm: {self._node}: no place for what it printed: {missing} (set TMPDIR)\n".encode()
        if succeeded and out.size > INLINE_BYTES:
            record = self._record_of(slot, out.size, 0, len(errors))
            self._outbox.add_stream(Stream(slot.index, out.file, out.size, record, errors))
            return
        output, clipped = out.clipped()
        slot.flags |= Ended.CLIPPED if clipped else 0
        self._outbox.add(self._record_of(slot, len(output), len(output), len(errors)), output + errors, now)
        self._release(slot)

    def _errors(self, slot: Slot, err: Capture) -> bytes:
        """Return the standard error of the attempt in *slot*, and what a shell would add to it."""
        assert slot.task and slot.result
        errors, clipped = err.clipped()
        slot.flags |= Ended.CLIPPED if clipped else 0
        if slot.awaited and not slot.flags and slot.result.status < 0:
            status, message = last_words(slot.result.status, slot.result.core)
            slot.result = slot.result._replace(status=status)
            errors += message
        if slot.result.status > 0 and not slot.flags & _TIMED_OUT:
            errors += self._reasons.of(slot.task.command, slot.result.status)
        return errors

    def _record_of(self, slot: Slot, total: int, out: int, err: int) -> bytes:
        assert slot.task and slot.result
        sizes = _Sizes(slot.left, total, out, err)
        return _record(slot.task, slot.number, slot.result, slot.started_unix, slot.flags, sizes)

    def _release(self, slot: Slot) -> None:
        assert slot.out and slot.err
        if slot.shared:
            self._readers.drop(slot.out)
            self._readers.drop(slot.err)
            slot.out = slot.err = None
            slot.shared = False
        else:
            slot.out.empty()
            slot.err.empty()
        self._free.append(slot)

    def terminate_all(self, now: float, at_once: bool) -> None:
        """End everything because the farm stops: TERM, and KILL after 5 s or *at_once*."""
        self.reap(now)  # what has ended by now has ended by itself
        for slot in self._slots:
            self._terminate(slot, now, Ended.INTERRUPTED, 0.0 if at_once else GRACE_S)

    def kill_all(self) -> None:
        """Kill what runs and what was left behind, and what that leaves behind, until nobody is left.

        What was killed of what was left behind is told in the table.
        """
        killed = Killed()
        for _ in range(processes.LAST_ROUNDS):
            killed += self._strays.kill(self._running)
            self._table[KILLED_AT:TABLE_BYTES] = killed.packed()
            sessions = processes.sessions_of(processes.census())
            alive = [processes.signal_session(pid, signal.SIGKILL, sessions) for pid in self._running]
            self.reap(time.monotonic())
            if not any(alive) and not self._strays:
                return
            time.sleep(processes.LAST_ROUND_S)

    def streamed(self, streams: list[Stream]) -> None:
        """The output of these has been sent: their slots are free."""
        for stream in streams:
            self._release(self._slots[stream.slot])

    def _wake_at(self, when: float, slot: Slot) -> None:
        heapq.heappush(self._deadlines, (when, slot.serial, slot.index))
        if len(self._deadlines) > 4 * len(self._slots) + _STALE_DEADLINES:
            self._deadlines = [entry for entry in self._deadlines if self._is_due(entry)]
            heapq.heapify(self._deadlines)

    def _is_due(self, deadline: tuple[float, int, int]) -> bool:
        _, serial, index = deadline
        return self._slots[index].serial == serial and self._slots[index].pid != 0


def _record(task: Task, slot: int, result: Result, start: float, flags: int, sizes: _Sizes = _NOTHING) -> bytes:
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
        *sizes,
    )
