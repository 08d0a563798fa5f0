"""How wide the terminal is on which standard error ends.

Why: an mpiexec reads a rank's standard error through a pipe, and writes it on the terminal that it was started on. Somebody
who wants a bar there (--bar) has it as wide as that terminal, also when it is resized, and not folded into lines that
nobody can take back. The launcher is an ancestor of the rank, so that its own standard error can be asked; where it is none
(srun, a rank on another node) or says nothing, a width is assumed.

The rule: only a terminal is opened, never to read or write, and never to become ours.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

USUAL = 80  # of what has no width

_STDERR = 2
_ANCESTORS = 16


def columns(proc: Path = Path("/proc")) -> int:
    """Return the width of our own terminal, else of the next ancestor's who has one, else the usual one."""
    with suppress(OSError):
        return os.get_terminal_size(_STDERR).columns or USUAL
    for pid in _ancestors(proc):
        with suppress(OSError):  # gone, or somebody else's
            if width := _width(proc / str(pid) / "fd" / str(_STDERR)):
                return width
    return USUAL


def _width(path: Path) -> int:
    """Return the width of what *path* leads to, 0 if that is no terminal. Raises OSError."""
    if not stat.S_ISCHR(path.stat().st_mode):  # a pipe would take us for a reader
        return 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.get_terminal_size(descriptor).columns
    finally:
        os.close(descriptor)


def _ancestors(proc: Path) -> Iterator[int]:
    """Yield the pids of our parent, its parent, ..., as far as /proc tells."""
    pid = os.getppid()
    for _ in range(_ANCESTORS):
        if pid <= 1:
            return
        yield pid
        try:
            pid = int((proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):  # gone, or no /proc
            return
