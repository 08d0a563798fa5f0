"""What a task is called by people: `task 25 (tasks.txt:28)`, its Seq and the line of the list that they edit.

Seq is the line of the .tfin file. It is not that of the list, since comments are lines of the list and no records.

The rule: a scan notes where each chunk of the list begins, and no more, so it is small however long the list is. Who asks
for a line has the one chunk read in which it stands; the last few stay at hand, since what fails together mostly stands
together. A list that was edited in place meanwhile is noticed as far as its chunk has not the records that it had: then a
line would be another one's, and only the file is named. Of a list of arguments nothing is read: each line behind the header
is a record.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mpifarm.settings import Each
from mpifarm.tasks import tfin

_AT_HAND = 8  # chunks

Lines = NDArray[np.int64]


class Numbering:
    """The lines of a list by the seqs of their records."""

    def __init__(self, path: Path, source: BinaryIO, each: Each | None = None) -> None:
        self._source = source
        self._head = lines_before(each) if each else None
        self._shown = _printable(str(path))
        self._seqs, self._places, self._numbers = array("q"), array("q"), array("q")
        self._end = (1, 0)  # seq and place behind the last chunk
        self._at_hand: OrderedDict[int, Lines] = OrderedDict()

    def begin(self) -> None:
        """The list is read from its start."""
        for column in (self._seqs, self._places, self._numbers):
            del column[:]
        self._end = (1, 0)
        self._at_hand.clear()

    def see(self, lines: bytes, number: int, seq: int) -> None:
        """The next *lines* of the list begin with the line *number*; *seq* is that of their first record."""
        place = self._end[1]
        self._seqs.append(seq)
        self._places.append(place)
        self._numbers.append(number)
        self._end = (seq, place + len(lines))

    def end(self, seq: int) -> None:
        """The list was read; *seq* would be that of one more record."""
        self._end = (seq, self._end[1])

    def name(self, seq: int) -> str:
        """Return what the task *seq* is called: task 25 (tasks.txt:28)."""
        return f"task {seq} ({self.place(seq)})"

    def place(self, seq: int) -> str:
        """Return where the task *seq* stands in the list: tasks.txt:28; the list alone if that cannot be known any more."""
        try:
            line = self.line(seq)
        except OSError:  # gone, with its file system
            line = 0
        return f"{self._shown}:{line}" if line else self._shown

    def line(self, seq: int) -> int:
        """Return which line of the list, from 1, is the record *seq*; 0 if that is not known. Raises OSError."""
        chunk = bisect_right(self._seqs, seq) - 1  # of several without a record between them, the last one
        if chunk < 0 or seq >= self._end[0]:
            return 0
        if self._head is not None:
            return self._head + seq
        lines = self._at_hand.get(chunk)
        if lines is None:
            lines = self._at_hand[chunk] = self._read(chunk)
            if len(self._at_hand) > _AT_HAND:
                self._at_hand.popitem(last=False)
        return int(lines[seq - self._seqs[chunk]]) if lines.size else 0

    def _read(self, chunk: int) -> Lines:
        """Return the number of the line of each record of a chunk; none if it is not what it was."""
        is_last = chunk + 1 == len(self._seqs)
        seq, place = self._end if is_last else (self._seqs[chunk + 1], self._places[chunk + 1])
        self._source.seek(self._places[chunk])
        content = self._source.read(place - self._places[chunk])
        lines = self._numbers[chunk] + tfin.lines_with_records(content)
        return lines if lines.size == seq - self._seqs[chunk] else np.empty(0, dtype=np.int64)


def lines_before(each: Each) -> int:
    """Return how many lines stand before the first record of a list of arguments."""
    return int(each.header)


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name)
