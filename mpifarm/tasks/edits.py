"""Two lists, one of them an edited copy of the other: which records stand in both.

The rule: records are matched in order, as many as can be, and what is equal takes no memory. Equal stretches are skipped,
chunk by chunk. Where the lists differ, both are read for some ten thousand lines, twice as many if they do not find
together again, and matched there; what is sure of that counts, and from there it goes on. The keys of lines are their
hashes, so what they match is compared byte by byte before it counts.

What is sure? Take a longest match of the two windows: a path through the grid of their lines, with a diagonal step for each
pair. Let c be a pair, and e the last one. A longest match of the whole lists is a path, too. If they meet anywhere from c
to e, then ours is as good as the other up to there, and so up to c. If they do not, the other one passes by on one side.
Where no line of the pairs from c to e stands twice, it matches none of them; so of the lines up to e of the list of which
it has read less, it gains at most those that we leave out, and loses these. If they are as many, ours is as long: what
stands before c is sure. Lines that stand twice in a window do not count for this, until it is MOST_LINES long. A line may
stand again beyond the windows; then the match may be shorter than the longest one, never wrong.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mpifarm.tasks import tfin
from mpifarm.tasks.matching import longest_common

FIRST_LINES = 16 * 1024  # of a window
MOST_LINES = 128 * 1024  # from then on lines count that are repeated
SURE_LINES = 256  # that there have to be more than the argument asks for

_NEWLINE = ord("\n")
_key: Callable[[bytes], int] = hash

Numbers = NDArray[np.int64]
Between = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Kept:
    """The records that stand in both lists, as runs of neighbours, in order; each column int64, shape (runs,)."""

    old: Numbers  # byte offset in the old .tfin file at which a run begins
    new: Numbers  # in the new one
    length: Numbers  # bytes
    old_seq: Numbers  # seq of its first record in the old .tfin file
    new_seq: Numbers  # in the new one
    count: Numbers  # records

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


def compare(old: int, old_size: int, new: int, new_size: int, between: Between = lambda: None) -> Kept:
    """Return what stands in both of two .tfin files.

    *old*, *new*: descriptors, read by offset. What is behind the last newline is no record. *between* is called between
    reads, which may take long. Raises OSError.
    """
    before, after = _Side(old, old_size, between), _Side(new, new_size, between)
    runs = _Runs()
    lines = FIRST_LINES
    while True:
        _skip_equal(before, after, runs)
        one, other = before.window(lines), after.window(lines)
        if not (one.keys.size and other.keys.size):
            return runs.kept()
        first, second = longest_common(one.keys, other.keys)
        if one.is_last and other.is_last:
            _count_in(before, after, one, other, first, second, runs)
            return runs.kept()
        sure = _sure(one, other, first, second)
        if not sure or not first[sure] + second[sure]:
            lines *= 2
            continue
        _count_in(before, after, one, other, first[:sure], second[:sure], runs)
        before.pass_by(one, int(first[sure]))
        after.pass_by(other, int(second[sure]))
        lines = FIRST_LINES


def _skip_equal(before: _Side, after: _Side, runs: _Runs) -> None:
    """Go on to the first record in which they differ."""
    want = tfin.CHUNK_BYTES
    while True:
        same = _common(before.read(before.at, want), after.read(after.at, want))
        whole = same.rfind(b"\n") + 1
        if whole:
            records = same.count(b"\n")
            runs.add(before.at, after.at, whole, before.seq, after.seq, records)
            before.advance(whole, records)
            after.advance(whole, records)
        if len(same) < want:
            return
        want = tfin.CHUNK_BYTES if whole else 4 * want


def _common(one: bytes, other: bytes) -> bytes:
    """Return what both begin with."""
    size = min(len(one), len(other))
    if one[:size] == other[:size]:
        return one[:size]
    differ = np.frombuffer(one[:size], np.uint8) != np.frombuffer(other[:size], np.uint8)
    return one[: int(differ.argmax())]


def _sure(one: _Window, other: _Window, first: Numbers, second: Numbers) -> int:
    """Return how many of the pairs of a longest match of two windows are sure; 0 if they are too short to tell."""
    if not first.size:
        return 0
    counts = np.ones(first.size, dtype=np.bool_)
    if max(one.keys.size, other.keys.size) < MOST_LINES:
        counts = _stands_once(one.keys)[first] & _stands_once(other.keys)[second]
    left_out = int(max(first[-1], second[-1])) + 1 - first.size
    enough = np.flatnonzero(np.cumsum(counts[::-1]) >= left_out + SURE_LINES)
    return first.size - 1 - int(enough[0]) if enough.size else 0


def _stands_once(keys: Numbers) -> NDArray[np.bool_]:
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    once: NDArray[np.bool_] = (counts == 1)[inverse.reshape(-1)]
    return once


def _count_in(
    before: _Side, after: _Side, one: _Window, other: _Window, first: Numbers, second: Numbers, runs: _Runs
) -> None:
    """Add the pairs whose records are equal byte by byte."""
    breaks = np.flatnonzero((np.diff(first) != 1) | (np.diff(second) != 1)) + 1
    bounds = [0, *breaks.tolist(), first.size] if first.size else []
    stretches = list(pairwise(bounds))[::-1]
    while stretches:
        start, end = stretches.pop()
        i, j, count = int(first[start]), int(second[start]), end - start
        old_at, old_to, new_at, new_to = map(int, (*one.edges[[i, i + count]], *other.edges[[j, j + count]]))
        if old_to - old_at == new_to - new_at and before.equals(old_at, after, new_at, old_to - old_at):
            runs.add(old_at, new_at, old_to - old_at, before.seq + i, after.seq + j, count)
        elif count > 1:  # somewhere in it two lines have the same hash
            middle = (start + end) // 2
            stretches += [(middle, end), (start, middle)]


@dataclass(frozen=True, slots=True)
class _Window:
    """Some records, from where a side stands on."""

    keys: Numbers  # shape (records,)
    edges: Numbers  # byte offsets where they begin, and where the last one ends
    is_last: bool  # nothing follows


class _Side:
    """One of the two files, and how far it has been compared."""

    def __init__(self, descriptor: int, size: int, between: Between) -> None:
        self._descriptor = descriptor
        self._size = size
        self._between = between
        self.at = 0
        self.seq = 1

    def advance(self, length: int, records: int) -> None:
        """Go on behind so many bytes, which are so many records."""
        self.at += length
        self.seq += records

    def pass_by(self, window: _Window, records: int) -> None:
        """Go on behind the first *records* of *window*."""
        self.advance(int(window.edges[records]) - self.at, records)

    def read(self, at: int, length: int) -> bytes:
        """Return bytes, fewer only at the end."""
        self._between()
        return os.pread(self._descriptor, max(0, min(length, self._size - at)), at)

    def window(self, lines: int) -> _Window:
        """Return at least so many records, fewer only at the end."""
        keys = [np.empty(0, dtype=np.int64)]
        edges = [np.array([self.at])]
        at, found, want = self.at, 0, tfin.CHUNK_BYTES
        while found < lines:
            chunk = self.read(at, want)
            end = chunk.rfind(b"\n") + 1
            if not end and len(chunk) < want:
                return _Window(np.concatenate(keys), np.concatenate(edges), True)
            if end:
                records = chunk[: end - 1].split(b"\n")
                keys.append(np.fromiter(map(_key, records), np.int64, len(records)))
                edges.append(np.flatnonzero(np.frombuffer(chunk, np.uint8) == _NEWLINE) + at + 1)
                found += len(records)
            at += end
            want = tfin.CHUNK_BYTES if end else 4 * want
        return _Window(np.concatenate(keys), np.concatenate(edges), False)

    def equals(self, at: int, other: _Side, other_at: int, length: int) -> bool:
        """Return whether *length* bytes at *at* are those of *other* at *other_at*."""
        parts = range(0, length, tfin.CHUNK_BYTES)
        return all(
            self.read(at + part, min(tfin.CHUNK_BYTES, length - part))
            == other.read(other_at + part, min(tfin.CHUNK_BYTES, length - part))
            for part in parts
        )


class _Runs:
    """Grows, in order."""

    def __init__(self) -> None:
        self._rows = array("q")  # of Kept

    def add(self, old: int, new: int, length: int, old_seq: int, new_seq: int, count: int) -> None:
        """Add a run, or go on with the last one."""
        rows = self._rows
        if rows and rows[-6] + rows[-4] == old and rows[-5] + rows[-4] == new:
            rows[-4] += length
            rows[-1] += count
            return
        rows.extend((old, new, length, old_seq, new_seq, count))

    def kept(self) -> Kept:
        """Return all of them."""
        return Kept(*np.array(self._rows, dtype=np.int64).reshape(-1, 6).T)
