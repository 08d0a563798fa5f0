"""Standard output, where somebody has asked for something to be printed: a list, a table, a task.

The rule: into a pipe or a file go the bytes as they are, since they are the input of something. On a terminal whatever does
not show is written as an escape: commands, and what they have printed, are anybody's text. What cannot be printed whole
is an error, and a reader who has left (`| head`) is told nothing: he has what he wanted.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterable
from pathlib import Path

from mpifarm import FarmError

_STDOUT = 1


def put(option: str, parts: Iterable[bytes]) -> int:
    """Print *parts*, each of whole lines; return the exit code. *option* is who asked. Raises FarmError."""
    on_terminal = os.isatty(_STDOUT)
    try:
        for part in parts:
            _write(shown(part) if on_terminal else part)
    except BrokenPipeError:
        return 2
    except OSError as error:
        if error.filename:  # of what is read
            raise
        raise FarmError(f"{option}: cannot write to standard output: {error.strerror}: what is there is not all") from None
    return 0


def refuse_own(option: str, paths: Iterable[Path]) -> None:
    """Raise FarmError if standard output is one of *paths*: a shell has emptied it by now, or it would be added to."""
    out = os.fstat(_STDOUT)
    for path in paths:
        if path.exists() and os.path.samestat(path.stat(), out):
            raise FarmError(f"{option}: standard output is {path}, a file of this very list: write it to another one")


def shown(part: bytes) -> bytes:
    """Return lines without anything that a terminal would do something for."""
    text = part.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() or c in "\t\n" else _escaped(c) for c in text).encode()


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def _write(content: bytes) -> None:
    view = memoryview(content)
    while view:
        try:
            view = view[os.write(_STDOUT, view) :]
        except BlockingIOError:  # somebody has made it so for all who have it
            ready = select.poll()
            ready.register(_STDOUT, select.POLLOUT)
            ready.poll()
