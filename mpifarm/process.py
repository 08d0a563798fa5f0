"""A task as a process: how it is started, and how all of it is reached by a signal.

1. A task is a session, and so a process group, of its own: one killpg reaches all of it, and no signal that is meant for
   the farm reaches any of it.
2. `os.posix_spawn` has vfork semantics, and costs a tenth less than `subprocess`.
3. The line goes to `/bin/sh -c`. One that the kernel would refuse as an argument is sourced from a descriptor instead.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

from mpifarm import capture

LONGEST_ARGUMENT = 128 * 1024 - 1  # bytes; Linux, MAX_ARG_STRLEN without its final NUL: execve(2)

# Ignored in the helper or by Python, and an ignored signal stays ignored over exec: a task starts with them at default.
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_RESET = (*_IGNORED, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD)
_SCRIPT_FD = 9


def ignore_signals() -> None:
    """Let this process ignore what users and launchers send to a farm."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)


def spawn(command: bytes, environ: Mapping[str, str], stdin: int, stdout: int, stderr: int) -> int:
    """Start /bin/sh with *command* as the leader of a new session; return its pid. Raises OSError."""
    actions = [
        (os.POSIX_SPAWN_DUP2, stdin, 0),
        (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_DUP2, stderr, 2),
    ]
    if len(command) <= LONGEST_ARGUMENT:
        # `--`: a line that begins with - or + is a command, not an option of sh
        dashes = [b"--"] if command[:1] in (b"-", b"+") else []
        return _posix_spawn([b"sh", b"-c", *dashes, command], environ, actions)
    script = capture.open_unnamed()
    try:
        with open(script, "wb", closefd=False) as file:
            # The dot command has opened the script for itself: what it runs does not inherit the descriptor.
            file.write(b"exec %d<&-\n%s\n" % (_SCRIPT_FD, command))
        argv = [b"sh", b"-c", b". /dev/fd/%d" % _SCRIPT_FD]
        return _posix_spawn(argv, environ, [*actions, (os.POSIX_SPAWN_DUP2, script, _SCRIPT_FD)])
    finally:
        os.close(script)


def signal_group(group: int, number: int) -> bool:
    """Send signal *number* to the process *group*; return whether it has a member. Group 0, our own, is never meant."""
    if not group:
        return False
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # a member runs as somebody else (sudo): it is there, and not ours to signal
        return True
    return True


def _posix_spawn(argv: list[bytes], environ: Mapping[str, str], actions: list[tuple[int, int, int]]) -> int:
    return os.posix_spawn("/bin/sh", argv, environ, file_actions=actions, setsid=True, setsigmask=(), setsigdef=_RESET)
