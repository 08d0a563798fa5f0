"""Who is running this list: one file, `lock.tasks.txt.tfin`, touched every few seconds.

A file given as --output has one beside it, too, `lock.all.out`: two lists would write into each other's blocks. What it
says, and what is known of its holder: see `holder`. How it is taken, from one who is gone, too: see `acquisition`.

The rule: that it is ours is proven before everything that is written, and a proof that took long is none. For a manager
that hung, in a slow file system say, may find that another one has taken over.

Whoever had it before, if he is not known to be gone, may still be in the middle of something that he has begun when it was
his. So nothing is read before the lock has been ours for longer than that takes: then it is settled.

A lock that is given back is removed. So one that lies there, of a holder that is gone, means that a farm has ended without
a word, and its last words tell who was running then: they are rewritten in place before anything is dealt. See `suspects`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from mpifarm.journal.acquisition import Acquisition
from mpifarm.journal.holder import Fate, Holder, parse_holder, read_lock
from mpifarm.journal.watch import IN_PERSON, LOOK_S, SETTLE_S, STALE_S, TOUCH_S, Waiting
from mpifarm.schedule.suspects import NOTHING, Dealt


class TakenOver(OSError):
    """The lock is not ours any more: nothing may be touched, and whoever has the list now goes on with it."""


class Lock:
    """The lock of a list, held from `acquire` to `release`, with those that are held with it."""

    def __init__(self, path: Path, holder: Holder, output: Path | None = None, waiting: Waiting = IN_PERSON) -> None:
        """*output*: the lock is that of a file given as --output."""
        self._path = path
        self.holder = holder
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
        taken = Acquisition(self._path, self.holder, self._output, self._waiting).take()
        self._file, self._settled = taken.file, taken.settled
        self.found, self._noted = taken.found, taken.noted
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

    def forget(self) -> None:
        """What was found of a farm that has ended without a word stands elsewhere by now. Raises OSError."""
        self.found = NOTHING
        self.note(NOTHING)
        self.touch()

    def _write(self, dealt: Dealt) -> None:
        assert self._file is not None
        os.pwrite(self._file.fileno(), self._signed().text(dealt).encode(), 0)
        self._noted, self._synced = dealt, False

    def _signed(self) -> Holder:
        return self.holder if self._settled else self.holder.unobservable()

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
        return holder if holder and alive and holder.fate(self.holder) is not Fate.DEAD else None

    def prove(self) -> None:
        """Raise TakenOver unless all of it is ours at this moment; touch it now and then."""
        now = self._waiting.clock()
        if now >= self._touched + TOUCH_S:
            self._touched = now
            self.touch()
        self._look_in_time(self, *self._more)

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
            self._look_in_time(self)
            self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()
        self._file = None

    def _look_in_time(self, *locks: Lock) -> None:
        """Look at *locks*. What takes long, on a file system that hangs, tells what was: so there is another look."""
        slow = True
        while slow:
            began = self._waiting.clock()
            for lock in locks:
                lock._look()
            slow = self._waiting.clock() - began >= LOOK_S

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
