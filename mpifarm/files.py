"""Writing a file so that no kill and no crash leaves it half written, and that it is the user's own.

1. A file is replaced by writing NAME.new beside it, fsync, rename, fsync of the directory: readers see the old or the
   new one, also after a crash (PostgreSQL's durable_rename). The name is fixed, so a kill leaves at most one such file
   and the next start takes it away; whoever writes it holds the lock.
2. In a directory that others can write to, /tmp say, a name may be a trap: somebody else's symbolic link is not followed,
   and somebody else's file is not written to. (Linux can do the same, fs.protected_symlinks and fs.protected_regular of
   proc(5), where the administrator wants it.) --output may still be a link of the user's own.
3. Whatever removes, replaces or cuts a file goes through the functions that take a *prove*. It is called at the last
   moment, and raises OSError unless the file is ours to touch at that moment: see `journal.warrant`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from mpifarm import FarmError

Prove = Callable[[], object]

_LOWEST = 10  # a task is given the descriptors below
_MOST_LINKS = 40  # as path_resolution(7)


def working_directory() -> str:
    """Return where we are, for a message."""
    try:
        return os.getcwd()
    except OSError:
        return "(a directory that is gone)"


def new_name(path: Path) -> Path:
    """Return the name under which a replacement of *path* is written."""
    return path.with_name(path.name + ".new")


def create(path: Path, prove: Prove) -> BinaryIO:
    """Create *path* afresh for writing and reading; what had the name, be it a symbolic link, is removed first."""
    remove(path, prove)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "w+b")


def put_in_place(descriptor: int, path: Path, prove: Prove) -> None:
    """Let NAME.new, open as *descriptor*, take the place of *path*, durably."""
    os.fsync(descriptor)
    prove()
    new_name(path).replace(path)
    sync_directory(path.parent)


def rename(source: Path, path: Path, prove: Prove) -> None:
    """Let *source*, which was synced, take the place of *path*, durably."""
    prove()
    source.replace(path)
    sync_directory(path.parent)


def replace(path: Path, content: bytes, prove: Prove) -> None:
    """Make *content* the whole of *path*, or leave it as it is. Raises OSError."""
    new = new_name(path)
    try:
        with create(new, prove) as file:
            file.write(content)
            file.flush()
            put_in_place(file.fileno(), path, prove)
    except OSError as error:
        with suppress(OSError):
            remove(new, prove)
        raise named(error, path) from None


def refresh(path: Path, content: bytes, prove: Prove) -> None:
    """Make *content* the whole of *path*, for whoever reads it now: not durably, nobody's result. Raises OSError."""
    new = new_name(path)
    try:
        with create(new, prove) as file:
            file.write(content)
        prove()
        new_name(path).replace(path)
    except OSError as error:
        with suppress(OSError):
            remove(new, prove)
        raise named(error, path) from None


def remove(path: Path, prove: Prove) -> None:
    """Let there be no *path*."""
    prove()
    path.unlink(missing_ok=True)


def cut(descriptor: int, size: int, prove: Prove) -> None:
    """Leave *size* bytes of an open file."""
    prove()
    os.ftruncate(descriptor, size)


def named(error: OSError, path: Path | str) -> OSError:
    """Return *error*, saying which file it is about."""
    return OSError(error.errno, error.strerror, error.filename or str(path)) if error.errno else error


def unreadable(error: OSError, tasklist: Path | str, option: str = "") -> FarmError:
    """Return what *option*, which only looks at a run, has to say if the files of *tasklist* cannot be read."""
    asker = f"{option}: " if option else ""
    name = f"{error.filename}: " if error.filename else ""
    return FarmError(f"{asker}cannot read the files of {tasklist}: {name}{error.strerror or error}")


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


def own(path: Path) -> Path:
    """Return what *path* leads to by links of the user's own. Raises PermissionError if it is a trap, and OSError."""
    for _ in range(_MOST_LINKS):
        try:
            status = path.lstat()
        except FileNotFoundError:
            return path
        if not stat.S_ISLNK(status.st_mode):
            refuse_foreign(status, path)
            return path
        if status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "a symbolic link of somebody else's is not followed", str(path))
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def refuse_foreign(status: os.stat_result, path: Path) -> None:
    """Raise PermissionError if *path*, of which this is the *status*, is a file that somebody else may have put there."""
    directory = path.parent.stat().st_mode
    if status.st_uid != os.geteuid() and directory & stat.S_ISVTX and directory & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(errno.EPERM, "it belongs to somebody else, where everybody can write", str(path))
