"""One of two .tfin files that are compared: its records, and how far it has been compared.

The rule: it is read by offset, a window at a time, and a record is known by its key, the hash of its bytes, and by where it
is. What is behind the last newline is no record.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from mpifarm.tasks import tfin

_NEWLINE = ord("\n")
key: Callable[[bytes], int] = hash

Numbers = NDArray[np.int64]
Between = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Records:
    """Some records of one side, in its order or not; shape (records,)."""

    begins: Numbers  # bytes
    ends: Numbers
    seqs: Numbers

    def chosen(self, places: Numbers) -> Records:
        """Return those at *places*."""
        return Records(self.begins[places], self.ends[places], self.seqs[places])

    def bytes(self, start: int, end: int) -> tuple[int, int]:
        """Return where the records from *start* to *end*, which are neighbours, begin and end."""
        return int(self.begins[start]), int(self.ends[end - 1])


@dataclass(frozen=True, slots=True)
class Window:
    """Some records, from where a side stands on."""

    keys: Numbers  # shape (records,)
    edges: Numbers  # byte offsets where they begin, and where the last one ends
    seq: int  # of the first
    is_last: bool  # nothing follows

    def records(self, places: Numbers) -> Records:
        """Return the records at *places*."""
        return Records(self.edges[places], self.edges[places + 1], self.seq + places)


@dataclass(frozen=True, slots=True)
class LeftOver:
    """Records of one side that were not matched."""

    keys: Numbers
    records: Records


class Side:
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

    def pass_by(self, window: Window, records: int) -> None:
        """Go on behind the first *records* of *window*."""
        self.advance(int(window.edges[records]) - self.at, records)

    def read(self, at: int, length: int) -> bytes:
        """Return bytes, fewer only at the end."""
        self._between()
        return os.pread(self._descriptor, max(0, min(length, self._size - at)), at)

    def window(self, lines: int) -> Window:
        """Return at least so many records, fewer only at the end."""
        return self._window(self.at, self._size, self.seq, lines)

    def _window(self, at: int, to: int, seq: int, lines: float) -> Window:
        """Return the records from *at*, the first of them *seq*, and at least so many *lines*, fewer only before *to*."""
        keys = [np.empty(0, dtype=np.int64)]
        edges = [np.array([at])]
        found, want = 0, tfin.CHUNK_BYTES
        while found < lines:
            chunk = self.read(at, min(want, to - at))
            end = chunk.rfind(b"\n") + 1
            if not end and len(chunk) < want:
                return Window(np.concatenate(keys), np.concatenate(edges), seq, True)
            if end:
                records = chunk[: end - 1].split(b"\n")
                keys.append(np.fromiter(map(key, records), np.int64, len(records)))
                edges.append(np.flatnonzero(np.frombuffer(chunk, np.uint8) == _NEWLINE) + at + 1)
                found += len(records)
            at += end
            want = tfin.CHUNK_BYTES if end else 4 * want
        return Window(np.concatenate(keys), np.concatenate(edges), seq, False)

    def left_over(self, begins: Numbers, lengths: Numbers, counts: Numbers) -> LeftOver:
        """Return the records between runs that begin at *begins*, and are so many bytes and records."""
        keys = [np.empty(0, dtype=np.int64)]
        columns = [np.empty((3, 0), dtype=np.int64)]
        at, seq = 0, 1
        runs = zip(begins.tolist(), lengths.tolist(), counts.tolist(), strict=True)
        for begin, length, count in chain(runs, [(self._size, 0, 0)]):
            if at < begin:
                window = self._window(at, begin, seq, math.inf)
                records = window.records(np.arange(window.keys.size))
                keys.append(window.keys)
                columns.append(np.stack((records.begins, records.ends, records.seqs)))
                seq += window.keys.size
            at, seq = begin + length, seq + count
        return LeftOver(np.concatenate(keys), Records(*np.concatenate(columns, axis=1)))

    def equals(self, at: int, other: Side, other_at: int, length: int) -> bool:
        """Return whether *length* bytes at *at* are those of *other* at *other_at*."""
        parts = range(0, length, tfin.CHUNK_BYTES)
        return all(
            self.read(at + part, min(tfin.CHUNK_BYTES, length - part))
            == other.read(other_at + part, min(tfin.CHUNK_BYTES, length - part))
            for part in parts
        )
