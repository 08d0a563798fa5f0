"""The slots of a helper: what runs, from its start to its end, and where the next task can.

1. A slot is not used again before its output is on its way. So what is in memory stays bounded, and a farm that produces
   output faster than it can be written down slows down instead.
2. A slot is not free because a leader was reaped: who else of its task is waited for, and for how long, `termination`
   says. What an attempt has come to goes out by `outcome`.
3. Whatever a start fails of is that attempt's trouble, not the helper's end. But where there is no room for another
   process, no task was tried: see `scarcity`.
4. Times are of the helper's clock, by which it was awake; how long an attempt has run is told by the wall's.
"""

from __future__ import annotations

import math
import mmap
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress

from mpifarm.awake import Awake
from mpifarm.launcher import processes, spawn
from mpifarm.launcher.capture import Readers
from mpifarm.launcher.deadlines import Deadlines
from mpifarm.launcher.direct import Direct
from mpifarm.launcher.frames import KILLED_AT, SESSION, TABLE_BYTES, Killed, Task
from mpifarm.launcher.functions import Functions
from mpifarm.launcher.outbox import Outbox, Stream
from mpifarm.launcher.outcome import Outcomes
from mpifarm.launcher.scarcity import Scarcity, is_scarcity
from mpifarm.launcher.slot import Result, Slot
from mpifarm.launcher.space import Space
from mpifarm.launcher.strays import Strays
from mpifarm.launcher.termination import Termination
from mpifarm.site.environ import CPUS_PER_TASK
from mpifarm.site.mounts import Mounts

_CPUS_PER_TASK = os.fsencode(CPUS_PER_TASK)
_RSS_UNITS_PER_KIB = 1024 if sys.platform == "darwin" else 1  # getrusage(2)


class Slots:
    """What runs, and where the next task can."""

    def __init__(self, outbox: Outbox, readers: Readers, awake: Awake, table: mmap.mmap, environ: dict[str, str]) -> None:
        """*table* is what the worker sees; *environ* is what the tasks get."""
        self._outbox = outbox
        self._readers = readers
        self._awake = awake
        self._table = table
        self._environ = {os.fsencode(name): os.fsencode(value) for name, value in environ.items()}
        self._slots: list[Slot] = []  # this list and the dict of what runs are seen by others below: never replaced
        self._free: list[Slot] = []
        self._running: dict[int, Slot] = {}
        self._serial = 0
        self._strays = Strays()
        self._deadlines = Deadlines(self._slots)
        self._scarcity = Scarcity()

    @property
    def free(self) -> bool:
        """Whether there is a slot for another task."""
        return bool(self._free)

    @property
    def due_at(self) -> float:
        """When `expire` has something to do (by the helper's clock)."""
        return self._deadlines.next_at

    @property
    def retry_at(self) -> float:
        """When another start may be tried, if there was no room for it (by the helper's clock)."""
        return self._scarcity.retry_at if self._free else math.inf

    def can_start(self, now: float) -> bool:
        """Return whether a task can be started now."""
        return bool(self._free) and self._scarcity.allows(len(self._running), now)

    def is_hopeless(self, now: float) -> bool:
        """Return whether nothing can be started here, and will be."""
        return self._scarcity.is_hopeless(now)

    def set_up(self, node: str, threads: int, first: int, count: int, cpus: int, shell: str, kill_after_s: float) -> None:
        """Make *count* slots, numbered from *first*, of *cpus* CPUs each, for lines that *shell* runs.

        *kill_after_s* is between the TERM of a task and its KILL.
        """
        self._termination = Termination(self._strays, self._deadlines, self._readers, self._running, grace_s=kill_after_s)
        self._environ[b"MPIFARM_NODE"] = os.fsencode(node)
        self._environ[b"MPIFARM_THREADS"] = b"%d" % threads
        if cpus and _CPUS_PER_TASK in self._environ:
            self._environ[_CPUS_PER_TASK] = b"%d" % cpus
        self._shell = os.fsencode(shell)
        mounts = Mounts(self._shell)
        self._functions = Functions(self._environ, self._shell, mounts)
        self._direct = Direct(self._environ, mounts, self._shell, self._functions.lost)
        self._outcomes = Outcomes(self._outbox, node, self._environ, self._shell, Space(self._environ, mounts))
        self._slots += [Slot(index, first + index) for index in range(count)]
        self._free = self._slots[::-1]
        with suppress(OSError):  # chosen now: later on TMPDIR may be full, and outputs would go to /tmp unasked
            tempfile.gettempdir()

    def give_back(self, task: Task, now: float) -> None:
        """Report a task that was never started."""
        self._outcomes.given_back(task, now)

    def start(self, task: Task, now: float) -> bool:
        """Start *task* in a free slot, or report why that cannot be; return False if there is no room for it now."""
        slot = self._free.pop()
        started, started_unix = self._awake.at(time.monotonic()), time.time()
        try:
            slot.open(self._readers)
            pid = self._spawn(task, slot)
        except Exception as error:  # whatever it is: this attempt's trouble, not the helper's end
            self._free.append(slot)
            if is_scarcity(error):
                self._scarcity.failed(len(self._running), now)
                return False
            self._outcomes.not_startable(task, slot, started_unix, error, now)
            return True
        self._serial += 1
        slot.task, slot.pid, slot.serial, slot.flags = task, pid, self._serial, 0
        slot.kill_at = slot.result = None
        slot.started, slot.started_unix, slot.away_s = started, started_unix, self._awake.away_s
        SESSION.pack_into(self._table, slot.index * SESSION.size, pid)
        self._running[pid] = slot
        self._scarcity.started(len(self._running), now)
        if task.timeout_s:
            self._deadlines.add(started + task.timeout_s, slot)
        return True

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
                slot.ended = now
                seconds = now - slot.started + self._awake.away_s - slot.away_s
                slot.result = Result(code, seconds, usage.ru_utime, usage.ru_stime, rss_kib, core)
                ended.append(slot)
        if ended:
            told = self._strays.look(self._running, now)
            self._readers.read()  # what they wrote last, and what is gone by now of what they had left
            for slot in ended:
                if self._termination.leader_ended(slot, now, told):
                    self._finish(slot, now)

    def expire(self, now: float) -> None:
        """Do what is due: terminate what has run out of time, and KILL what was terminated and is still there."""
        while slot := self._deadlines.pop(now):
            if self._termination.deadline(slot, now):
                self._finish(slot, now)

    def _finish(self, slot: Slot, now: float) -> None:
        """The attempt in *slot* is over: report it, and make the slot free."""
        SESSION.pack_into(self._table, slot.index * SESSION.size, 0)
        slot.pid = 0
        if self._outcomes.ended(slot, now):
            self._release(slot)

    def streamed(self, streams: list[Stream]) -> None:
        """The output of these has been sent: their slots are free."""
        for stream in streams:
            self._release(self._slots[stream.slot])

    def _release(self, slot: Slot) -> None:
        slot.empty(self._readers)
        self._free.append(slot)

    def terminate_all(self, now: float, at_once: bool) -> None:
        """End everything because the farm stops: TERM, and KILL in the end or *at_once*."""
        self.reap(now)  # what has ended by now has ended by itself
        for slot in self._slots:
            self._termination.interrupt(slot, now, at_once)

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
