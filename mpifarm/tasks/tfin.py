"""The .tfin file: what is a record, and what is a task.

It is, byte for byte, what TaskFarmer makes with `egrep -v '^#' tasks.txt | awk '{print "> "$0}'`: lines that begin with #
are dropped, every other line becomes a record `> LINE\\n`. The byte offset of a record is the task's id.
Blank and comment-only records stay in the file, but they are no tasks. A byte-order mark (of UTF-8) and a carriage return
at the two ends of a line stay there, too, and are no part of the command.
Example: the list "# sweep\\necho 1\\n\\necho 2\\n" becomes "> echo 1\\n> \\n> echo 2\\n", with tasks at 0 and 12.

The rule: what a line means is decided here, for chunks of whole lines, and records are numpy arrays. Where a single pass
over 400 MB counts, bytes methods and numpy work at memory speed and a loop over lines does not. But not all of them: bytes
finds one character at 30 GB/s and more, two in a row at 0.7 (CPython 3.11). So the newlines are looked for, once, and then
at the character behind each.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mpifarm.tasks.quoting import BYTE_ORDER_MARK

# A dozen passes go over a chunk, so it and its copies should stay in a core's cache. And from 128 KiB on glibc's malloc
# may map a block anew for each chunk (mallopt(3), M_MMAP_THRESHOLD): a page fault for every 4 KiB.
CHUNK_BYTES = 96 * 1024
MARK = b"> "

RECORD = np.dtype([("offset", "<i8"), ("length", "<i8"), ("seq", "<i8")])  # seq: which line of the .tfin, from 1
Records = NDArray[np.void]  # of dtype RECORD
Watch = Callable[[bytes, int, int], object]  # sees lines of the list: them, the number of the first, the tasks before it

_NEWLINE, _SPACE, _TAB, _RETURN, _HASH = b"\n \t\r#"
_BLANKS = b" \t\r"
_INDENT = 16  # columns; what is indented further is looked at one by one


def formatted(source: BinaryIO, watch: Watch | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yield the .tfin form of the list *source*: chunks of whole records, each with its number of records and of tasks."""
    number, tasks_before = 1, 0
    while lines := source.read(CHUNK_BYTES):
        lines = b"".join((lines, source.readline()))
        if watch:
            watch(lines, number, tasks_before)
        lines = lines.removesuffix(b"\n")
        chunk = b"".join((MARK, lines.replace(b"\n", b"\n" + MARK), b"\n"))
        starts, first = _split(chunk)
        tasks = int(np.count_nonzero(_are_tasks(chunk, starts, first)))
        number, tasks_before = number + starts.size, tasks_before + tasks
        comments = first == _HASH
        if comments.any():
            chunk = _without(chunk, starts, comments)
        if chunk:
            yield chunk, starts.size - int(np.count_nonzero(comments)), tasks


def lines_with_records(lines: bytes) -> NDArray[np.int64]:
    """Return which of whole *lines* of a list, from 0, become records: those that are no comments."""
    characters = np.frombuffer(lines if lines.endswith(b"\n") else lines + b"\n", dtype=np.uint8)
    starts = np.append(0, np.flatnonzero(characters == _NEWLINE)[:-1] + 1)
    return np.flatnonzero(characters[starts] != _HASH)


def records_of(chunk: bytes, offset: int, seq: int) -> tuple[Records, NDArray[np.bool_]]:
    """Return the records of *chunk*, which begins at *offset* with number *seq*, and which of them are tasks."""
    starts, first = _split(chunk)
    records = np.empty(starts.size, dtype=RECORD)
    records["offset"] = starts + offset
    records["length"] = np.diff(starts, append=len(chunk))
    records["seq"] = np.arange(seq, seq + starts.size)
    return records, _are_tasks(chunk, starts, first)


def whole_records(descriptor: int, offset: int, size: int) -> bytes:
    """Return about CHUNK_BYTES of whole records, from *offset* of a .tfin file of *size* bytes on; nothing at its end."""
    want = CHUNK_BYTES
    while True:
        chunk = os.pread(descriptor, min(want, size - offset), offset)
        end = chunk.rfind(b"\n") + 1
        if end or len(chunk) < want:
            return chunk[:end]
        want *= 4


def command_of(record: bytes) -> bytes:
    """Return the shell command of a record: without its mark, its newline, one carriage return, and a byte-order mark."""
    return record[len(MARK) : -1].removesuffix(b"\r").removeprefix(BYTE_ORDER_MARK)


def is_record(record: bytes, length: int) -> bool:
    """Return whether this is one whole record of *length* bytes."""
    return len(record) == length and record.startswith(MARK) and record.find(b"\n") == length - 1


def checksum(descriptor: int, start: int, end: int, value: int = 0, between: Callable[[], object] = lambda: None) -> int:
    """Return the CRC-32 of the bytes from *start* to *end*, going on from *value*, that of the bytes before.

    *between* is called between its reads, which may take long.
    """
    while start < end:
        between()
        part = os.pread(descriptor, min(CHUNK_BYTES, end - start), start)
        if not part:
            break
        value = zlib.crc32(part, value)
        start += len(part)
    return value


def _split(chunk: bytes) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return where the records of *chunk* begin, and the first character of each line, which may be its newline."""
    characters = np.frombuffer(chunk, dtype=np.uint8)
    ends = np.flatnonzero(characters == _NEWLINE)
    starts = np.zeros(ends.size, dtype=np.int64)
    np.add(ends[:-1], 1, out=starts[1:])
    return starts, characters[starts + len(MARK)]


def _are_tasks(chunk: bytes, starts: NDArray[np.int64], first: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which records are tasks: neither blank nor a comment."""
    is_task: NDArray[np.bool_] = first > _HASH  # nearly every command begins so
    unsure = np.flatnonzero(~is_task)
    marked = np.flatnonzero(first == BYTE_ORDER_MARK[0])
    places = starts[unsure] + len(MARK)
    characters = np.frombuffer(chunk, dtype=np.uint8)
    for _ in range(_INDENT):  # a column at a time
        if not unsure.size:
            break
        column = characters[places]
        blank = (column == _SPACE) | (column == _TAB) | (column == _RETURN)
        is_task[unsure] = ~blank & (column != _NEWLINE) & (column != _HASH)
        unsure, places = unsure[blank], places[blank] + 1
    rest = chain(zip(unsure, places, strict=True), zip(marked, starts[marked] + len(MARK), strict=True))
    for record, place in rest:
        line = chunk[place : chunk.index(b"\n", place)].removeprefix(BYTE_ORDER_MARK).strip(_BLANKS)
        is_task[record] = bool(line) and not line.startswith(b"#")
    return is_task


def _without(chunk: bytes, starts: NDArray[np.int64], dropped: NDArray[np.bool_]) -> bytes:
    """Return *chunk* without the records that are *dropped*."""
    edges = np.flatnonzero(np.diff(~dropped, prepend=False, append=False))  # of the runs of records that stay
    bounds = np.append(starts, len(chunk))[edges].tolist()
    return b"".join(chunk[begin:end] for begin, end in zip(bounds[::2], bounds[1::2], strict=True))
