"""Who is running this list: one file, `lock.tasks.txt.tfin`, touched every few seconds.

A file given as --output has one beside it, too, `lock.all.out`: two lists would write into each other's blocks. What it
says, and what is known of its holder: see `holder`.

flock is not reliable on every parallel file system, link() is: the lock is linked into place whole, or not at all. Until
then it is `lock.tasks.txt.tfin.0`, or another one of a few fixed names, so that what a kill leaves there is found again
without a look at the whole directory.

Edge cases make all this a bit tricky:
1. A holder whose death was observed has lost the lock at once, and one who is seen to be alive keeps it.
2. Of everybody else nothing is known: the job before was killed on another node, perhaps, and perhaps it runs. So its lock
   is watched: see `watch`. If it is silent it is taken over.
3. Such a holder may still be in the middle of something that he has begun when the lock was his. So nothing is read before
   the lock has been ours for longer than that takes; until then it is signed so that nobody, if we die, takes it at once.
4. A manager that hung, in a slow file system say, may find that another one has taken over. So it proves that the lock is
   its own before everything that it writes, and a proof that took long is none.

A lock that is given back is removed. So one that lies there, of a holder that is gone, means that a farm has ended without
a word, and its last words tell who was running then: they are rewritten in place before anything is dealt. See `suspects`.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from mpifarm import FarmError, files
from mpifarm.journal.holder import Fate, Holder, parse_holder, read_lock
from mpifarm.journal.watch import IN_PERSON, LOOK_S, SETTLE_S, STALE_S, TOUCH_S, Waiting, Watch
from mpifarm.schedule import suspects
from mpifarm.schedule.suspects import NOTHING, Dealt

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)

_PLACES = 4  # managers that may be about to take a lock


class TakenOver(OSError):
    """The lock is not ours any more: nothing may be touched, and whoever has the list now goes on with it."""


def places(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the names of the lock *path* while it is being taken, and of what was there before."""
    for number in range(_PLACES):
        yield path.with_name(f"{path.name}.{number}"), path.with_name(f"{path.name}.{number}.old")


class Lock:
    """The lock of a list, held from `acquire` to `release`, with those that are held with it."""

    def __init__(self, path: Path, holder: Holder, output: Path | None = None, waiting: Waiting = IN_PERSON) -> None:
        """*output*: the lock is that of a file given as --output."""
        self._path = path
        self._holder = holder
        self._output = output
        self._waiting = waiting
        self._more: list[Lock] = []
        self._file: BinaryIO | None = None  # held open, so that no other file can get its inode number
        self._touched = float("-inf")
        self._noted = NOTHING
        self._synced = True
        self._settled = True  # whoever had it is known to be gone
        self.found = NOTHING  # how far a farm had dealt that has ended without a word

    def acquire(self) -> None:
        """Take the lock. Raises FarmError if another manager has it, or if nothing can be written here."""
        mine, aside, file = self._sign() or self._sign_anew()
        watch = Watch(self._path, self._output, self._waiting)
        try:
            while not self._link(mine, file):
                if not self._clear(file, aside, watch):
                    continue
                os.pwrite(file.fileno(), self._signed().text(self.found).encode(), 0)  # or it is lost if we are killed, too
                self._noted = self.found
        except BaseException:
            file.close()
            raise
        finally:
            aside.unlink(missing_ok=True)
            mine.unlink(missing_ok=True)
        self._sweep(os.fstat(file.fileno()).st_mtime)
        self._file = file
        self._touched = self._waiting.clock()
        self.note(self.found)

    def settle(self) -> None:
        """Wait until whoever had one of the locks must have noticed that it is ours. Raises TakenOver if it is not."""
        if all(lock._settled for lock in (self, *self._more)):
            return
        waited_s = 0.0
        while waited_s < SETTLE_S:
            self._waiting.pause(LOOK_S)
            waited_s += LOOK_S
            self.touch()
        self.prove()
        for lock in (self, *self._more):
            lock._settled = True
            lock._write(lock._noted)

    def note(self, dealt: Dealt) -> None:
        """Say how far dealing goes, before what is dealt leaves. Raises OSError."""
        if self._file is not None and dealt != self._noted:
            self._write(dealt)

    def _write(self, dealt: Dealt) -> None:
        assert self._file is not None
        os.pwrite(self._file.fileno(), self._signed().text(dealt).encode(), 0)
        self._noted, self._synced = dealt, False

    def _signed(self) -> Holder:
        return self._holder if self._settled else self._holder.unobservable()

    def add(self, lock: Lock) -> None:
        """Hold *lock*, which was acquired after this one, together with it."""
        self._more.append(lock)

    def others(self, path: Path) -> Holder | None:
        """Return who holds the lock at *path*, another one; None if nobody who is alive does."""
        assert self._file is not None
        try:
            text, status = read_lock(path)
        except OSError:
            return None
        holder = parse_holder(text)
        alive = os.fstat(self._file.fileno()).st_mtime - status.st_mtime < STALE_S
        return holder if holder and alive and holder.fate(self._holder) is not Fate.DEAD else None

    def prove(self) -> None:
        """Raise TakenOver unless all of it is ours at this moment; touch it now and then.

        A look that takes long, on a file system that hangs, tells what was: so there is another one.
        """
        now = self._waiting.clock()
        if now >= self._touched + TOUCH_S:
            self._touched = now
            self.touch()
        slow = True
        while slow:
            began = self._waiting.clock()
            for lock in (self, *self._more):
                lock._look()
            slow = self._waiting.clock() - began >= LOOK_S

    def keep(self, now: float | None = None) -> None:
        """Touch it now and then. Raises TakenOver if it turns out that it is not ours any more."""
        if (self._waiting.clock() if now is None else now) >= self._touched + TOUCH_S:
            self.prove()

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
            self._look()
            self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()
        self._file = None

    def _look(self) -> None:
        if self._file is None:
            raise TakenOver(f"{self._path} was given back")
        try:
            found = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            raise TakenOver(f"{self._path} is gone, or the whole working directory") from None
        if not os.path.samestat(found, os.fstat(self._file.fileno())):
            what = f"--output {self._output}" if self._output else "this list"
            raise TakenOver(f"another mpifarm has taken over {what}")

    def _sign(self) -> tuple[Path, Path, BinaryIO] | None:
        """Create the file that is to become the lock; return its name, that of what it replaces, and itself.

        None if all places are taken.
        """
        for mine, aside in places(self._path):
            if os.path.lexists(aside):
                continue
            try:
                file = os.fdopen(os.open(mine, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "w+b", 0)
            except FileExistsError:
                continue
            except OSError as error:
                raise self._cannot_write(error) from None
            try:
                os.write(file.fileno(), self._holder.text(self.found).encode())
            except OSError as error:
                file.close()
                mine.unlink(missing_ok=True)
                raise self._cannot_write(error) from None
            return mine, aside, file
        return None

    def _sign_anew(self) -> tuple[Path, Path, BinaryIO]:
        """Do that in a place that somebody has left who was killed while he took the lock. Raises FarmError."""
        self._sweep(time.time())
        signed = self._sign()
        if signed is None:
            raise self._crowd()
        return signed

    def _crowd(self) -> FarmError:
        return FarmError(f"others are about to take {self._path}: if no farm starts here, remove {self._path}.*")

    def _cannot_write(self, error: OSError) -> FarmError:
        here = f"in the working directory {files.working_directory()}: {error.strerror}: start where"
        if self._output:
            here = f"beside --output {self._output}: {error.strerror}: give a file where"
        return FarmError(f"cannot write {here} the farm may write")

    def _link(self, mine: Path, file: BinaryIO) -> bool:
        """Put the lock in place; return whether it is. Raises FarmError if somebody has thought its place left."""
        try:
            linked = self._try_to_link(mine)
        except FileNotFoundError:
            raise self._crowd() from None
        if linked and not os.path.samestat(os.stat(self._path), os.fstat(file.fileno())):
            raise self._crowd()
        return linked

    def _try_to_link(self, mine: Path) -> bool:
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

    def _clear(self, file: BinaryIO, aside: Path, watch: Watch) -> bool:
        """Remove the lock that is there, if its holder is gone; return whether that was so. Raises FarmError."""
        os.utime(file.fileno())
        try:
            text, status = read_lock(self._path)
        except FileNotFoundError:
            return False
        holder = parse_holder(text)
        fate = holder.fate(self._holder) if holder else Fate.UNKNOWN
        if fate is not Fate.DEAD:
            if not watch.is_silent(fate, text, status, os.fstat(file.fileno()).st_mtime - status.st_mtime):
                return False
            self._settled = False
        self._remember(text)
        # Somebody else may have come to the same conclusion, and may hold a new lock by now. Move it aside and look
        # whether it is the one that was judged; if not, put it back.
        try:
            self._path.rename(aside)
            if os.path.samestat(os.stat(aside), status):
                return True  # it stays until ours is there, which says what it says
            os.link(aside, self._path)
        except (FileNotFoundError, FileExistsError):
            pass
        aside.unlink(missing_ok=True)
        return False

    def _remember(self, text: str) -> None:
        """Keep what a lock says that is about to be removed: a farm has ended without a word."""
        found = suspects.parse(text)
        self.found = self.found if found == NOTHING else found

    def _sweep(self, now: float) -> None:
        """Remove what managers that were killed while they took the lock have left."""
        for mine, aside in places(self._path):
            for path in (aside, mine):
                with suppress(OSError):
                    text, status = read_lock(path)
                    holder = parse_holder(text)
                    if (holder and holder.fate(self._holder) is Fate.DEAD) or now - status.st_mtime >= STALE_S:
                        self._remember(text)
                        path.unlink()
