"""The list and its files in the hands of rank 0, as long as they are in its hands: what it deals from, and what it writes.

The rule: once something is wrong, nothing more is written. A write has failed, the lock turns out to be somebody else's, or
the list is not what it was; then whoever deals learns of it once (`trouble`), and ends what runs, and what was not written
runs again. Nobody above sees the OSError.

What must be on disk before what: how far dealing goes is in the lock before a grant leaves (`note`), what the tasks have
printed before they count as done (see `journal`), and a checkpoint every 20 s stands for both.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from mpifarm import files
from mpifarm.journal.journal import Journal
from mpifarm.journal.lock import TakenOver
from mpifarm.journal.opening import Run
from mpifarm.schedule.suspects import Dealt, Word
from mpifarm.tasks.reader import Reader
from mpifarm.tasks.tfin import RECORD, Records, checksum, command_of
from mpifarm.tasks.walk import Walk

CHECKPOINT_S = 20.0

_AHEAD_BYTES = 8192


class Custody:
    """An open list, its lock, and its journal."""

    def __init__(self, run: Run, journal: Journal, now: float) -> None:
        self.stopped = False  # nothing more is written
        self.trouble = ""  # why, until it is taken
        self._names, self._tasklist = run.names, run.tasklist
        self._descriptor, self._size = run.scan.descriptor, run.scan.size
        self._lock = run.lock
        self._journal = journal
        self._began = run.start.offset
        self._walk = Walk(self._descriptor, self._size, run.start.offset, run.start.seq)
        self._reader = Reader(self._descriptor, _AHEAD_BYTES)
        self._crc, self._crc_offset = run.start.list_crc, run.start.offset
        self._unreadable = ""
        self._checkpoint_at = now + CHECKPOINT_S

    def stop(self, why: str) -> None:
        """Write nothing more."""
        if self.stopped:
            return
        self.stopped = True
        self.trouble = why

    def take_trouble(self) -> str:
        """Return why nothing more is written, when that is new."""
        taken, self.trouble = self.trouble, ""
        return taken

    # the list

    @property
    def dealt_to(self) -> int:
        """The dealing offset."""
        return self._walk.offset

    @property
    def recorded(self) -> int:
        """Tasks that this run has written down as done."""
        return self._journal.recorded

    @property
    def unchanged(self) -> bool:
        """Whether this run has finished nothing, and begun nothing that an earlier one had not."""
        return self._walk.offset == self._began > 0 and not self._journal.recorded

    def take(self, count: int) -> Records:
        """Read on in the list; where it cannot be read the farm stops, as soon as what was dealt before that is noted."""
        try:
            return self._walk.take(count)
        except OSError as error:
            self._unreadable = f"cannot read {self._names.tfin}: {error.strerror or error}"
            return np.empty(0, dtype=RECORD)

    def commands(self, offsets: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
        """Return the commands of these tasks."""
        tfin = self._names.tfin
        try:
            records = self._reader.records(offsets, lengths)
        except OSError as error:
            self.stop(f"cannot read {tfin}: {error.strerror}")
            return [b""] * len(offsets)
        if sum(map(len, records)) < sum(lengths):
            self.stop(f"{tfin} was cut")
        return [command_of(record) for record in records]

    def place(self, offset: int) -> str:
        """Return where in the list a task stands."""
        path = self._tasklist.path
        try:
            return f"{path}:{self._tasklist.line_at(offset)}"
        except OSError:  # gone, with its file system
            return str(path)

    # whether it is ours

    def look(self, now: float) -> None:
        """Stop if the lock or the list is not what it was. Whatever is written asks for itself: see `warrant`."""
        self._look_at_lock(now)
        self._look_at_list()

    def touch(self) -> None:
        """Show other farms that this one is alive."""
        self._lock.touch()

    def release(self) -> None:
        """Give the list back."""
        self._lock.release()

    def _look_at_lock(self, now: float) -> None:
        if self.stopped:
            return
        try:
            self._lock.keep(now)
        except OSError as error:
            self.stop(_cannot_write(error))

    def _look_at_list(self) -> None:
        """Stop if the list was cut: the workers would not find their tasks, which are innocent of that."""
        if not self.stopped and os.fstat(self._descriptor).st_size < self._size:
            self.stop(f"{self._names.tfin} was cut")

    # what is written

    def note(self, dealt: Dealt | None) -> None:
        """Say how far dealing goes, before the grants leave; None if nothing was ever granted."""
        if dealt is not None and not self.stopped:
            try:
                self._lock.note(dealt)
            except OSError as error:
                self.stop(_cannot_write(files.named(error, self._names.lock)))
        if self._unreadable:
            self.stop(self._unreadable)

    def write(self, now: float, waiting: Callable[[], None]) -> None:
        """Write what the journal has been told; *waiting* is called now and then while that takes long."""
        if self.stopped:
            return
        try:
            self._journal.flush(waiting)
            self._journal.sync(now)
        except OSError as error:
            self.stop(_cannot_write(error))

    def checkpoint_is_due(self, now: float) -> bool:
        """Whether it is time for a checkpoint again."""
        return now >= self._checkpoint_at and not self.stopped

    def checkpoint(self, now: float, unfinished: Iterable[int], suspects: Sequence[Word]) -> None:
        """Write that all before the dealing offset is done but the *unfinished*."""
        if self.stopped:
            return
        self._checkpoint_at = now + CHECKPOINT_S
        try:
            self._journal.checkpoint(*self._position(), unfinished, suspects)
        except OSError as error:
            self.stop(_cannot_write(error))

    def finish(self) -> None:
        """Write that all is done."""
        if self.stopped:
            return
        try:
            self._walk.take(1)  # nothing: what is left are no tasks, and they are done, too
            self._journal.finish(*self._position())
        except OSError as error:
            self.stop(_cannot_write(error))

    def close(self) -> None:
        """Write the last of it."""
        if self.stopped:
            return
        try:
            self._journal.flush()
            self._journal.close()
        except OSError as error:
            self.stop(_cannot_write(error))

    def _position(self) -> tuple[int, int, int]:
        """Return how many records have been dealt, where that ends, and the checksum of the list up to there."""
        offset = self._walk.offset
        if os.fstat(self._descriptor).st_size < offset:  # or its checksum would stand for less
            raise OSError(errno.EIO, "it was cut", str(self._names.tfin))
        self._crc = checksum(self._descriptor, self._crc_offset, offset, self._crc)
        self._crc_offset = offset
        return self._walk.seq - 1, offset, self._crc


def _cannot_write(error: OSError) -> str:
    if isinstance(error, TakenOver):
        return str(error)
    return f"cannot write {error.filename or ''}: {error.strerror or error}"
