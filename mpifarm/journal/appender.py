"""A file that only grows, by something whole each time.

1. A process that is killed loses nothing that it has write()n; a node that dies loses what was not synced. So appends
   are written at once, and synced now and then (redis calls this `appendfsync everysec`).
2. A write can succeed in part (disk full). What is half there is cut off again, so that the file ends with a whole line.
   What a kill leaves half written the next start cuts: see `tails`.
3. Every write and every cut needs a warrant at that moment: see there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mpifarm import files
from mpifarm.journal import tails
from mpifarm.journal.warrant import Warrant
from mpifarm.words import count

_WRITE_BYTES = 1024 * 1024  # small parts are joined up to this much; one write() for each would cost more

_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has none


class Appender:
    """A file that only grows, and always by something whole."""

    def __init__(self, path: Path, warrant: Warrant) -> None:
        """Open it, and cut it to what counts. Raises OSError if it is not the file that was judged."""
        self.path = files.own(path)
        self._warrant = warrant
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        self._descriptor = os.open(self.path, flags, 0o666)
        status = os.fstat(self._descriptor)
        files.refuse_foreign(status, self.path)
        self._inode = status.st_ino
        self.size = warrant.opened(self._descriptor, self.path)
        self._dirty = True  # whoever wrote to it before us may have been killed before a sync

    def append(self, parts: Iterable[bytes | memoryview]) -> None:
        """Write *parts*, all of them or nothing. Raises OSError."""
        size = self.size
        gathered: list[bytes | memoryview] = []
        waiting = 0
        try:
            # A line, or a block, of ours has to stand where the next start looks for it: nobody may add to the file before
            # that, nor in this very moment.
            self._check_size(size)
            for part in parts:
                gathered.append(part)
                waiting += len(part)
                if waiting >= _WRITE_BYTES:
                    size += self._write(gathered, waiting)
                    waiting = 0
            size += self._write(gathered, waiting)
            waiting = 0
            self._check_size(size)
        except OSError as error:
            with suppress(OSError):  # the next start cuts it
                self._take_back(size + waiting)
            raise files.named(error, self.path) from None
        self.size = size

    @property
    def descriptor(self) -> int:
        """What to poll for writing: a file is always ready."""
        return self._descriptor

    def _take_back(self, at_most: int) -> None:
        """Cut off what was written in part: it cannot have made the file longer than *at_most*."""
        size = os.fstat(self._descriptor).st_size
        if self.size < size <= at_most:
            self._warrant.cut(self._descriptor, self.path, self.size, size)

    def _write(self, gathered: list[bytes | memoryview], waiting: int) -> int:
        if waiting:
            self._warrant.prove()
            self._dirty = True
            files.write_all(self._descriptor, b"".join(gathered) if len(gathered) > 1 else gathered[0])
        gathered.clear()
        return waiting

    def cut(self, size: int) -> None:
        """Drop what was appended beyond *size* bytes."""
        if size < self.size:
            self._warrant.cut(self._descriptor, self.path, size, self.size)
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

    def check(self) -> None:
        """Raise OSError if somebody else has changed it, removed it or moved it away."""
        self._check_size(self.size)
        # A whole path may lead through a directory that was renamed meanwhile, and that is followed.
        named = self.path.is_absolute() or (self.path.exists() and self.path.stat().st_ino == self._inode)
        if not named:
            raise self._gone()

    def _check_size(self, expected: int) -> None:
        status = os.fstat(self._descriptor)
        if not status.st_nlink:
            raise self._gone()
        if status.st_size != expected:
            has = count(status.st_size, "byte")
            raise self._warrant.changed(self.path, f": it has {has}, and {expected} were written")

    def _gone(self) -> OSError:
        """Return the error that it was removed. Raises TakenOver if more than that is gone."""
        self._warrant.prove()
        return OSError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))

    def tail(self, size: int) -> int:
        """Return the checksum of the end of its first *size* bytes, see `tails`. Raises OSError."""
        try:
            return tails.checksum(self._descriptor, size)
        except OSError as error:
            raise files.named(error, self.path) from None

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        os.close(self._descriptor)
