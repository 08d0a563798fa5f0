"""What a task writes: an unnamed file for each descriptor of a slot, used again by the next task of that slot.

A file, not a pipe: a task is never held up by a reader, and a background child that it leaves behind holds up nobody.
Unnamed (O_TMPFILE): no file is created per task and none is left behind, whoever is killed. Opened for appending, so
that a shortened file is written from its start again.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import sys
import tempfile

INLINE_BYTES = 16 * 1024  # standard output up to here travels with its record; the rest is streamed
CLIP_BYTES = 256 * 1024  # of a standard error, and of a failed attempt's output, head and tail make at most this

_BLOCK_BYTES = 4096
_PLENTY = 0.02  # of a file system that is free
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE: fallocate(2)
_SPACE_BYTES = 64 * 1024  # where less is left, something may be missing
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_LOWEST = 10  # a task is given the descriptors below


def open_unnamed() -> int:
    """Open a file that has no name, in $TMPDIR or /tmp, for appending. Raises OSError."""
    with tempfile.TemporaryFile(buffering=0) as unnamed:
        descriptor = fcntl.fcntl(unnamed.fileno(), fcntl.F_DUPFD_CLOEXEC, _LOWEST)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_APPEND)
    return descriptor


def open_capture() -> int:
    """Open a file for what the tasks of a slot write. Raises OSError."""
    descriptor = open_unnamed()
    os.utime(descriptor, (0, 0))
    return descriptor


def written(descriptor: int) -> int | None:
    """Return the bytes in the file; None if no task has tried to write.

    That is told by the time, which write(2) sets before it looks for space.
    """
    status = os.fstat(descriptor)
    return status.st_size if status.st_mtime_ns else None


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
    """Return whether there is hardly any space left where the file is, so that some of it may be missing.

    Asked for by taking some: statvfs knows of no quota, and of what ext4 keeps for itself. What is taken goes with the
    next `empty`. On ext4 that takes half a millisecond; so only where there is reason to ask: a file that ends with a
    block, as one does that could not go on, or little space.
    """
    space = os.fstatvfs(descriptor)
    size = os.fstat(descriptor).st_size
    if size % _BLOCK_BYTES and space.f_bavail > _PLENTY * space.f_blocks:
        return False
    if _LIBC is None:
        return bool(space.f_blocks) and space.f_bavail == 0
    end = ctypes.c_long(size)
    failed = _LIBC.fallocate(descriptor, _KEEP_SIZE, end, ctypes.c_long(_SPACE_BYTES))
    if failed and ctypes.get_errno() not in (errno.ENOSPC, errno.EDQUOT):  # not known here
        return bool(space.f_blocks) and space.f_bavail == 0
    return bool(failed)


def empty(descriptor: int) -> None:
    """Make the file ready for the next task."""
    os.ftruncate(descriptor, 0)
    os.utime(descriptor, (0, 0))
