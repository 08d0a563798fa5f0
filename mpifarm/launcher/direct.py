"""Commands that need no shell: which they are, and what a shell would give them.

`sh -c './run.sh 1 2'` splits a line into words, finds a program, and becomes it, or waits for it. Where that is all, the
program can be started at once, which halves the cost of a short task. The rule: only where the result is provably the
same. So

1. The line consists of words and blanks alone, in characters that mean nothing to a shell: no quotes, expansions,
   redirections, patterns, comments.
2. The first word is nothing that a shell would do by itself: no assignment, keyword, builtin or imported function. Without
   a slash it is looked up in PATH, each time anew, since a task may have put a program there.
3. What the kernel does not start (a script without #!, no permission, ...) goes to the shell: the messages are its own.
4. A shell changes the environment (PWD, SHLVL, `_`, names that it cannot hold). So it is asked once, with a command that
   prints its pid, its parent and its environment; if that fails, all goes through the shell.
5. bash becomes the program, and dash waits for it: then it turns the death by a signal into a message and an exit code. So
   do we.
6. Only dash and bash are known well enough: a busybox may take any name for a builtin. bash under its own name reads a
   file, BASH_ENV, before it does anything, and that may change everything.
7. What a shell loses on the way, functions that bash has exported, the program gets all the same: see `functions`.
8. Whoever starts a program waits for the file systems that it lies on. So one that may lie elsewhere than on the node is
   left to the shell, and so is a name whose search in PATH leads there: see `programs`.
"""

from __future__ import annotations

import os
import re
import select
import signal
import stat
import time
from contextlib import suppress
from typing import NamedTuple

from mpifarm.launcher import spawn
from mpifarm.launcher.programs import Programs
from mpifarm.launcher.spawn import Environ
from mpifarm.site.mounts import Mounts, Place
from mpifarm.tasks.calls import BY_THE_SHELL

_KNOWN_SHELLS = {"dash", "bash"}
_CAT = b"/bin/cat"
_PATIENCE_S = 2.0  # with a shell that does not answer

_WORDS = re.compile(rb"[ \t]*[\w./][\w./+-]*(?:[ \t]+[\w./+,:@%=-]+)*[ \t]*")  # of bytes, \w is ASCII
_FUNCTION = re.compile(rb"BASH_FUNC_(.*?)(?:%%|\(\))")  # as bash exports one
_OPTIONS = {b"SHELLOPTS", b"BASHOPTS"}  # an option that bash takes from here may change everything


class Program(NamedTuple):
    """What a shell would start."""

    path: bytes
    argv: list[bytes]
    environ: Environ
    awaited: bool  # by the shell: see `last_words`


class Direct:
    """Finds out what a shell would do, for tasks with one environment."""

    def __init__(self, environ: Environ, mounts: Mounts, shell: bytes = spawn.SHELL, lost: Environ | None = None) -> None:
        """*lost* are variables that the program gets although the shell would not hand them on."""
        self._base = environ
        self._mounts = mounts
        self._programs = Programs(mounts)
        self._shell = shell
        self._lost = lost or {}
        self._asked = False
        self._environ: Environ | None = None  # what the shell makes of it; None: everything goes through the shell
        self._waits = False
        self._tells_path = False  # whether it sets `_` to the program's path, as bash does
        self._functions = {match[1] for name in environ if (match := _FUNCTION.fullmatch(name))}

    def program(self, command: bytes) -> Program | None:
        """Return the one program that a shell would start for *command*; None if it might do anything else."""
        if not _WORDS.fullmatch(command):
            return None
        argv = command.split()
        if argv[0] in BY_THE_SHELL or argv[0] in self._functions:
            return None
        if not self._asked:
            self._asked = True
            self._ask()
        if self._environ is None:
            return None
        self._mounts.look()
        try:
            path = argv[0] if b"/" in argv[0] else self._look_up(argv[0])
            if path is None or not self._programs.start_at_once(path):
                return None
        except OSError:
            return None
        environ = {**self._environ, b"_": path} if self._tells_path else self._environ
        return Program(path, argv, environ, self._waits)

    def _look_up(self, name: bytes) -> bytes | None:
        """Return what PATH has under *name*; None if there is any doubt. Raises OSError."""
        path = self._base.get(b"PATH", b"")
        if b"%" in path:  # dash takes `directory%func` for more than a directory
            return None
        for directory in path.split(b":"):
            if not directory.startswith(b"/"):
                return None
            lies = self._mounts.place(directory)
            if lies is Place.NOWHERE:
                continue
            if lies is not Place.HERE:
                return None
            found = directory + b"/" + name
            try:
                is_link = stat.S_ISLNK(os.lstat(found).st_mode)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if is_link and self._mounts.place(found) is not Place.HERE:
                return None
            return found if os.path.isfile(found) and os.access(found, os.X_OK) else None
        return None

    def _ask(self) -> None:
        """Let the shell start a program that tells who it is and what environment it has."""
        if spawn.true_name(self._shell) not in _KNOWN_SHELLS or _OPTIONS & self._base.keys():
            return
        if os.path.basename(self._shell) == b"bash" and b"BASH_ENV" in self._base:
            return
        given = {name: value for name, value in self._base.items() if name != b"_"}
        ours, theirs = os.pipe()
        try:
            with suppress(OSError):
                pid = spawn.spawn(_CAT + b" /proc/self/stat /proc/self/environ", given, theirs, theirs, self._shell)
                os.close(theirs)
                theirs = -1
                answer = _read_all(ours)
                self._understand(pid, answer)
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0 if answer else os.WNOHANG)  # where it hangs, it will be reaped with the tasks
        finally:
            os.close(ours)
            if theirs >= 0:
                os.close(theirs)

    def _understand(self, pid: int, answer: bytes) -> None:
        about, _, rest = answer.partition(b"\n")  # proc(5): pid (cat) state parent ...
        match = re.match(rb"(\d+) \(cat\) \w (\d+) ", about)
        if not match or b"%d" % pid not in match.groups():  # a warning, or something in between
            return
        self._waits = match[2] == b"%d" % pid
        environ = dict(entry.split(b"=", 1) for entry in rest.split(b"\0") if b"=" in entry)
        self._tells_path = environ.pop(b"_", None) == _CAT
        if not self._tells_path and b"_" in self._base:
            environ[b"_"] = self._base[b"_"]
        self._environ = {**environ, **self._lost}


def last_words(status: int, core: bool) -> tuple[int, bytes]:
    """Return the exit code and the message of dash when what it waits for has ended with *status*, minus the signal."""
    if status >= 0:
        return status, b""
    number = -status
    if number in (signal.SIGINT, signal.SIGPIPE):
        return 128 + number, b""
    text = signal.strsignal(number) or f"Signal {number}"
    return 128 + number, f"{text}{' (core dumped)' if core else ''}\n".encode()


def _read_all(descriptor: int) -> bytes:
    """Return what comes from a pipe until its other end is closed; nothing if that takes too long."""
    answer = b""
    until = time.monotonic() + _PATIENCE_S
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while poll.poll(max(0.0, until - time.monotonic()) * 1000):
        part = os.read(descriptor, 65536)
        if not part:
            return answer
        answer += part
    return b""
