"""What stands both in a list and in an edited copy of it, as runs of records, and where each of them is now.

The rule: a run is as long as it can be, so a list that has hardly changed has few.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Kept:
    """The records that stand in both lists, as runs of neighbours, in the order of the old one.

    Each column int64, shape (runs,), the last one bool.
    """

    old: Numbers  # byte offset in the old .tfin file at which a run begins
    new: Numbers  # in the new one
    length: Numbers  # bytes
    old_seq: Numbers  # seq of its first record in the old .tfin file
    new_seq: Numbers  # in the new one
    count: Numbers  # records
    crosses: NDArray[np.bool_]  # it has moved past others; the rest is in the order of the new list, too

    def in_order(self) -> Kept:
        """Return the runs that are in one order in both lists."""
        return self._chosen(~self.crosses) if self.crosses.any() else self

    def elsewhere(self) -> Kept:
        """Return those that have moved past others."""
        return self._chosen(self.crosses)

    def _chosen(self, which: NDArray[np.bool_]) -> Kept:
        return Kept(*(getattr(self, column.name)[which] for column in fields(self)))

    def moved(self, offsets: Numbers) -> Numbers:
        """Return where records that began at *offsets* of the old file begin in the new one; -1 for those that are gone.

        In any order; int64, the same shape.
        """
        return _moved(offsets, self.old, self.new, self.length)

    def moved_seqs(self, seqs: Numbers) -> Numbers:
        """Return the new seqs of the records that had *seqs*; -1 for those that are gone."""
        return _moved(seqs, self.old_seq, self.new_seq, self.count)


def _moved(values: Numbers, old: Numbers, new: Numbers, length: Numbers) -> Numbers:
    if not old.size:
        return np.full(values.shape, -1, dtype=np.int64)
    run = np.maximum(np.searchsorted(old, values, side="right") - 1, 0)
    beyond = values - old[run]
    moved: Numbers = np.where((beyond >= 0) & (beyond < length[run]), new[run] + beyond, -1)
    return moved


def same(size: int, records: int) -> Kept:
    """Return what a list of *size* bytes and so many *records* has in common with itself."""
    runs = Runs()
    runs.add(0, 0, size, 1, 1, records)
    return runs.kept()


class Runs:
    """Grows, in order."""

    def __init__(self) -> None:
        self._rows = array("q")  # of Kept
        self._crosses = 0

    def cross(self) -> None:
        """What is added from now on has moved past others."""
        self._crosses = 1

    def add(self, old: int, new: int, length: int, old_seq: int, new_seq: int, count: int) -> None:
        """Add a run, or go on with the last one."""
        rows = self._rows
        if rows and rows[-1] == self._crosses and rows[-7] + rows[-5] == old and rows[-6] + rows[-5] == new:
            rows[-5] += length
            rows[-2] += count
            return
        rows.extend((old, new, length, old_seq, new_seq, count, self._crosses))

    def kept(self) -> Kept:
        """Return all of them."""
        rows = np.array(self._rows, dtype=np.int64).reshape(-1, 7)
        old, new, length, old_seq, new_seq, count, crosses = rows[np.argsort(rows[:, 0])].T
        return Kept(old, new, length, old_seq, new_seq, count, crosses != 0)
