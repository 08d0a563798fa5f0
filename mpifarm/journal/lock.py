"""Who is running this list: one file, `lock.tasks.txt.tfin`, touched every few seconds.

A file given as --output has one beside it, too, `lock.all.out`: two lists would write into each other's blocks. What it
says, and when its holder is dead: see `holder`.

flock is not reliable on every parallel file system, link() is: the lock is linked into place whole, or not at all.
A lock is taken over at once from a holder that is dead; from anybody else when it was not touched for 30 s. Ages are
differences of times that the file server has set, so the clocks of two nodes need not agree.

A manager that hung for longer than that, in a slow file system say, may find that another one has taken over. So it
looks before it writes, and stops if the lock is no longer its own.

A lock that is given back is removed. So one that lies there, of a holder that is gone, means that a farm has ended without
a word, and its last words tell who was running then: they are rewritten in place before anything is dealt. See `suspects`.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from mpifarm import FarmError, files
from mpifarm.journal.holder import Holder, parse_holder
from mpifarm.schedule import suspects
from mpifarm.schedule.suspects import NOTHING, Dealt

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)

_LONGEST = 4096  # bytes of a lock that are read

STALE_S = 30.0
TOUCH_S = 5.0


class Lock:
    """The lock of a list, held from `acquire` to `release`, with those that are held with it."""

    def __init__(self, path: Path, holder: Holder, output: Path | None = None) -> None:
        """*output*: the lock is that of a file given as --output."""
        self._path = path
        self._holder = holder
        self._output = output
        self._more: list[Lock] = []
        self._aside = path.with_name(f"{path.name}.{holder.host}.{holder.pid}.old")
        self._file: BinaryIO | None = None  # held open, so that no other file can get its inode number
        self._touched = float("-inf")
        self._noted = NOTHING
        self._synced = True
        self.found = NOTHING  # how far a farm had dealt that has ended without a word

    def acquire(self, now: float) -> None:
        """Take the lock. Raises FarmError if another manager has it, or if nothing can be written here."""
        mine = self._path.with_name(f"{self._path.name}.{self._holder.host}.{self._holder.pid}")
        try:
            file = files.create(mine)
            os.write(file.fileno(), self._holder.text().encode())
        except OSError as error:
            with suppress(OSError):
                mine.unlink()
            here = f"in the working directory {files.working_directory()}: {error.strerror}: start where"
            if self._output:
                here = f"beside --output {self._output}: {error.strerror}: give a file where"
            raise FarmError(f"cannot write {here} the farm may write") from None
        try:
            while not self._link(mine):
                self._clear(os.fstat(file.fileno()).st_mtime)
                os.pwrite(file.fileno(), self._holder.text(self.found).encode(), 0)  # or it is lost if we are killed, too
                self._noted = self.found
        finally:
            mine.unlink(missing_ok=True)
            self._aside.unlink(missing_ok=True)
        self._sweep(os.fstat(file.fileno()).st_mtime)
        self._file = file
        self._touched = now
        self.note(self.found)

    def note(self, dealt: Dealt) -> None:
        """Say how far dealing goes, before what is dealt leaves. Raises OSError."""
        if self._file is not None and dealt != self._noted:
            os.pwrite(self._file.fileno(), self._holder.text(dealt).encode(), 0)
            self._noted, self._synced = dealt, False

    def add(self, lock: Lock) -> None:
        """Hold *lock*, which was acquired after this one, together with it."""
        self._more.append(lock)

    def others(self, path: Path) -> Holder | None:
        """Return who holds the lock at *path*, another one; None if nobody who is alive does."""
        assert self._file is not None
        try:
            holder, status = parse_holder(_read(path)), path.lstat()
        except OSError:
            return None
        alive = os.fstat(self._file.fileno()).st_mtime - status.st_mtime < STALE_S
        return holder if holder and alive and not holder.is_dead(self._holder) else None

    def held(self, now: float) -> bool:
        """Touch the lock now and then; return False if it has been taken over."""
        if now < self._touched + TOUCH_S:
            return True
        self._touched = now
        if self._file is None or not self._ours():
            return False
        self.touch()
        return all(lock.held(now) for lock in self._more)

    def touch(self) -> None:
        """Show that its holder is alive; what it has noted survives a crash of the node from then on."""
        if self._file is None:
            return
        os.utime(self._file.fileno())
        if not self._synced:
            os.fsync(self._file.fileno())
            self._synced = True
        for lock in self._more:
            lock.touch()

    def release(self) -> None:
        """Give the lock back, if it is still ours."""
        for lock in self._more:
            lock.release()
        if self._file is None:
            return
        with suppress(OSError):  # a file system that is gone: the lock will be stale soon
            if self._ours():
                self._path.unlink(missing_ok=True)
            self._file.close()
        self._file = None

    def _ours(self) -> bool:
        assert self._file is not None
        try:
            return os.path.samestat(os.stat(self._path, follow_symlinks=False), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False

    def _link(self, mine: Path) -> bool:
        try:
            os.link(mine, self._path)
        except FileExistsError:
            return os.stat(mine).st_nlink == 2  # NFS may report an error although the link was made: link(2), open(2)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return self._move(mine)
        return True

    def _move(self, mine: Path) -> bool:
        """Put the lock in place on a file system without links, where two at the same moment are told apart less well."""
        if self._path.exists():
            return False
        mine.rename(self._path)
        return True

    def _clear(self, now: float) -> None:
        """Remove the lock that is there, if its holder is dead. Raises FarmError."""
        try:
            text = _read(self._path)
            status = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            return
        holder = parse_holder(text)
        age_s = now - status.st_mtime
        if holder is None and age_s < STALE_S:
            raise FarmError(f"{self._path} is held by somebody who has not signed it: if no farm runs here, remove it")
        if holder is not None and not holder.is_dead(self._holder) and age_s < STALE_S:
            busy = f"--output {self._output} is being written" if self._output else "this list is being run"
            raise FarmError(
                f"{busy} by {holder}: wait for it, or stop it ({self._path} was touched {max(age_s, 0):.0f} s ago)"
            )
        self._remember(text)
        # Somebody else may have come to the same conclusion, and may hold a new lock by now. Move it aside and look
        # whether it is the one that was judged; if not, put it back.
        try:
            self._path.rename(self._aside)
            if os.stat(self._aside).st_ino == status.st_ino:
                return  # it stays until ours is there, which says what it says
            os.link(self._aside, self._path)
        except (FileNotFoundError, FileExistsError):
            pass
        self._aside.unlink(missing_ok=True)

    def _remember(self, text: str) -> None:
        """Keep what a lock says that is about to be removed: a farm has ended without a word."""
        found = suspects.parse(text)
        self.found = self.found if found == NOTHING else found

    def _sweep(self, now: float) -> None:
        """Remove what managers that were killed while they took the lock have left."""
        for path in self._path.parent.iterdir():
            if path.name.startswith(f"{self._path.name}."):
                with suppress(OSError):
                    text = _read(path)
                    holder = parse_holder(text)
                    if (holder and holder.is_dead(self._holder)) or now - path.stat().st_mtime >= STALE_S:
                        self._remember(text)
                        path.unlink()


def _read(path: Path) -> str:
    """Return what stands in a lock, nothing of what is no file: a pipe that somebody has put there would never end."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
            return file.read(_LONGEST).decode(errors="replace") if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else ""
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        return ""
