"""What one pass over a list has found, and how a record is found by it without another.

The rule: a scan remembers where its chunks begin, and no more, so it is small however long the list is. Who asks about an
offset, any offset, has the one chunk read in which it lies, and is told whether a record begins there.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpifarm.tasks.offsets import distinct
from mpifarm.tasks.tfin import MARK, RECORD, Records, records_of, whole_records


@dataclass(frozen=True, slots=True)
class Index:
    """Where the chunks of a scan begin, so that a record is found without reading the file from its start.

    For each chunk: its byte offset, the seq of its first record, and the tasks before it; int64, shape (chunks,).
    """

    offsets: NDArray[np.int64]
    seqs: NDArray[np.int64]
    tasks: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scan:
    """What one pass over the list has found."""

    descriptor: int  # of the .tfin file, for reading by offset
    size: int  # bytes of the .tfin file
    tasks: int
    carriage_returns: bool
    differs_at: int | None  # the first byte in which the .tfin file of an earlier run differs
    had_tfin: bool
    old_size: int  # bytes of that one
    index: Index


def scan_of(descriptor: int, between: Callable[[], object] = lambda: None) -> Scan | None:
    """Return what one pass over a .tfin file finds, up to its last newline; None if it is not made of records.

    *between* is called between reads, which may take long. Raises OSError.
    """
    places = array("q")  # rows of Index
    size, tasks, seq, carriage_returns = 0, 0, 1, False
    while chunk := whole_records(descriptor, size, os.fstat(descriptor).st_size):
        between()
        if not chunk.startswith(MARK) or chunk.count(b"\n" + MARK) + 1 != chunk.count(b"\n"):
            return None
        records, is_task = records_of(chunk, size, seq)
        places.extend((size, seq, tasks))
        carriage_returns = carriage_returns or b"\r\n" in chunk
        size, tasks, seq = size + len(chunk), tasks + int(np.count_nonzero(is_task)), seq + records.size
    index = Index(*np.array(places, dtype=np.int64).reshape(-1, 3).T)
    return Scan(descriptor, size, tasks, carriage_returns, None, True, size, index)


def records_at(scan: Scan, offsets: NDArray[np.int64]) -> tuple[Records, NDArray[np.bool_]]:
    """Return the records that begin at *offsets* (sorted, unique), and which of them are tasks.

    An offset where no record begins comes back with length 0.
    """
    found = np.zeros(offsets.size, dtype=RECORD)
    found["offset"] = offsets
    is_task = np.zeros(offsets.size, dtype=np.bool_)
    chunks = np.searchsorted(scan.index.offsets, offsets, side="right") - 1
    for number in distinct(chunks[(offsets >= 0) & (offsets < scan.size)]):
        chunk, start, seq = chunk_at(scan, number)
        records, tasks = records_of(chunk, start, seq)
        first, last = np.searchsorted(offsets, (start, start + len(chunk)))
        wanted = offsets[first:last]
        places = np.searchsorted(records["offset"], wanted, side="right") - 1
        hits = records["offset"][places] == wanted
        found[first:last][hits], is_task[first:last][hits] = records[places[hits]], tasks[places[hits]]
    return found, is_task


def offsets_of(scan: Scan, seqs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the offsets of the records *seqs* (sorted, unique), -1 where there is none. Raises OSError."""
    found = np.full(seqs.size, -1, dtype=np.int64)
    chunks = np.searchsorted(scan.index.seqs, seqs, side="right") - 1
    for number in distinct(chunks[chunks >= 0]):
        chunk, start, seq = chunk_at(scan, number)
        records, _ = records_of(chunk, start, seq)
        here = np.flatnonzero((chunks == number) & (seqs - seq < records.size))
        found[here] = records["offset"][seqs[here] - seq]
    return found


def position(scan: Scan, offset: int) -> tuple[int, int] | None:
    """Return (seq, tasks before it) of the record that begins at *offset*, or of the end of the list; else None."""
    if offset == 0:
        return 1, 0
    if not 0 < offset <= scan.size:
        return None
    number = int(np.searchsorted(scan.index.offsets, offset, side="left")) - 1  # the chunk of the byte before
    start, _ = _bounds(scan, number)
    before = os.pread(scan.descriptor, offset - start, start)
    if not before.endswith(b"\n"):
        return None
    records, is_task = records_of(before, start, int(scan.index.seqs[number]))
    return int(scan.index.seqs[number]) + records.size, int(scan.index.tasks[number]) + int(np.count_nonzero(is_task))


def chunk_at(scan: Scan, number: int) -> tuple[bytes, int, int]:
    """Return the records of a chunk, its offset, and the seq of its first record. Raises OSError."""
    start, end = _bounds(scan, number)
    return os.pread(scan.descriptor, end - start, start), start, int(scan.index.seqs[number])


def _bounds(scan: Scan, number: int) -> tuple[int, int]:
    offsets = scan.index.offsets
    return int(offsets[number]), int(offsets[number + 1]) if number + 1 < offsets.size else scan.size
