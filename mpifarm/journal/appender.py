"""A file that only grows, by something whole each time.

1. A process that is killed loses nothing that it has write()n; a node that dies loses what was not synced. So appends
   are written at once, and synced now and then (redis calls this `appendfsync everysec`).
2. A write can succeed in part (disk full). What is half there is cut off again, so that the file ends with a whole line.
   What a kill leaves half written the next start cuts: see `tails`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mpifarm import files
from mpifarm.journal import tails

_WRITE_BYTES = 1024 * 1024  # small parts are joined up to this much; one write() for each would cost more

_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has none


class Appender:
    """A file that only grows, and always by something whole."""

    def __init__(self, path: Path) -> None:
        self.path = files.own(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        self._descriptor = os.open(self.path, flags, 0o666)
        files.refuse_foreign(os.fstat(self._descriptor), self.path)
        self.size = os.fstat(self._descriptor).st_size
        self._dirty = True  # whoever wrote to it before us may have been killed before a sync

    def append(self, parts: Iterable[bytes | memoryview]) -> None:
        """Write *parts*, all of them or nothing. Raises OSError."""
        size = self.size
        gathered: list[bytes | memoryview] = []
        waiting = 0
        try:
            for part in parts:
                gathered.append(part)
                waiting += len(part)
                if waiting >= _WRITE_BYTES:
                    size += self._write(gathered, waiting)
                    waiting = 0
            size += self._write(gathered, waiting)
        except OSError as error:
            with suppress(OSError):  # the next start cuts it
                os.ftruncate(self._descriptor, self.size)
            raise files.named(error, self.path) from None
        self.size = size

    @property
    def descriptor(self) -> int:
        """What to poll for writing: a file is always ready."""
        return self._descriptor

    def _write(self, gathered: list[bytes | memoryview], waiting: int) -> int:
        if waiting:
            self._dirty = True
            files.write_all(self._descriptor, b"".join(gathered) if len(gathered) > 1 else gathered[0])
        gathered.clear()
        return waiting

    def cut(self, size: int) -> None:
        """Drop everything beyond *size* bytes."""
        if size < self.size:
            os.ftruncate(self._descriptor, size)
            self.size = size
            self._dirty = True

    def sync(self) -> None:
        """Make what was appended survive a crash of the node."""
        if self._dirty:
            try:
                _fdatasync(self._descriptor)
            except OSError as error:
                raise files.named(error, self.path) from None
            self._dirty = False

    def tail(self, size: int) -> int:
        """Return the checksum of the end of its first *size* bytes, see `tails`.

        Raises OSError if somebody else has changed or removed it.
        """
        try:
            status = os.fstat(self._descriptor)
            if not status.st_nlink:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            if status.st_size != self.size:
                raise OSError(errno.EIO, "somebody else has changed it")
            return tails.checksum(self._descriptor, size)
        except OSError as error:
            raise files.named(error, self.path) from None

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        os.close(self._descriptor)
