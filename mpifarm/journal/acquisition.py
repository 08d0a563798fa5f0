"""Taking a lock: that of a list, or of a file given as --output. What is taken is held by `lock`.

flock is not reliable on every parallel file system, link() is: the lock is linked into place whole, or not at all. Until
then it is `lock.tasks.txt.tfin.0`, or another one of a few fixed names, so that what a kill leaves there is found again
without a look at the whole directory.

The rule: nothing that lies there goes but by the death of its holder, or by his silence, and its last words are kept.

Edge cases make all this a bit tricky:
1. A holder whose death was observed has lost the lock at once, and one who is seen to be alive keeps it.
2. Of everybody else nothing is known: the job before was killed on another node, perhaps, and perhaps it runs. So its lock
   is watched: see `watch`. If it is silent it is taken over, and then it is not settled yet who has it: see `lock`. Until
   it is, ours is signed so that nobody, if we die, takes it at once.
3. Several may come to the same conclusion. So what was judged is moved aside, and put back if it turns out to be another.
4. What somebody left who was killed on the way here is removed like a lock; he may only have been slow. So whoever has
   linked his file looks whether it is his.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mpifarm import FarmError, files
from mpifarm.journal.holder import Fate, Holder, parse_holder, read_lock
from mpifarm.journal.watch import STALE_S, Waiting, Watch
from mpifarm.schedule import suspects
from mpifarm.schedule.suspects import NOTHING, Dealt

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)

_PLACES = 4  # managers that may be about to take a lock


def places(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the names of the lock *path* while it is being taken, and of what was there before."""
    for number in range(_PLACES):
        yield path.with_name(f"{path.name}.{number}"), path.with_name(f"{path.name}.{number}.old")


@dataclass(frozen=True, slots=True)
class Taken:
    """A lock that has been taken, and what was found on the way."""

    file: BinaryIO  # held open, so that no other file can get its inode number
    settled: bool  # whoever had it is known to be gone
    found: Dealt  # how far a farm had dealt that has ended without a word
    noted: Dealt  # what of that was noted in the file when the lock of that farm was cleared away


class Acquisition:
    """One manager's way to a lock."""

    def __init__(self, path: Path, holder: Holder, output: Path | None, waiting: Waiting) -> None:
        """*output*: the lock is that of a file given as --output."""
        self._path = path
        self._holder = holder
        self._output = output
        self._waiting = waiting
        self._settled = True
        self._found = NOTHING

    def take(self) -> Taken:
        """Take the lock. Raises FarmError if another manager has it, or if nothing can be written here."""
        mine, aside, file = self._sign() or self._sign_anew()
        watch = Watch(self._path, self._output, self._waiting)
        noted = NOTHING
        try:
            while not self._link(mine, file):
                if not self._clear(file, aside, watch):
                    continue
                signed = self._holder if self._settled else self._holder.unobservable()
                os.pwrite(file.fileno(), signed.text(self._found).encode(), 0)  # or it is lost if we are killed, too
                noted = self._found
        except BaseException:
            file.close()
            raise
        finally:
            aside.unlink(missing_ok=True)
            mine.unlink(missing_ok=True)
        self._sweep(os.fstat(file.fileno()).st_mtime)
        return Taken(file, self._settled, self._found, noted)

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
                os.write(file.fileno(), self._holder.text(self._found).encode())
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
        if not stat.S_ISREG(status.st_mode):
            raise FarmError(f"{self._path} is no lock of a farm, nor a file: remove it")
        files.refuse_foreign(status, self._path)
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
        self._found = self._found if found == NOTHING else found

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
