"""The slots of a helper: tasks that run, from their start to the report of their end.

The thinking:

1. A slot is not used again before its output is on its way. So what is in memory stays bounded, and a farm that produces
   output faster than it can be written down slows down instead.
2. A task is not gone because its shell is: a terminated one keeps its slot until nobody of it is left, or 5 s later for
   the KILL. What a *finished* task leaves in the background runs on, and is killed with the rest in the end; the slot
   gets new capture files, so that nobody writes into another task's output.
3. Deadlines are in a heap, with the serial number of the attempt that they are for; those of attempts that have ended
   are passed over.
4. Trouble with the place for output is trouble of the attempts that need it, not of the farm: one that wrote where no
   space is left has failed, whatever its exit code says, and one for whose output there is no file is not started, if
   no other slot can take it.
"""

from __future__ import annotations

import heapq
import math
import mmap
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from mpifarm import capture, ended, process
from mpifarm.direct import Direct, last_words
from mpifarm.ended import Ended
from mpifarm.environ import CPUS_PER_TASK
from mpifarm.frames import SESSION
from mpifarm.functions import Functions
from mpifarm.outbox import Outbox, Stream
from mpifarm.why import Reasons

GRACE_S = 5.0  # between TERM and KILL
ASIDE_S = 5.0  # how long a slot without a file for output is left alone
LINGER_S = 0.05  # how often to look whether all of a terminated task is gone

_NO_PLACE = "no place for what tasks print (set TMPDIR, or raise ulimit -n)"
_TIMED_OUT, _INTERRUPTED = int(Ended.TIMED_OUT), int(Ended.INTERRUPTED)  # a Flag takes a microsecond for an &
_CPUS_PER_TASK = os.fsencode(CPUS_PER_TASK)
_RSS_UNITS_PER_KIB = 1024 if sys.platform == "darwin" else 1  # getrusage(2)


class Queued(NamedTuple):
    """A task that waits for a slot."""

    offset: int
    attempt: int
    timeout_s: float
    command: bytes


class Result(NamedTuple):
    """What wait4 tells of a process."""

    status: int
    seconds: float = 0.0
    user_s: float = 0.0
    system_s: float = 0.0
    rss_kib: int = 0
    core: bool = False  # it was dumped


@dataclass(slots=True)
class Slot:
    """A place for one task at a time, with its capture files."""

    index: int
    number: int
    out: int = -1  # opened when it is needed
    err: int = -1
    task: Queued | None = None
    pid: int = 0  # of the leader, and so the number of the group; 0: nothing runs here
    serial: int = 0  # tells this attempt's deadlines from an earlier one's
    started: float = 0.0  # monotonic
    started_unix: float = 0.0
    flags: int = 0
    awaited: bool = False  # a shell would wait for the leader
    kill_at: float | None = None
    result: Result | None = None  # of a leader that was reaped while others of its group live
    written: list[int] = field(default_factory=list)  # of the two files, those to be emptied for the next task
    shared: bool = False  # somebody may still write to the capture files: the next task gets new ones


class Slots:
    """What runs, and where the next task can."""

    def __init__(self, outbox: Outbox, sessions: mmap.mmap, environ: dict[str, str]) -> None:
        """*sessions* is the table that the worker sees; *environ* is what the tasks get."""
        self._outbox = outbox
        self._sessions = sessions
        self._environ = {os.fsencode(name): os.fsencode(value) for name, value in environ.items()}
        self._node = ""
        self._slots: list[Slot] = []
        self._free: list[Slot] = []
        self._aside: list[Slot] = []  # without a file for output
        self._aside_until = 0.0
        self._running: dict[int, Slot] = {}
        self._deadlines: list[tuple[float, int, int]] = []  # heap of (when, serial, slot index)
        self._serial = 0
        self._children = process.Children()
        self._strays: dict[int, float] = {}  # what finished tasks have left behind: pid, when that was seen
        self._living: process.Sessions = {}
        self._living_at = float("-inf")  # `now` of the turn in which that was looked up

    @property
    def free(self) -> bool:
        """Whether a task can be started."""
        return bool(self._free)

    @property
    def due_at(self) -> float:
        """When `expire` has something to do (monotonic)."""
        deadline = self._deadlines[0][0] if self._deadlines else math.inf
        return min(deadline, self._aside_until) if self._aside else deadline

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
        try:
            for slot in self._slots:
                _open_capture(slot)
        except OSError as error:  # now, and not task by task, since it is the same for all of them
            self._outbox.add_trouble(f"{node}: {_NO_PLACE}: {error}")

    def give_back(self, task: Queued, now: float) -> None:
        """Report a task that was never started because the farm stops."""
        flags = Ended.INTERRUPTED | Ended.NOT_STARTED
        self._outbox.add(_record(task, 0, Result(0), time.time(), flags), b"", now)

    def start(self, task: Queued, now: float) -> bool:
        """Start *task* in a free slot, or report why that cannot be; return False if it should be tried in another one."""
        slot = self._free.pop()
        started, started_unix = time.monotonic(), time.time()
        trouble = _NO_PLACE
        try:
            _open_capture(slot)
            # no such file, no processes or memory left, an environment too large
            trouble = f"cannot start {os.fsdecode(self._shell)}"
            pid = self._spawn(task, slot)
        except Exception as error:  # whatever it is: this attempt's trouble, not the helper's end
            if trouble == _NO_PLACE and len(self._aside) + 1 < len(self._slots):
                self._aside.append(slot)
                self._aside_until = now + ASIDE_S
                return False
            self._free.append(slot)
            reason = f"mpifarm: {self._node}: {trouble}: {error}\n".encode()
            record = _record(task, slot.number, Result(126), started_unix, Ended.NOT_STARTED, err=len(reason))
            self._outbox.add(record, reason, now)
            return True
        self._serial += 1
        slot.task, slot.pid, slot.serial, slot.flags = task, pid, self._serial, 0
        slot.kill_at = slot.result = None
        slot.started, slot.started_unix = started, started_unix
        SESSION.pack_into(self._sessions, slot.index * SESSION.size, pid)
        self._running[pid] = slot
        if task.timeout_s:
            self._wake_at(started + task.timeout_s, slot)
        return True

    def _spawn(self, task: Queued, slot: Slot) -> int:
        own = {
            b"MPIFARM_TASK": b"%d" % task.offset,
            b"MPIFARM_ATTEMPT": b"%d" % task.attempt,
            b"MPIFARM_SLOT": b"%d" % slot.number,
        }
        if program := self._direct.program(task.command):
            slot.awaited = program.awaited
            with suppress(OSError):  # what that means for a shell only the shell knows
                return process.spawn_program(program.path, program.argv, {**program.environ, **own}, slot.out, slot.err)
        slot.awaited = False
        way = self._functions.way(task.command)
        return process.spawn(task.command, {**way.environ, **own}, slot.out, slot.err, way.shell)

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
        told = self._note_strays(now) if ended else True
        for slot in ended:
            self._leader_ended(slot, now, told)

    def _note_strays(self, now: float) -> bool:
        """Find what finished tasks have left behind; return False where the kernel does not tell."""
        children = self._children.pids()
        if children is None:
            return False
        self._strays = {pid: self._strays.get(pid, now) for pid in children - self._running.keys()}
        return True

    def _leader_ended(self, slot: Slot, now: float, strays_are_told: bool) -> None:
        # Whose a stray is cannot be told when it has made a session of its own: it may be anybody's who ran by then.
        slot.shared = slot.shared or any(seen >= slot.started for seen in self._strays.values())
        if slot.kill_at is not None and self._alive(slot, now):
            self._wake_at(min(now + LINGER_S, slot.kill_at), slot)
        else:
            slot.shared = slot.shared or (not strays_are_told and self._alive(slot, now))
            self._finish(slot, now)

    def expire(self, now: float) -> None:
        """Terminate what has run out of time, and KILL what was terminated and is still there."""
        if self._aside and now >= self._aside_until:
            self._free += self._aside
            self._aside.clear()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, serial, index = heapq.heappop(self._deadlines)
            slot = self._slots[index]
            if slot.serial != serial or not slot.pid:
                continue
            if slot.kill_at is None:
                self._terminate(slot, now, Ended.TIMED_OUT, GRACE_S)
            elif now >= slot.kill_at:
                self._signal(slot, signal.SIGKILL, now)
                if slot.result is not None:  # the leader went before; now the rest as well
                    slot.shared = True
                    self._finish(slot, now)
            elif slot.result is not None:
                self._leader_ended(slot, now, self._note_strays(now))

    def _terminate(self, slot: Slot, now: float, why: Ended, grace_s: float) -> None:
        if not slot.pid:
            return
        slot.flags |= why
        if slot.kill_at is None:  # one TERM is enough: to some programs a second one means at once
            self._signal(slot, signal.SIGTERM, now)
            self._signal(slot, signal.SIGCONT, now)  # a stopped process acts on TERM only when it goes on
        if slot.kill_at is None or now + grace_s < slot.kill_at:
            slot.kill_at = now + grace_s
            self._wake_at(slot.kill_at, slot)

    def _finish(self, slot: Slot, now: float) -> None:
        """Report the attempt in *slot* with what it wrote, and make the slot free."""
        assert slot.task is not None
        assert slot.result is not None
        SESSION.pack_into(self._sessions, slot.index * SESSION.size, 0)
        slot.pid = 0
        sizes = capture.written(slot.out), capture.written(slot.err)
        slot.written = [file for file, size in zip((slot.out, slot.err), sizes, strict=True) if size is not None]
        if slot.flags & _INTERRUPTED:  # it will run again: what it wrote so far is nobody's result
            self._outbox.add(_record(slot.task, slot.number, slot.result, slot.started_unix, slot.flags), b"", now)
            self._release(slot)
            return
        size = sizes[0] or 0
        err, clipped = capture.clipped(slot.err, sizes[1] or 0)
        slot.flags |= Ended.CLIPPED if clipped else 0
        if slot.awaited and not slot.flags and slot.result.status < 0:
            status, message = last_words(slot.result.status, slot.result.core)
            slot.result = slot.result._replace(status=status)
            err += message
        if slot.result.status > 0 and not slot.flags & _TIMED_OUT:
            err += self._reasons.of(slot.task.command, slot.result.status)
        succeeded = slot.result.status == 0 and not slot.flags & _TIMED_OUT
        if succeeded and any(map(capture.full, slot.written)):
            succeeded = False
            slot.result = slot.result._replace(status=os.EX_IOERR)
            err += f"mpifarm: {self._node}: no space left for what it printed (set TMPDIR)\n".encode()
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
        if not slot.shared:
            try:
                for file in slot.written:
                    capture.empty(file)
            except OSError:  # btrfs cannot shorten a file where the quota is used up
                slot.shared = True
        if slot.shared:
            os.close(slot.out)
            os.close(slot.err)
            slot.out = slot.err = -1
            slot.shared = False
        self._free.append(slot)

    def terminate_all(self, now: float, at_once: bool) -> None:
        """End everything because the farm stops: TERM, and KILL after 5 s or *at_once*."""
        self.reap(now)  # what has ended by now has ended by itself
        for slot in self._slots:
            self._terminate(slot, now, Ended.INTERRUPTED, 0.0 if at_once else GRACE_S)

    def _signal(self, slot: Slot, number: int, now: float) -> bool:
        return process.signal_session(slot.pid, number, self._look(now))

    def _alive(self, slot: Slot, now: float) -> bool:
        living = self._look(now)
        return slot.pid in living if living else self._signal(slot, 0, now)

    def _look(self, now: float) -> process.Sessions:
        """Return the living sessions, looked up once a turn at most."""
        if self._living_at != now:
            self._living, self._living_at = process.living_sessions(), now
        return self._living

    def kill_all(self) -> None:
        """Kill what runs and what was left behind, and what that leaves behind, until nobody is left."""
        for _ in range(process.LAST_ROUNDS):
            living = process.living_sessions()
            strays = (self._children.pids() or set()) - self._running.keys()
            alive = [process.signal_session(slot.pid, signal.SIGKILL, living) for slot in self._slots]
            for pid in strays:
                process.signal_session(process.session_of(pid), signal.SIGKILL, living)
            self.reap(time.monotonic())
            if not any(alive) and not strays:
                return
            time.sleep(process.LAST_ROUND_S)

    def streamed(self, streams: list[Stream]) -> None:
        """The output of these has been sent: their slots are free."""
        for stream in streams:
            self._release(self._slots[stream.slot])

    def _wake_at(self, when: float, slot: Slot) -> None:
        heapq.heappush(self._deadlines, (when, slot.serial, slot.index))


def _open_capture(slot: Slot) -> None:
    """Open what is missing of the capture files. Raises OSError."""
    if slot.out < 0:
        slot.out = capture.open_capture()
    if slot.err < 0:
        slot.err = capture.open_capture()


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
