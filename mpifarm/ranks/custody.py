"""The list and its files in the hands of rank 0, as long as they are in its hands: what it deals from, and what it writes.

The rule: once something is wrong, nothing more is written. A write has failed, the lock turns out to be somebody else's, or
the list is not what it was; then whoever deals learns of it once (`trouble`), and ends what runs, and what was not written
runs again. Nobody above sees the OSError: `failed` is the one place where it ends.

What must be on disk before what: how far dealing goes is in the lock before a grant leaves (`note`), what the tasks have
printed before they count as done (see `journal`), and a checkpoint every 20 s stands for both.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

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

    @contextmanager
    def guarded(self, written: Path | None = None) -> Iterator[None]:
        """Stop if *written* cannot be written, or the list cannot be read, or their file system is gone."""
        try:
            yield
        except OSError as error:
            self.failed(error, written)

    def failed(self, error: OSError, written: Path | None = None) -> None:
        """Stop because of *error*, which is about *written* if it names nothing, or about the list: that has no name."""
        if isinstance(error, TakenOver):
            self.stop(str(error))
            return
        named = error.filename or written
        what = f"write {named}" if named else f"read {self._names.tfin}"
        self.stop(f"cannot {what}: {error.strerror or error}")

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

    @property
    def full(self) -> bool:
        """Whether so much waits for the output that no more should be taken from the workers."""
        return not self.stopped and self._journal.output.full

    @property
    def waits(self) -> bool:
        """Whether anything waits for the output."""
        return not self.stopped and self._journal.output.waits

    @property
    def taken(self) -> int:
        """Bytes of what the tasks have printed that are out."""
        return self._journal.output.taken

    @property
    def given_up(self) -> int:
        """How many tasks run again because nobody has read what they have printed."""
        return self._journal.output.given_up

    @property
    def outputs(self) -> list[int]:
        """What to poll for writing."""
        told = self._journal.voice.descriptors
        return told if self.stopped else [*self._journal.output.descriptors, *told]

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

    def peek(self, offset: int, length: int) -> bytes:
        """Return the command of a task for people to see, nothing if it cannot be read: that is nobody's trouble."""
        with suppress(OSError):
            (record,) = self._reader.records([offset], [length])
            return command_of(record)
        return b""

    def place(self, seq: int) -> str:
        """Return where in the list a task stands: tasks.txt:28."""
        return self._tasklist.numbering.place(seq)

    # whether it is ours

    def look(self, now: float) -> None:
        """Stop if the lock or the list is not what it was. Whatever is written asks for itself: see `warrant`."""
        self._look_at_lock(now)
        self._look_at_list()

    def release(self) -> None:
        """Give the list back."""
        self._lock.release()

    def _look_at_lock(self, now: float) -> None:
        if self.stopped:
            return
        with self.guarded(self._names.lock):
            self._lock.keep(now)

    def _look_at_list(self) -> None:
        """Stop if the list was cut: the workers would not find their tasks, which are innocent of that."""
        if self.stopped:
            return
        with self.guarded():
            if os.fstat(self._descriptor).st_size < self._size:
                self.stop(f"{self._names.tfin} was cut")

    # what is written

    def note(self, dealt: Dealt | None) -> None:
        """Say how far dealing goes, before the grants leave; None if nothing was ever granted."""
        if dealt is not None and not self.stopped:
            with self.guarded(self._names.lock):
                self._lock.note(dealt)
        if self._unreadable:
            self.stop(self._unreadable)

    def write(self, now: float) -> None:
        """Write what the journal has been told, as far as it is taken."""
        if self.stopped:
            self._journal.voice.turn()
            return
        with self.guarded():
            self._journal.flush()
            self._journal.sync(now)

    def give_up(self) -> None:
        """Wait no more for the reader of standard output."""
        self._journal.output.give_up()

    def checkpoint_is_due(self, now: float) -> bool:
        """Whether it is time for a checkpoint again."""
        return now >= self._checkpoint_at and not self.stopped

    def checkpoint(self, now: float, unfinished: Iterable[int], suspects: Sequence[Word]) -> None:
        """Write that all before the dealing offset is done but the *unfinished*."""
        if self.stopped:
            return
        self._checkpoint_at = now + CHECKPOINT_S
        with self.guarded():
            left = sorted((*unfinished, *self._journal.output.unread))
            self._journal.checkpoint(*self._position(), left, suspects)

    def finish(self) -> None:
        """Write that all is done."""
        if self.stopped:
            return
        with self.guarded():
            self._walk.take(1)  # nothing: what is left are no tasks, and they are done, too
            self._journal.finish(*self._position())

    def close(self) -> None:
        """Write the last of it."""
        if self.stopped:
            return
        with self.guarded():
            self._journal.flush()
            self._journal.close()

    def _position(self) -> tuple[int, int, int]:
        """Return how many records have been dealt, where that ends, and the checksum of the list up to there."""
        offset = self._walk.offset
        if os.fstat(self._descriptor).st_size < offset:  # or its checksum would stand for less
            raise OSError(errno.EIO, "it was cut", str(self._names.tfin))
        self._crc = checksum(self._descriptor, self._crc_offset, offset, self._crc)
        self._crc_offset = offset
        return self._walk.seq - 1, offset, self._crc
