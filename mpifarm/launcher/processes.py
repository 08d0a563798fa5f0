"""The processes of this host, as /proc tells of them: whose children, in which session; and signals to all of a task.

1. A task is a session of its own (see `spawn`). It may have more than one process group, since timeout(1), say, makes its
   own, so a signal goes to every group of the session.
2. The helper adopts what a finished task leaves in the background (PR_SET_CHILD_SUBREAPER), whatever session that has
   made for itself: so it is known, and killed in the end.
3. Where there is no /proc nothing is found, and a task is its own process group alone.

What is there is told here; whose it is, `strays` judges.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

LAST_ROUNDS, LAST_ROUND_S = 100, 0.01  # in which all that is to be killed has to be gone

_PR_SET_NAME = 15  # prctl(2)
_PR_SET_CHILD_SUBREAPER = 36
_PART_BYTES = 2048  # the kernel hands out half a page at least, unless it is the end: seq_read_iter in fs/seq_file.c

Sessions = Mapping[int, set[int]]  # of all sessions with a living process: their process groups


def adopt_orphans() -> None:
    """Become the parent of whatever tasks leave behind, where the kernel can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def take_name(name: bytes) -> None:
    """Give this process the *name* by which ps and killall know it, where the kernel can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name, 0, 0, 0)


def close_all_but(*kept: int) -> None:
    """Close what the rank had open but 0 to 2. A copy of PMI_FD here would hide the rank's death from its launcher."""
    for descriptor in [int(name) for name in os.listdir("/dev/fd")]:
        if descriptor > 2 and descriptor not in kept:
            with suppress(OSError):  # the one that listdir used
                os.close(descriptor)


class Children:
    """The children of this process, zombies too: proc(5)."""

    def __init__(self) -> None:
        self._listing: int | None = None  # kept open, since they are looked up whenever a task has ended
        with suppress(OSError):
            self._listing = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)

    def pids(self) -> set[int] | None:
        """Return their pids; None where the kernel does not tell."""
        if self._listing is None:
            return None
        pids = b""
        while part := os.pread(self._listing, 65536, len(pids)):
            pids += part
            if len(part) < _PART_BYTES:
                break
        return {int(pid) for pid in pids.split()}


def session_of(pid: int) -> int:
    """Return the session of a process, 0 if it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


class Alive(NamedTuple):
    """A process that is no zombie: proc(5), /proc/pid/stat."""

    parent: int
    group: int
    session: int


def census() -> dict[int, Alive]:
    """Return the processes of this host that are alive, by pid; none where there is no /proc."""
    found: dict[int, Alive] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, *numbers = entry.read_bytes().rpartition(b")")[2].split(maxsplit=4)[:4]
        except OSError:
            continue
        if state not in (b"Z", b"X"):
            found[int(entry.parent.name)] = Alive(*map(int, numbers))
    return found


def sessions_of(living: Mapping[int, Alive]) -> Sessions:
    """Return the sessions of these processes, and the process groups of each."""
    sessions: dict[int, set[int]] = {}
    for process in living.values():
        sessions.setdefault(process.session, set()).add(process.group)
    return sessions


def descendants(living: Mapping[int, Alive], ancestors: Iterable[int]) -> set[int]:
    """Return the processes that *ancestors* have started, and those that these have, and so on, themselves included."""
    children: dict[int, list[int]] = {}
    for pid, process in living.items():
        children.setdefault(process.parent, []).append(pid)
    found: set[int] = set()
    pending = list(ancestors)
    while pending:
        pid = pending.pop()
        if pid not in found:
            found.add(pid)
            pending += children.get(pid, [])
    return found & living.keys()


def environ_of(pid: int) -> list[bytes]:
    """Return the variables that a process was started with, NAME=VALUE each; none if it is gone, or not ours."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def kill_adopted(children: Children, born: set[int]) -> None:
    """Kill what a helper that is gone has left to this process: all its children but those that it has *born* itself."""
    for _ in range(LAST_ROUNDS):
        adopted = (children.pids() or set()) - born
        if not adopted:
            return
        kill_these(adopted)
        for pid in adopted:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(LAST_ROUND_S)


def wait_for(pid: int, patience_s: float) -> bool:
    """Wait until a process is gone, be it a child of ours or not; return whether it is."""
    until = time.monotonic() + patience_s
    while not _is_gone(pid):
        if time.monotonic() > until:
            return False
        time.sleep(LAST_ROUND_S)
    return True


def _is_gone(pid: int) -> bool:
    with suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def kill_these(pids: Iterable[int]) -> None:
    """Kill these processes with their sessions."""
    found = {session_of(pid) for pid in pids}
    sessions = sessions_of(census()) if found else {}
    for session in found:
        signal_session(session, signal.SIGKILL, sessions)


def signal_session(session: int, number: int, sessions: Sessions) -> bool:
    """Send signal *number* to all that belongs to a task, *sessions* being those that live; return whether it lives.

    Session 0 is nobody's: kill(2) would take it for our own group.
    """
    if not session:
        return False
    reached = [_signal_group(group, number) for group in {session} | sessions.get(session, set())]
    return any(reached)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # a member runs as somebody else (sudo): it is there, and not ours to signal
        return True
    return True
