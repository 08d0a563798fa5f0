"""The end of a file that somebody was appending to when he was killed, or when the node crashed.

A kill tears the last line. A crash may take what was not synced, or leave zeros in its place: blocks that were allocated
and never written. The rule: a file is read backwards from its end. Only there can something be torn, and the rest may be
long.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

_LOOK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is of a file, and how much without the zeros at its end, which a crashed node may have left."""

    size: int
    sound: int
    exists: bool = True


def extent(path: Path) -> Extent:
    """Return the extent of *path*, nothing if there is no such file."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return Extent(0, 0, exists=False)
    with file:
        size = end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _LOOK_BYTES)
            file.seek(start)
            sound = len(file.read(end - start).rstrip(b"\0"))
            if sound:
                return Extent(size, start + sound)
            end = start
    return Extent(size, 0)


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it was when it was read, or the first part of it: by its length, and by the checksum of its end."""

    size: int = 0
    end: int = 0  # CRC-32 of the last 64 KiB, or of what there is

    def begins(self, descriptor: int) -> bool:
        """Return whether an open file begins so. Raises OSError."""
        return os.fstat(descriptor).st_size >= self.size and checksum(descriptor, self.size) == self.end

    def fits(self, descriptor: int) -> bool:
        """Return whether an open file is so. Raises OSError."""
        return os.fstat(descriptor).st_size == self.size and self.begins(descriptor)


def seen(path: Path, size: int | None = None) -> Seen:
    """Return how *path* is now, or its first *size* bytes; like an empty file if there is none. Raises OSError."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return Seen()
    with file:
        size = os.fstat(file.fileno()).st_size if size is None else size
        return Seen(size, checksum(file.fileno(), size))


def whole_lines(path: Path) -> int:
    """Return how many bytes of *path* are whole lines.

    What follows the last newline was torn off by a kill, and zeros at the end are what a crashed node leaves of blocks
    that were allocated and never written.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _LOOK_BYTES)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n")
            if at >= 0:
                return start + at + 1
            end = start
    return 0


def tail(path: Path, end: int) -> int:
    """Return the checksum of *path* before position *end*. Raises OSError."""
    with path.open("rb") as file:
        return checksum(file.fileno(), end)


def checksum(descriptor: int, end: int) -> int:
    """Return the CRC-32 of the last 64 KiB before *end* of an open file: by them a file is known. Raises OSError."""
    start = max(0, end - _LOOK_BYTES)
    return zlib.crc32(os.pread(descriptor, end - start, start))
