r"""Why an attempt has failed, where the shell says something else: a line for the log.

"./prog.sh: not found", and it is there: what is missing is the interpreter that its first line names, most often since it
ends in a carriage return. "[[: not found": the line was written for bash, and /bin/sh is dash. Whoever does not know that
looks in the wrong place for hours.

The rule: hints, told beside what the shell has said, and only of failures. A line without a fault is never looked at, files
only where the exit code is 126 or 127, as a shell makes it that cannot start a program. What a line *means* is not judged
here: `quoting` tells what of it is code, `bashisms` what dash does not know of that, and the rest is patterns. Files may
hang, so a `scout` looks at them.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from mpifarm.launcher import scout
from mpifarm.launcher.spawn import Environ, true_name
from mpifarm.tasks.bashisms import bashism
from mpifarm.tasks.quoting import COMMAND, Part, read

NOT_EXECUTABLE, NOT_FOUND = 126, 127  # exit codes of a shell
_HIGHEST = 127  # above, a shell tells of a signal

_SPLIT = re.compile(rb"[\s;&|()<>`]+")
_FIRST_WORD = re.compile(COMMAND + rb"([^\s;&|()<>`]+)")
_MOST_WORDS = 100
_LOOK_BYTES = 4096  # of a line
_HEAD_BYTES = 4096  # of a file
_SHEBANG = re.compile(rb"#![ \t]*([^ \t\n\r]+)[^\n\r]*(\r?)")
_LOADER = re.compile(rb"\0(/[\w./+-]*/ld[\w.+-]*\.so[\w.]*)\0")  # what an ELF file names as its interpreter

_NO_BASH = {"dash", "ash", "busybox"}


class Reasons:
    """Finds reasons, for tasks with one environment and one shell."""

    def __init__(self, environ: Environ, shell: bytes) -> None:
        self._path = [directory for directory in environ.get(b"PATH", b"").split(b":") if directory.startswith(b"/")]
        self._known = {os.fsdecode(name) for name in environ}
        self._shell = shell
        self._true_name = true_name(shell)

    def of(self, command: bytes, code: int) -> bytes:
        """Return lines that say why *command* may have failed with exit code *code*; mostly none."""
        if not 0 < code <= _HIGHEST:
            return b""
        found: list[bytes] = []
        command = command[:_LOOK_BYTES]
        line = read(command, dash=self._true_name in _NO_BASH)
        if code in (NOT_EXECUTABLE, NOT_FOUND):
            code_alone = line.only(Part.CODE, Part.NESTED)
            first_words = {match[1] for match in _FIRST_WORD.finditer(code_alone)}
            found += _scouted(lambda: b"\n".join(self._of_files(command, first_words, code))).splitlines()
        if self._true_name in _NO_BASH and (claim := bashism(line, self._known)):
            bash = _scouted(self._bash) or b"/bin/bash"
            names = self._shell, self._true_name.encode(), claim.encode(errors="surrogateescape"), bash
            found.append(b"%s is %s, which %s: --shell %s" % names)
        return b"".join(b"mpifarm: %s\n" % reason for reason in found)

    def _bash(self) -> bytes:
        return next(filter(_is_executable, (directory + b"/bash" for directory in self._path)), b"")

    def _of_files(self, command: bytes, first_words: set[bytes], code: int) -> Iterator[bytes]:
        words = dict.fromkeys(word.strip(b"'\"") for word in _SPLIT.split(command))
        for word in list(words)[:_MOST_WORDS]:
            is_first = word in first_words
            path = self._find(word, is_first)
            if path and (reason := _fault(word, path, is_first and code == NOT_EXECUTABLE)):
                yield reason

    def _find(self, word: bytes, is_first: bool) -> bytes | None:
        """Return the path of the file that *word* names, the first of a command also by PATH."""
        if not word or b"\0" in word:
            return None
        if is_first and b"/" not in word:
            return next(filter(os.path.isfile, (directory + b"/" + word for directory in self._path)), None)
        return word if os.path.isfile(word) else None


def _scouted(at: Callable[[], bytes]) -> bytes:
    """Return what *at* finds; nothing if there is no process for it: then nobody knows."""
    with suppress(OSError):
        return scout.look(at)
    return b""


def _is_executable(path: bytes) -> bool:
    return os.access(path, os.X_OK)


def _fault(word: bytes, path: bytes, is_refused: bool) -> bytes | None:
    """Return what keeps a file from being run; *is_refused*: somebody has tried, and was not allowed to."""
    if is_refused and not _is_executable(path):
        if os.stat(path).st_mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH):
            return word + b" may not be executed by you, or its file system is mounted noexec"
        return word + b" is there, but is not executable: chmod +x " + word
    try:
        with Path(os.fsdecode(path)).open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    script = _SHEBANG.match(head)
    loader = _LOADER.search(head) if head.startswith(b"\x7fELF") else None
    if loader and not os.path.exists(loader[1]):
        return b"%s is there, but %s, which loads it, is not: it was built for another system" % (word, loader[1])
    if not script:
        return None
    if script[2]:
        line = script[0][2:].strip()
        return b'%s is there, but its first line ends in a carriage return: no "%s\\r": dos2unix %s' % (word, line, word)
    if not os.path.exists(script[1]):
        return b"%s is there, but its interpreter %s is not: mend its first line" % (word, script[1])
    return None
