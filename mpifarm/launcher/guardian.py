"""The guardian: a process beside a rank and its helpers that is there when they cannot look after each other any more.

Its rule: it holds nothing, runs nothing and only waits. So nothing but a kill of its own ends it before its time.
The rank's end of it (`Guard`) is here, too: what the two say to each other, a byte and a pid, is only read side by side.

1. Rank and helper watch each other: a helper whose rank is gone kills its tasks, a rank kills those of a helper that is
   gone. When both go together (`killall -9 python`, a shortage of memory), the guardian is left. It is the parent of the
   helpers, sees the tables of their tasks' sessions, and adopts what they leave behind: all that is killed.
   It goes by another name than Python's, so that who kills all of these by name does not mean it.
2. It is not needed: if it alone is gone, its children are the rank's, which does the same for them.
3. A helper that was told to go and does not (stopped, or asleep in the kernel) is killed after CLOSE_S.
4. Signals to the rank arrive here as well, by the descriptor to which Python writes their numbers at once, whatever the
   rank is doing. A Python handler does not run while MPI_Init, MPI_Finalize or a file system does not come back: so it is
   here that a second INT is sure to end the rank: see `patience`. Time in which nobody was awake does not count: `awake`.

What else could end the tasks with their helper:
- PR_SET_PDEATHSIG has to be set in the task before its exec, so each would be started by fork and exec by hand instead of
  posix_spawn, for 2.6 times the CPU time (2.0 ms and 0.73 ms for /bin/true); and it reaches the task's first process only,
  none that this has started.
- A cgroup for each rank can be made by root, or where systemd has delegated one: anybody else's mkdir there is refused
  (EACCES), and in a Slurm job the groups are Slurm's.
The guardian costs a rank 3 ms of CPU time at the start (2 %), nothing for a task, and 7 MB of memory (PSS; 2.5 MB its own).
"""

from __future__ import annotations

import gc
import math
import mmap
import os
import select
import signal
import socket
import struct
import time
import traceback
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from mpifarm import say
from mpifarm.awake import Awake
from mpifarm.launcher import helper, processes, spawn
from mpifarm.launcher.frames import MAX_SLOTS, SESSION
from mpifarm.launcher.patience import Patience, Word

NAME = b"mpifarm-guard"  # as ps and killall know it: 15 bytes at most, prctl(2)
CLOSE_S = 5.0  # how long a helper may take to kill all it has; it takes one second at the most, on a free core
_DISMISS_S = 1.0  # that a rank waits for its guardian to go: it is stopped, or what it has killed does not die
_MARGIN_S = 3.0  # that the rank waits longer for the guardian than this for a helper
_SWEEP_S, _LONGEST_SWEEP_S = 0.01, 1.0  # between two looks at what is to be killed
_TELL_S = 1.0  # after so many seconds the rank is told even if something cannot be killed
_LONGEST_WAIT_S = 3600.0  # poll(2) takes an int of milliseconds
_PID = struct.Struct("<q")


@dataclass(slots=True)
class Guard:
    """The rank's end of its guardian."""

    pid: int
    wakeup: int  # for signal.set_wakeup_fd
    _kept: int  # the other end of that: to write is no error if the guardian is gone
    _told: int
    _gone: set[int] = field(default_factory=set)  # helpers, with all they had
    _there: bool = True

    def tell(self, word: int) -> None:
        """Say a Word."""
        with suppress(BlockingIOError):  # nobody reads
            os.write(self.wakeup, bytes([word]))

    def wait(self, pids: Collection[int]) -> set[int]:
        """Wait until these helpers are gone, which were told to go; return those that may still be there.

        The guardian sees to it that they go. If it does not, it is killed, and they are this process's children.
        """
        until = time.monotonic() + CLOSE_S + _MARGIN_S
        ready = select.poll()
        ready.register(self._told, select.POLLIN)
        while self._there and not self._gone.issuperset(pids):
            if not ready.poll(max(0.0, until - time.monotonic()) * 1000):
                os.kill(self.pid, signal.SIGKILL)
            told = os.read(self._told, 64 * _PID.size)
            self._gone.update(pid for (pid,) in _PID.iter_unpack(told))
            self._there = bool(told)
        return set(pids) - self._gone

    def dismiss(self) -> None:
        """Let the guardian go, once the helpers were told to: this process ends in order."""
        signal.set_wakeup_fd(-1)
        os.close(self.wakeup)
        ready = select.poll()
        ready.register(self._told, select.POLLIN)
        while ready.poll(_DISMISS_S * 1000):
            if not os.read(self._told, 64 * _PID.size):
                break
        else:
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._told)
        os.close(self._kept)


def fork(
    ends: Sequence[tuple[socket.socket, mmap.mmap]], environ: Mapping[str, str], start_s: float
) -> tuple[Guard, list[int]]:
    """Fork a guardian, which forks a helper for each of *ends*; return it, and their pids. Raises OSError.

    If the rank has not said that MPI has started within *start_s* seconds, it is killed.
    """
    rank = os.getpid()
    words, wakeup = os.pipe()
    told, tell = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            _main(rank, ends, environ, start_s, words, tell)
        except BaseException:
            with suppress(OSError):
                os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
        finally:
            os._exit(1)  # whatever happened there, this must not go on as a second rank
    os.close(tell)
    os.set_blocking(wakeup, False)
    packed = b""
    while len(packed) < len(ends) * _PID.size:
        part = os.read(told, 4096)
        packed += part
        pids = [number for (number,) in _PID.iter_unpack(packed[: len(packed) // _PID.size * _PID.size])]
        failed = next((-number for number in pids if number < 0), 0)
        if failed or not part:
            os.waitpid(pid, 0)
            raise OSError(failed, os.strerror(failed) if failed else "the guardian was killed")
    return Guard(pid, wakeup, words, told), pids


def _main(
    rank: int,
    ends: Sequence[tuple[socket.socket, mmap.mmap]],
    environ: Mapping[str, str],
    start_s: float,
    words: int,
    tell: int,
) -> NoReturn:
    os.setsid()
    spawn.ignore_signals()
    pids: list[int] = []
    for connection, table in ends:
        try:
            pid = os.fork()
        except OSError as error:
            os.write(tell, _PID.pack(-(error.errno or 1)))
            os._exit(1)
        if not pid:
            helper.main(connection, table, environ)
        pids.append(pid)
    os.write(tell, b"".join(map(_PID.pack, pids)))
    processes.adopt_orphans()
    _withdraw(words, tell)
    gc.disable()  # it makes no cycles; and to look for some would copy what it shares with the rank
    Guardian(rank, dict(zip(pids, (table for _, table in ends), strict=True)), words, tell, start_s).run()
    os._exit(0)


def _withdraw(words: int, tell: int) -> None:
    """Be nobody's Python, and hold nothing of the rank's."""
    processes.take_name(NAME)
    processes.close_all_but(words, tell)
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):  # who reads what the farm prints waits for all that could print
        os.dup2(nothing, descriptor)
    os.close(nothing)


class Guardian:
    """The loop that waits, and who is still there."""

    def __init__(self, rank: int, helpers: dict[int, mmap.mmap], words: int, tell: int, start_s: float) -> None:
        self._rank = rank  # 0: it is gone
        self._lanes = list(helpers)
        self._helpers = helpers  # that live: the table of each
        self._close_by: dict[int, float] = {}
        self._untold: dict[int, float] = {}  # helpers that are gone: when the rank is told at the latest
        self._adopted: set[int] = set()
        self._sweep_s = _SWEEP_S
        self._words = words
        self._tell = tell
        self._children = processes.Children()
        self._clock = Awake(time.monotonic())
        self._now = self._clock.turn(time.monotonic())
        self._patience = Patience(self._now + start_s)
        self._child_ended, wakeup = os.pipe()
        for descriptor in (self._child_ended, wakeup, words):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._poll = select.poll()
        self._poll.register(self._child_ended, select.POLLIN)
        self._poll.register(words, select.POLLIN)

    def run(self) -> None:
        """Watch until nobody is left."""
        self._reap()
        while self._rank or self._helpers or self._adopted:
            self._wait()
            self._reap()
            self._sweep()
            self._kill_who_does_not_go()

    def _wait(self) -> None:
        due_at = min(self._patience.due_at if self._rank else math.inf, *self._close_by.values(), math.inf)
        wait_s = min(max(0.0, due_at - self._now), _LONGEST_WAIT_S)
        if self._adopted or self._untold:
            wait_s = min(wait_s, self._sweep_s)
        ready = [descriptor for descriptor, _ in self._poll.poll(math.ceil(wait_s * 1000))]
        self._now = self._clock.turn(time.monotonic(), wait_s)
        if self._child_ended in ready:
            with suppress(BlockingIOError):
                os.read(self._child_ended, 4096)
        if self._words in ready:
            self._listen()

    def _listen(self) -> None:
        told = os.read(self._words, 4096)
        if not told:
            self._rank_is_gone()
        for word in told:
            if word >= Word.CLOSES:
                self._close(self._lanes[word - Word.CLOSES])
            else:
                self._patience.told(word, self._now)

    def _rank_is_gone(self) -> None:
        """The helpers have read the same, and end what they have."""
        self._rank = 0
        self._poll.unregister(self._words)
        os.dup2(0, 2)
        for pid in self._helpers:
            self._close(pid)

    def _close(self, pid: int) -> None:
        if pid in self._helpers:
            self._close_by.setdefault(pid, self._now + CLOSE_S)

    def _reap(self) -> None:
        """Take note of who has ended. A helper that did so in order has left nothing; one that was killed has a table."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            table = self._helpers.pop(pid, None)
            if table is None:
                continue
            self._close_by.pop(pid, None)
            self._untold[pid] = self._now + _TELL_S
            self._sweep_s = _SWEEP_S
            if status:
                kill_sessions(table)

    def _sweep(self) -> None:
        """Kill what helpers that are gone have left to this process; tell the rank of these when nothing is left."""
        if not (self._untold or self._adopted):
            return
        children = self._children.pids() or set()
        self._adopted = children.difference(self._helpers)
        processes.kill_these(self._adopted)
        self._sweep_s = min(2 * self._sweep_s, _LONGEST_SWEEP_S)
        for pid, due_at in list(self._untold.items()):
            if not self._adopted or self._now >= due_at:
                del self._untold[pid]
                with suppress(BrokenPipeError):
                    os.write(self._tell, _PID.pack(pid))

    def _kill_who_does_not_go(self) -> None:
        for pid, due_at in list(self._close_by.items()):
            if self._now >= due_at:
                os.kill(pid, signal.SIGKILL)
                self._close_by[pid] = math.inf
        if self._rank and (why := self._patience.lost(self._now)):
            if _can_be_told():
                say(why)
            if os.getppid() == self._rank:
                os.kill(self._rank, signal.SIGKILL)
            self._patience = Patience(math.inf)


def _can_be_told() -> bool:
    """Return whether a line can be written to standard error without waiting for who reads it."""
    ready = select.poll()
    ready.register(2, select.POLLOUT)
    return bool(ready.poll(0))


def kill_sessions(table: mmap.mmap) -> None:
    """Kill the tasks that stand in the *table* of a helper that is gone."""
    sessions = processes.sessions_of(processes.census())
    for (session,) in SESSION.iter_unpack(table[: MAX_SLOTS * SESSION.size]):
        processes.signal_session(session, signal.SIGKILL, sessions)
