"""What a task writes: an unnamed file for each descriptor of a slot, used again by the next task of that slot.

A file, not a pipe: a task is never held up by a reader, and a background child that it leaves behind holds up nobody.
Unnamed (O_TMPFILE): no file is created per task and none is left behind, whoever is killed. Opened for appending, so
that a shortened file is written from its start again.
"""

from __future__ import annotations

import fcntl
import os
import tempfile

INLINE_BYTES = 16 * 1024  # standard output up to here travels with its record; the rest is streamed
CLIP_BYTES = 256 * 1024  # of a standard error, and of a failed attempt's output, head and tail make at most this

_LOWEST = 10  # a task is given the descriptors below


def open_unnamed() -> int:
    """Open a file that has no name, in $TMPDIR or /tmp, for appending. Raises OSError."""
    with tempfile.TemporaryFile(buffering=0) as unnamed:
        descriptor = fcntl.fcntl(unnamed.fileno(), fcntl.F_DUPFD_CLOEXEC, _LOWEST)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_APPEND)
    return descriptor


def size(descriptor: int) -> int:
    """Return the bytes in the file."""
    return os.fstat(descriptor).st_size


def clipped(descriptor: int, length: int) -> tuple[bytes, bool]:
    """Return the first *length* bytes and False, or, of more than CLIP_BYTES, head, notice and tail, and True."""
    if length <= CLIP_BYTES:
        return whole(descriptor, length), False
    half = CLIP_BYTES // 2
    notice = b"\n[mpifarm: %d bytes left out here]\n" % (length - 2 * half)
    return os.pread(descriptor, half, 0) + notice + os.pread(descriptor, half, length - half), True


def whole(descriptor: int, length: int) -> bytes:
    """Return the first *length* bytes."""
    return os.pread(descriptor, length, 0) if length else b""


def full(descriptor: int) -> bool:
    """Return whether no space is left where the file is, so that some of it may be missing.

    A task of which not a byte fitted, and which does not mind, cannot be told from one that wrote nothing.
    """
    space = os.fstatvfs(descriptor)
    return bool(space.f_blocks) and not (space.f_bavail if os.geteuid() else space.f_bfree)


def empty(descriptor: int) -> None:
    """Make the file ready for the next task, if this one has written to it."""
    if size(descriptor):
        os.ftruncate(descriptor, 0)
