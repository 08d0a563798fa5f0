"""Appending to a file and replacing one so that no kill and no crash leaves it half written.

1. A process that is killed loses nothing that it has write()n; a node that dies loses what was not synced. So appends
   are written at once, and synced now and then (redis calls this `appendfsync everysec`).
2. A file is replaced by writing NAME.new beside it, fsync, rename, fsync of the directory: readers see the old or the
   new one, also after a crash (PostgreSQL's durable_rename). The name is fixed, so a kill leaves at most one such file
   and the next start takes it away; whoever writes it holds the lock.
3. A write can succeed in part (disk full). What is half there is cut off again, so that the file ends with a whole line.
4. In a directory that others can write to, /tmp say, a name may be a trap: somebody else's symbolic link is not followed,
   and somebody else's file is not written to. (Linux can do the same, fs.protected_symlinks and fs.protected_regular of
   proc(5), where the administrator wants it.) --output may still be a link of the user's own.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_WRITE_BYTES = 1024 * 1024  # small parts are joined up to this much; one write() for each would cost more

_LOOK_BYTES = 64 * 1024

_LOWEST = 10  # a task is given the descriptors below
_PATIENCE_S = 1.0
_MOST_LINKS = 40  # as path_resolution(7)

_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has none


def working_directory() -> str:
    """Return where we are, for a message."""
    try:
        return os.getcwd()
    except OSError:
        return "(a directory that is gone)"


def new_name(path: Path) -> Path:
    """Return the name under which a replacement of *path* is written."""
    return path.with_name(path.name + ".new")


def create(path: Path) -> BinaryIO:
    """Create *path* afresh for writing and reading; what had the name, be it a symbolic link, is removed first."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "w+b")


def put_in_place(descriptor: int, path: Path) -> None:
    """Let NAME.new, open as *descriptor*, take the place of *path*, durably."""
    os.fsync(descriptor)
    new_name(path).replace(path)
    sync_directory(path.parent)


def replace(path: Path, content: bytes) -> None:
    """Make *content* the whole of *path*, or leave it as it is. Raises OSError."""
    new = new_name(path)
    try:
        with create(new) as file:
            file.write(content)
            file.flush()
            put_in_place(file.fileno(), path)
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise named(error, path) from None


def named(error: OSError, path: Path | str) -> OSError:
    """Return *error*, saying which file it is about."""
    return OSError(error.errno, error.strerror, error.filename or str(path)) if error.errno else error


def open_unnamed() -> int:
    """Open a file that has no name (O_TMPFILE), in $TMPDIR or /tmp, for writing and reading. Raises OSError."""
    with tempfile.TemporaryFile(buffering=0) as unnamed:
        return fcntl.fcntl(unnamed.fileno(), fcntl.F_DUPFD_CLOEXEC, _LOWEST)


def sync_directory(path: Path) -> None:
    """Make renames and removals in the directory *path* survive a crash."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, content: bytes | memoryview) -> None:
    """Write all of *content* to a file. Raises OSError."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def write_to_reader(descriptor: int, content: bytes | memoryview, waiting: Callable[[], None]) -> None:
    """Write all of *content* to what may be a pipe; call *waiting* once a second while nobody reads it. Raises OSError.

    So much is written at a time as a pipe takes without blocking if it is ready at all: pipe(7).
    """
    view = memoryview(content)
    at_once = len(view) if stat.S_ISREG(os.fstat(descriptor).st_mode) else select.PIPE_BUF
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    while view:
        if ready.poll(_PATIENCE_S * 1000):
            with suppress(BlockingIOError):
                view = view[os.write(descriptor, view[:at_once]) :]
        else:
            waiting()


def own(path: Path) -> Path:
    """Return what *path* leads to by links of the user's own. Raises PermissionError if it is a trap, and OSError."""
    for _ in range(_MOST_LINKS):
        try:
            status = path.lstat()
        except FileNotFoundError:
            return path
        if not stat.S_ISLNK(status.st_mode):
            _refuse_foreign(status, path)
            return path
        if status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "a symbolic link of somebody else's is not followed", str(path))
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _refuse_foreign(status: os.stat_result, path: Path) -> None:
    directory = path.parent.stat().st_mode
    if status.st_uid != os.geteuid() and directory & stat.S_ISVTX and directory & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(errno.EPERM, "it belongs to somebody else, where everybody can write", str(path))


class Appender:
    """A file that only grows, and always by something whole."""

    def __init__(self, path: Path) -> None:
        self.path = own(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        self._descriptor = os.open(self.path, flags, 0o666)
        _refuse_foreign(os.fstat(self._descriptor), self.path)
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
            raise named(error, self.path) from None
        self.size = size

    def _write(self, gathered: list[bytes | memoryview], waiting: int) -> int:
        if waiting:
            self._dirty = True
            write_all(self._descriptor, b"".join(gathered) if len(gathered) > 1 else gathered[0])
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
                raise named(error, self.path) from None
            self._dirty = False

    def tail(self) -> int:
        """Return the checksum of the end, as `tail` does. Raises OSError if somebody else has changed or removed it."""
        try:
            status = os.fstat(self._descriptor)
            if not status.st_nlink:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            if status.st_size != self.size:
                raise OSError(errno.EIO, "somebody else has changed it")
            return _checksum(self._descriptor, self.size)
        except OSError as error:
            raise named(error, self.path) from None

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        os.close(self._descriptor)


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


def tail(path: Path, end: int) -> int:
    """Return the CRC-32 of the last 64 KiB before position *end* of *path*: by them a file is known. Raises OSError."""
    with path.open("rb") as file:
        return _checksum(file.fileno(), end)


def _checksum(descriptor: int, end: int) -> int:
    start = max(0, end - _LOOK_BYTES)
    return zlib.crc32(os.pread(descriptor, end - start, start))


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
