"""A task as a process: how it is started, and how all of it is reached by a signal.

1. A task is a session of its own: no signal that is meant for the farm reaches any of it. It may have more than one
   process group, since timeout(1), say, makes its own, so a signal goes to every group of the session.
2. `os.posix_spawn` has vfork semantics, and costs a tenth less than `subprocess`. A Python that was built for an old C
   library (conda-forge's, uv's) cannot make a session with it, whatever library runs: there it is fork and exec, by hand.
3. The helper adopts what a finished task leaves in the background (PR_SET_CHILD_SUBREAPER), whatever session that has
   made for itself: so it is known, and killed in the end.
4. The line goes to `/bin/sh -c`, or to the shell that the user has chosen. One that the kernel would refuse as an
   argument is sourced from a descriptor instead. One that needs no shell is started without: see `direct`.
5. Standard input is that of this process, which is /dev/null in a helper: an action less for each task.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple, NoReturn

from mpifarm import files
from mpifarm.launcher import frames

LONGEST_ARGUMENT = 128 * 1024 - 1  # bytes; Linux, MAX_ARG_STRLEN without its final NUL: execve(2)

# Ignored in the helper or by Python, and an ignored signal stays ignored over exec: a task starts with them at default.
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_RESET = (*_IGNORED, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD)
SHELL = os.fsencode(frames.SHELL)
_SCRIPT_FD = 9
_ABOVE = 10  # of the descriptors that a task is given
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)

_PART_BYTES = 2048  # the kernel hands out half a page at least, unless it is the end: seq_read_iter in fs/seq_file.c

LAST_ROUNDS, LAST_ROUND_S = 100, 0.01  # in which all that is to be killed has to be gone

Environ = Mapping[bytes, bytes]  # not str: encoding it would be a third of the cost of a start
Sessions = Mapping[int, set[int]]  # of all sessions with a living process: their process groups


def ignore_signals() -> None:
    """Let this process ignore what users and launchers send to a farm."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)


def spawn(command: bytes, environ: Environ, stdout: int, stderr: int, shell: bytes = SHELL) -> int:
    """Start the *shell* with *command* as the leader of a new session; return its pid. Raises OSError."""
    name = os.path.basename(shell)
    if len(command) <= LONGEST_ARGUMENT:
        # `--`: a line that begins with - or + is a command, not an option of sh
        dashes = [b"--"] if command[:1] in (b"-", b"+") else []
        return spawn_program(shell, [name, b"-c", *dashes, command], environ, stdout, stderr)
    script = files.open_unnamed()
    try:
        with open(script, "wb", closefd=False) as file:
            # The dot command has opened the script for itself: what it runs does not inherit the descriptor.
            file.write(b"exec %d<&-\n%s" % (_SCRIPT_FD, command))
        argv = [name, b"-c", b". /dev/fd/%d" % _SCRIPT_FD]
        return spawn_program(shell, argv, environ, stdout, stderr, (script, _SCRIPT_FD))
    finally:
        os.close(script)


def spawn_program(
    path: bytes, argv: list[bytes], environ: Environ, stdout: int, stderr: int, *more: tuple[int, int]
) -> int:
    """Start a program, with *more* descriptors (ours, its own), as the leader of a new session; return its pid.

    Raises OSError.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # glibc's posix_spawn takes a descriptor above the soft limit for a bad one
    copies = {ours: os.dup(ours) for ours in (stdout, stderr) if ours >= limit}
    try:
        return _start(path, argv, environ, ((copies.get(stdout, stdout), 1), (copies.get(stderr, stderr), 2), *more))
    finally:
        for copy in copies.values():
            os.close(copy)


def _start(path: bytes, argv: list[bytes], environ: Environ, descriptors: tuple[tuple[int, int], ...]) -> int:
    if not spawns_sessions():
        return _fork(path, argv, environ, descriptors)
    actions = [(os.POSIX_SPAWN_DUP2, ours, its) for ours, its in descriptors]
    return os.posix_spawn(path, argv, environ, file_actions=actions, setsid=True, setsigmask=(), setsigdef=_RESET)


@cache
def spawns_sessions() -> bool:
    """Return whether os.posix_spawn is there and can make a session. Nothing is started to find out: / is no program."""
    try:
        os.posix_spawn("/", ["/"], {}, setsid=True)
    except (AttributeError, NotImplementedError):
        return False
    except OSError as error:
        return error.errno != errno.EINVAL  # the C library does not know the flag
    raise AssertionError("a directory was executed")


def _fork(path: bytes, argv: list[bytes], environ: Environ, descriptors: Iterable[tuple[int, int]]) -> int:
    """Do what posix_spawn does. What happens in the child up to its exec comes back as an exception of ours."""
    told, low = os.pipe()
    with os.fdopen(told, "rb") as file:
        try:
            failed = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _ABOVE)
        finally:
            os.close(low)
        try:
            pid = os.fork()
            if not pid:
                _become(path, argv, environ, descriptors, failed)
        finally:
            os.close(failed)
        number = int(file.read() or 0)
    if number:
        os.waitpid(pid, 0)
        raise OSError(number, os.strerror(number), os.fsdecode(path))
    return pid


def _become(
    path: bytes, argv: list[bytes], environ: Environ, descriptors: Iterable[tuple[int, int]], told: int
) -> NoReturn:
    number = errno.EINVAL
    try:
        os.setsid()
        for ours, its in descriptors:
            os.dup2(ours, its)
        for signum in _RESET:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(path, argv, environ)
    except OSError as error:
        number = error.errno or number
    finally:  # nothing of this process may go on as a second helper
        os.write(told, b"%d" % number)
        os._exit(127)


def true_name(shell: bytes) -> str:
    """Return the name of what *shell* is in truth: dash, say, where /bin/sh is a link to it."""
    return os.fsdecode(os.path.basename(os.path.realpath(shell)))


def adopt_orphans() -> None:
    """Become the parent of whatever tasks leave behind, where the kernel can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


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
        sessions = sessions_of(census())
        for pid in adopted:
            signal_session(session_of(pid), signal.SIGKILL, sessions)
            os.waitpid(pid, os.WNOHANG)
        time.sleep(LAST_ROUND_S)


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
