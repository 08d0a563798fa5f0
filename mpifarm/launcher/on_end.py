"""`--on-end`: a command of the user's that is run once, when the last file is written: a mail, `sbatch next.sh`.

The rule: it changes nothing of the run, which is over: neither a file nor the exit code. It is waited for, since in a batch
job all that runs is ended with the farm; but not for long, and not by somebody who presses Ctrl-C. Then it is ended, TERM
and a second later KILL, with all of its session; what it has left running when it ends by itself goes on.

It is started by a process that is forked beside the helpers, before MPI exists, and sleeps until then: so that the command
has what a task has, and nothing is forked in a process that MPI has touched. A rank that is killed has no end: the process
reads end-of-file, and goes.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NoReturn

from mpifarm.launcher import processes, spawn

LIMIT_S = 60.0  # that it is waited for
STOPPED_LIMIT_S = 5.0  # the same if the farm was stopped: whoever did that, Slurm say, will not wait long

_KILL_AFTER_S = 1.0  # between its TERM and its KILL
_LOOK_S = 0.05  # between two looks at what was asked meanwhile
_GOES_S = 3.0  # that the process may take to go, after that


class OnEnd:
    """The rank's end of the process that starts the command."""

    def __init__(self, command: str, shell: str, environ: Mapping[str, str]) -> None:
        """Fork it. To be called before MPI exists. Raises OSError."""
        self._connection, theirs = socket.socketpair()
        self._pid = os.fork()
        if not self._pid:
            _main(theirs, os.fsencode(command), os.fsencode(shell), dict(environ))
        theirs.close()

    def run(self, values: Mapping[str, int], limit_s: float, asked: Callable[[], bool]) -> str:
        """Run the command with these variables; return what is to be said of it, nothing if it has succeeded.

        It is waited for *limit_s* seconds, or until *asked* says that somebody wants an end.
        """
        variables = {f"MPIFARM_{name}": str(value) for name, value in values.items()}
        until = time.monotonic() + limit_s
        ready = select.poll()
        ready.register(self._connection, select.POLLIN)
        try:
            self._connection.sendall(json.dumps(variables).encode() + b"\n")
            while not ready.poll(_LOOK_S * 1000):
                if asked():
                    return "--on-end: ended, since a signal has come"
                if time.monotonic() > until:
                    return f"--on-end: had not ended after {limit_s:.0f} s: it is ended"
            told = self._connection.recv(4096)
        except OSError:
            told = b""
        finally:
            self.dismiss()
        return told.decode(errors="replace").strip() if told else "--on-end: the process that starts it was killed"

    def dismiss(self) -> None:
        """Let it go; a command that runs is ended."""
        self._connection.close()
        processes.wait_for(self._pid, _GOES_S)


def _main(connection: socket.socket, command: bytes, shell: bytes, environ: dict[str, str]) -> NoReturn:
    try:
        os.setsid()
        spawn.ignore_signals()
        processes.close_all_but(connection.fileno())
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1):
            os.dup2(nothing, descriptor)
        os.close(nothing)
        received = b""
        while not received.endswith(b"\n"):
            part = connection.recv(4096)
            if not part:
                os._exit(0)
            received += part
        _run(connection, command, shell, environ | json.loads(received))
    except BaseException:
        with suppress(OSError):
            os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
    finally:
        os._exit(1)


def _run(connection: socket.socket, command: bytes, shell: bytes, environ: Mapping[str, str]) -> NoReturn:
    """Run the command, and tell how it has ended."""
    encoded = {os.fsencode(name): os.fsencode(value) for name, value in environ.items()}
    try:
        pid = spawn.spawn(command, encoded, 2, 2, shell)
    except OSError as error:
        connection.send(f"--on-end: cannot be started: {error.strerror}".encode())
        os._exit(0)
    gone = select.poll()
    gone.register(connection, select.POLLIN)
    ended = 0
    while not ended:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended and gone.poll(_LOOK_S * 1000):
            _end(pid)
            os._exit(0)
    code = os.waitstatus_to_exitcode(status)
    how = f"was killed by signal {-code}" if code < 0 else f"has ended with exit code {code}"
    connection.send(f"--on-end: {how}\n".encode() if code else b"\n")
    os._exit(0)


def _end(pid: int) -> None:
    """End the session of the command."""
    processes.signal_session(pid, signal.SIGTERM, processes.sessions_of(processes.census()))
    processes.wait_for(pid, _KILL_AFTER_S)
    processes.signal_session(pid, signal.SIGKILL, processes.sessions_of(processes.census()))
