"""How a task is started: as the leader of a session of its own, with two pipes and nothing else of ours.

1. A session of its own, so that no signal that is meant for the farm reaches any of the task.
2. `os.posix_spawn` has vfork semantics, and costs a tenth less than `subprocess`. A Python that was built for an old C
   library (conda-forge's, uv's) cannot make a session with it, whatever library runs: there it is `subprocess`, which
   uses vfork as well, and knows nothing of a descriptor with another number: for that it is fork and exec, by hand, which
   takes several times as long.
3. The line goes to `/bin/sh -c`, or to the shell that the user has chosen. One that the kernel would refuse as an
   argument is sourced from a descriptor instead. One that needs no shell is started without: see `direct`.
4. Standard input is that of this process, which is /dev/null in a helper: an action less for each task.

Nothing here waits for what was started, or looks for it: see `processes`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from typing import NoReturn

from mpifarm import files
from mpifarm.launcher import frames

LONGEST_ARGUMENT = 128 * 1024 - 1  # bytes; Linux, MAX_ARG_STRLEN without its final NUL: execve(2)

# Handled in the helper or ignored by Python; a task starts with them at default.
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_RESET = (*_IGNORED, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD)
SHELL = os.fsencode(frames.SHELL)
_SCRIPT_FD = 9
_ABOVE = 10  # of the descriptors that a task is given

Environ = Mapping[bytes, bytes]  # not str: encoding it would be a third of the cost of a start


def ignore_signals() -> None:
    """Let this process ignore what users and launchers send to a farm."""
    for number in _IGNORED:
        signal.signal(number, _do_nothing)  # an ignored one would stay so over exec: `subprocess` resets handlers alone


def _do_nothing(_number: int, _frame: object) -> None:
    """What a signal is handled by that is not meant for us."""


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
        (stdout, _), (stderr, _), *more = descriptors
        return _fork(path, argv, environ, descriptors) if more else _popen(path, argv, environ, stdout, stderr)
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


def _popen(path: bytes, argv: list[bytes], environ: Environ, stdout: int, stderr: int) -> int:
    if b"" in environ:  # which the other ways refuse
        raise ValueError("illegal environment variable name")
    mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        process = subprocess.Popen(
            argv, executable=path, env=environ, stdout=stdout, stderr=stderr, close_fds=False, start_new_session=True
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    process.returncode = 0  # whoever reaps it is not this object
    return process.pid


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
