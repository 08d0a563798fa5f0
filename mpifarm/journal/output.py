"""What tasks print, on its way to its reader: the file given as --output, or whoever reads standard output.

The rule: block after block, each of them whole, and none is waited for. What succeeded stands in the queue `blocks`; a turn
writes what is taken. A task counts as done when its block is out, so who reads slowly holds up what is recorded, and in the
end, when `full` says so, what is taken from the workers; nothing else.

A file always takes it. It may fail, on a full disk say: then what stands in it beyond the blocks that have been recorded is
cut off again, as the next start would do.

Standard output may be read slowly, or never. Who gives its reader up gets the list of the tasks whose blocks he has not
taken: they run again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from mpifarm import files
from mpifarm.journal.appender import Appender
from mpifarm.journal.blocks import Blocks, Entry
from mpifarm.journal.lines import Attempts
from mpifarm.journal.spool import Spool
from mpifarm.journal.warrant import Warrant
from mpifarm.outlet import Outlet

MOST_BYTES = 4 * 1024 * 1024  # that wait; beyond it nothing more should be taken from the workers

_TURN_BYTES = 32 * 1024 * 1024  # of blocks, in one turn: a slow disk takes a second for it
_READING_S = 0.002  # that a turn may take for somebody who is reading
_STDOUT = 1


class Output:
    """The blocks of a run, and where they go. To open it, `turn` and `tail` may raise OSError."""

    def __init__(self, path: Path | None, recorded_bytes: int, warrant: Warrant) -> None:
        """Open *path*, or standard output; *recorded_bytes* of the file are of tasks that progress tells of."""
        self.file = Appender(path, warrant) if path else None
        self.recorded_bytes = recorded_bytes
        self._outlet = None if self.file else Outlet(_STDOUT)
        self.on_terminal = self.file is None and os.isatty(_STDOUT)
        self.torn = False  # what is on that has no end of line yet
        self._warrant = warrant
        self._blocks = Blocks()

    # the queue

    def add(self, batch: Attempts, spool: Spool | None, out: memoryview) -> None:
        """Tasks have succeeded; *spool* and *out* are their blocks, *spool* that of a single one."""
        added = np.zeros(batch.ended.size, dtype=np.int64)
        if self.file:
            added += batch.ended["out_bytes"] + (spool.size if spool else 0)
        self._blocks.add(batch, spool, out, added)

    def add_line(self, line: bytes) -> None:
        """A line of the joblog comes after what is here."""
        self._blocks.add_line(line)

    def take_out(self) -> Iterator[Entry]:
        """Take what is out by now: it can be recorded."""
        return self._blocks.take_out()

    def recorded(self, added: int) -> None:
        """So many bytes more of the file are of tasks that progress will tell of."""
        self.recorded_bytes += added

    # what waits

    @property
    def full(self) -> bool:
        """Whether so much waits that no more should be told."""
        return self._blocks.size >= MOST_BYTES

    @property
    def waits(self) -> bool:
        """Whether anything waits."""
        return not self._blocks.empty

    @property
    def shows(self) -> bool:
        """Whether something waits that goes to a terminal."""
        return self.on_terminal and self._blocks.size > 0

    @property
    def taken(self) -> int:
        """Bytes of blocks that are out."""
        return self._blocks.gone

    @property
    def unread(self) -> list[int]:
        """The offset of every task that has succeeded, and whose block is not out, or never will be."""
        return self._blocks.offsets

    @property
    def given_up(self) -> int:
        """How many tasks run again because nobody has read what they have printed."""
        return len(self._blocks.given_up)

    @property
    def descriptors(self) -> list[int]:
        """What to poll for writing."""
        if self._blocks.empty:
            return []
        if self.file:
            return [self.file.descriptor]
        return [self._outlet.descriptor] if self._outlet and self._outlet.tells else []

    def give_up(self) -> None:
        """Wait no more for the reader of standard output: what he has not taken runs again. A file always takes it."""
        if not self.file:
            self._blocks.give_up()

    # writing

    def turn(self) -> None:
        """Write what is taken."""
        if not self.file and not self._blocks.empty:
            self._warrant.prove()
        try:
            self._pour()
        except OSError:
            if self.file:
                with suppress(OSError):  # the next start cuts it
                    self.file.cut(self.recorded_bytes)
            raise

    def tail(self) -> int:
        """Return the checksum of the end of what is recorded: see `tails`."""
        return self.file.tail(self.recorded_bytes) if self.file else 0

    def _pour(self) -> None:
        left = _TURN_BYTES
        while left > 0 and (piece := self._blocks.piece()):
            taken = self._write(piece)
            self._blocks.went(taken)
            if taken < len(piece):
                return
            left -= taken

    def _write(self, piece: memoryview) -> int:
        """Write *piece*, or what of it is taken; return how much that is."""
        if self.file:
            self.file.append([piece])
            return len(piece)
        assert self._outlet
        try:
            taken = self._outlet.write(piece)
            if 0 < taken < len(piece):  # he is reading: a turn for each 64 KiB, as much as a pipe holds, would be slow
                taken += self._outlet.write_within(piece[taken:], _READING_S)
        except OSError as error:
            raise files.named(error, "standard output") from None
        if taken and self.on_terminal:
            self.torn = piece[taken - 1] != ord("\n")
        return taken
