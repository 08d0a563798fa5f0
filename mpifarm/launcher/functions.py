r"""Functions that bash has exported (`module`, `conda`, one's own): they reach the task, whatever the shell between.

bash exports a function as a variable `BASH_FUNC_name%%=() {  body\n}`. No other shell can hold such a name: dash, which is
/bin/sh on Debian and Ubuntu, hands none of them on to what it starts; bash, called as sh, none whose name has a dash or a
dot. A user's own shell, xargs and GNU Parallel do keep them, so a task that works there must work here. There are three
ways from a line to a function:

1. The line starts a program without a shell: it gets the variables as they are. See `direct`.
2. The line itself calls the function: under dash that could only fail. bash runs it, under its own name: as sh, that is in
   POSIX mode, it has no function with a dash in its name either, and before 5.1 not all of its syntax.
3. The shell starts a bash, say `./script.sh > out`. That reads the file named by BASH_ENV if it is not interactive, and
   those are the ones meant here. So BASH_ENV names a file of ours. It defines what was lost on the way, and no more: what
   is there already has been handed on, perhaps changed. Then it puts the user's own BASH_ENV back, and reads that.

The file is unnamed and open in the helper: /proc/<helper>/fd/N. Where a task sees another /proc, bash finds no file and
says nothing; N is so high that a process of that number on another node, where a task's own srun may take the name, has
nothing open there. Edge cases: each definition goes through `eval`, so that one that bash cannot read spoils no other; the
definitions do not show under `bash -x`; a value that is not one function is left alone.

Without exported functions nothing of this happens.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
from contextlib import suppress
from typing import NamedTuple

from mpifarm import files
from mpifarm.launcher.spawn import Environ, true_name
from mpifarm.site.mounts import Mounts, Place
from mpifarm.tasks.quoting import COMMAND, Part, read

_VARIABLE = re.compile(rb"BASH_FUNC_(.+?)(?:%%|\(\))")
_DEFINABLE = re.compile(rb"[^\s\0-\x20/=\"'`$\\|&;()<>{}*?!#~\[\]]+")  # a name that means only itself to the shell
_POSIX_NAME = re.compile(rb"[A-Za-z_]\w*", re.ASCII)
_VALUE = re.compile(rb"\(\)\s*\{.*\}\s*", re.DOTALL)
_LOWEST = 777  # below the usual limit, 1024, and above what programs have open
_MAY_CALL_BASH = {"dash", "sh", "ash", "busybox", "bash"}  # another one was chosen: it may have functions of its own


class Way(NamedTuple):
    """How a line goes to a shell."""

    shell: bytes
    environ: Environ


class Functions:
    """The exported functions of the tasks' environment, and the shell that is to hand them on."""

    def __init__(self, environ: Environ, shell: bytes, mounts: Mounts) -> None:
        self._usual = Way(shell, environ)
        exported = {match[1]: name for name in environ if (match := _VARIABLE.fullmatch(name))}
        name = true_name(shell)
        lost = {function for function in exported if not _kept(function, name, shell)}
        self.lost = {exported[function]: environ[exported[function]] for function in lost}
        self._calls: re.Pattern[bytes] | None = None
        self._by_bash = self._usual
        if not lost:
            return
        bash = _look_up(b"bash", environ, mounts)
        if bash and name in _MAY_CALL_BASH:
            self._calls = re.compile(COMMAND + rb"(%s)(?=[\s;&|<>)]|$)(?!\s*\(\s*\))" % b"|".join(map(re.escape, lost)))
            self._by_bash = Way(bash, environ)
        definitions = [_definition(f, environ[exported[f]]) for f in sorted(lost) if _is_definable(f, environ[exported[f]])]
        if definitions and sys.platform == "linux":
            with suppress(OSError):  # no place: the trouble with that is told of elsewhere
                path = _open_script(_script(definitions, environ.get(b"BASH_ENV")))
                self._usual = Way(shell, {**environ, b"BASH_ENV": path})

    def way(self, command: bytes) -> Way:
        """Return the shell for *command*, and its environment."""
        if self._calls and self._calls.search(read(command, dash=True).only(Part.CODE, Part.NESTED)):
            return self._by_bash
        return self._usual


def _open_script(script: bytes) -> bytes:
    """Return the path of a file with *script* that is there as long as this process. Raises OSError."""
    with os.fdopen(files.open_unnamed(), "wb") as file:
        file.write(script)
        descriptor = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, _LOWEST)
    return b"/proc/%d/fd/%d" % (os.getpid(), descriptor)


def _kept(function: bytes, name: str, shell: bytes) -> bool:
    """Return whether *shell*, which is in truth *name*, hands the function on."""
    if name != "bash":
        return False
    return os.path.basename(shell) != b"sh" or bool(_POSIX_NAME.fullmatch(function))


def _is_definable(function: bytes, value: bytes) -> bool:
    return bool(_DEFINABLE.fullmatch(function) and _VALUE.fullmatch(value))


def _definition(function: bytes, value: bytes) -> bytes:
    name, text = _quoted(function), _quoted(function + b" " + value)
    return b"declare -F -- %s >/dev/null || { eval %s; export -f -- %s; }" % (name, text, name)


def _script(definitions: list[bytes], own: bytes | None) -> bytes:
    """Return what bash is to read; *own* is the user's BASH_ENV, whose value bash expands as in double quotes."""
    back = b"unset BASH_ENV" if own is None else b"BASH_ENV=" + _quoted(own)
    lines = [
        b"{ case $- in *x*) set +x; BASH_ENV=x ;; *) BASH_ENV= ;; esac; } 2>/dev/null",
        *definitions,
        b'if [ -n "$BASH_ENV" ]; then %s; set -x; else %s; fi' % (back, back),
    ]
    if own is not None:
        path = b'"%s"' % own.replace(b'"', b'\\"')
        lines.append(b"if [ -r %s ] && [ ! -d %s ]; then . %s; fi" % (path, path, path))
    return b"\n".join(lines) + b"\n"


def _quoted(text: bytes) -> bytes:
    return b"'" + text.replace(b"'", b"'\\''") + b"'"


def _look_up(name: bytes, environ: Environ, mounts: Mounts) -> bytes | None:
    """Return the first in PATH that lies on the node: who starts another one may hang with it."""
    for directory in environ.get(b"PATH", b"").split(b":"):
        path = directory + b"/" + name
        if directory.startswith(b"/") and mounts.place(path) is Place.HERE and os.access(path, os.X_OK):
            return path
    return None
