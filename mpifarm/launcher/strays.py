"""What is there of a task beside its leader, and after it: which processes, and whose they are.

1. The helper adopts what a task leaves behind (see `processes`). So that is among its children that lead no task, and among
   what these have started; while there are no such children, which is nearly always, nothing is looked up.
2. What is in the leader's session is the task's. So is what its leader has started, and what these have. And what has made
   a session of its own, and was adopted, tells by its environment: MPIFARM_TASK, MPIFARM_ATTEMPT.
3. All this is read from /proc once a turn at most. Where there is none, a session is all that is known.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from mpifarm.launcher import processes
from mpifarm.launcher.frames import MOST_NAMED, Killed

_SEQ = b"MPIFARM_SEQ="


class Whose(NamedTuple):
    """The task that a process may belong to."""

    leader: int  # pid, and the number of the session
    marks: tuple[bytes, ...]  # what stands in the environment of all that it has started


class Strays:
    """The adopted children of a helper."""

    def __init__(self) -> None:
        self._children = processes.Children()
        self._seen: dict[int, float] = {}  # pid, and when that was
        self._living: dict[int, processes.Alive] = {}
        self._sessions: processes.Sessions = {}
        self._living_at = float("-inf")  # `now` of the turn in which that was looked up

    def __bool__(self) -> bool:
        return bool(self._seen)

    def look(self, leaders: Iterable[int], now: float) -> bool:
        """Find the children that are none of *leaders*; return False where the kernel does not tell."""
        children = self._children.pids()
        if children is None:
            return False
        self._seen = {pid: self._seen.get(pid, now) for pid in children.difference(leaders)}
        return True

    def seen_since(self, when: float) -> bool:
        """Return whether one was first seen at *when* or later."""
        return any(seen >= when for seen in self._seen.values())

    def left_by(self, whose: Whose, now: float) -> set[int]:
        """Return the living processes of a task whose leader has ended."""
        return self._of(whose, now) if self._adopted(whose) else set()

    def alive(self, whose: Whose, now: float) -> bool:
        """Return whether any of a task lives."""
        return bool(self._of(whose, now)) if self._look_up(now) else processes.signal_session(whose.leader, 0, {})

    def signal(self, whose: Whose, number: int, now: float) -> None:
        """Send a signal to all that belongs to a task."""
        members = self._of(whose, now)  # which has looked up the sessions, too
        processes.signal_session(whose.leader, number, self._sessions)
        for pid in members:
            if self._living[pid].session != whose.leader:
                with suppress(OSError):
                    os.kill(pid, number)

    def kill(self, leaders: Iterable[int]) -> Killed:
        """Kill all that is no task's any more; return what was killed. *leaders* lead those that still run."""
        leaders = set(leaders)
        now = time.monotonic()
        self.look(leaders, now)
        living = self._look_up(now)
        victims = [pid for pid in processes.descendants(living, self._seen) if living[pid].session not in leaders]
        tasks = {_seq_of(pid) for pid in victims} - {0}
        for pid in victims:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return Killed(len(victims), tuple(sorted(tasks)[:MOST_NAMED]))

    def _adopted(self, whose: Whose) -> list[int]:
        """Return what was adopted from a task."""
        marks = set(whose.marks)
        mine = [pid for pid in self._seen if processes.session_of(pid) == whose.leader]
        return mine + [pid for pid in self._seen.keys() - mine if marks <= set(processes.environ_of(pid))]

    def _of(self, whose: Whose, now: float) -> set[int]:
        living = self._look_up(now)
        mine = [pid for pid, alive in living.items() if alive.session == whose.leader]
        return processes.descendants(living, [whose.leader, *mine, *self._adopted(whose)])

    def _look_up(self, now: float) -> dict[int, processes.Alive]:
        if self._living_at != now:
            self._living, self._living_at = processes.census(), now
            self._sessions = processes.sessions_of(self._living)
        return self._living


def _seq_of(pid: int) -> int:
    """Return the number of the task that has started *pid*, 0 if its environment does not tell."""
    for variable in processes.environ_of(pid):
        if variable.startswith(_SEQ) and variable[len(_SEQ) :].isdigit():
            return int(variable[len(_SEQ) :])
    return 0
