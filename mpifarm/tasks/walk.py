"""A walk over the tasks of a .tfin file, in list order, from any record on.

The rule: it reads a chunk when it has nothing left to give, and keeps only what was not taken yet. So dealing a list
of any length takes the same memory, and where the walk stands is told by two numbers, an offset and a seq.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpifarm.tasks.offsets import among
from mpifarm.tasks.tfin import RECORD, Records, records_of, whole_records

_NONE = np.empty(0, dtype=np.int64)


class Walk:
    """The tasks of a .tfin file from a record on, in order, without those that are done already."""

    def __init__(self, descriptor: int, size: int, offset: int, seq: int, done: NDArray[np.int64] = _NONE) -> None:
        """*done*: their offsets, int64, sorted."""
        self._descriptor = descriptor
        self._size = size
        self._read_to = offset
        self._seq = seq  # of the first record that was not read
        self._done = done
        self._parts: list[Records] = []  # of what was read and not taken, none empty

    @property
    def offset(self) -> int:
        """The dealing offset: every task before it has been taken."""
        return int(self._parts[0]["offset"][0]) if self._parts else self._read_to

    @property
    def seq(self) -> int:
        """The seq of the record at the dealing offset."""
        return int(self._parts[0]["seq"][0]) if self._parts else self._seq

    def take(self, count: int) -> Records:
        """Return the next *count* tasks, fewer only at the end of the list: RECORD, shape (<= count,). Raises OSError."""
        missing = count - sum(part.size for part in self._parts)
        while missing > 0 and self._read_to < self._size:
            missing -= self._read()
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        records = self._parts.pop() if self._parts else np.empty(0, dtype=RECORD)
        if records.size > count:
            self._parts.append(records[count:])
        return records[:count]

    def _read(self) -> int:
        """Read a chunk, and return how many tasks were in it."""
        chunk = whole_records(self._descriptor, self._read_to, self._size)
        if not chunk:  # what is left of a file that was cut
            raise OSError(f"the .tfin file ends in the middle of a record, at byte {self._read_to}")
        records, is_task = records_of(chunk, self._read_to, self._seq)
        first, last = np.searchsorted(self._done, (self._read_to, self._read_to + len(chunk)))
        wanted = records[is_task & ~among(records["offset"], self._done[first:last])]
        if wanted.size:
            self._parts.append(wanted)
        self._read_to += len(chunk)
        self._seq += records.size
        return wanted.size
