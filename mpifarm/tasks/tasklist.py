"""The task list: `tasks.txt` -> `tasks.txt.tfin`, and a walk over its records.

The .tfin file is, byte for byte, what TaskFarmer makes with `egrep -v '^#' tasks.txt | awk '{print "> "$0}'`: lines that
begin with # are dropped, every other line becomes a record `> LINE\\n`. The byte offset of a record is the task's id.
Blank and comment-only records stay in the file, but they are no tasks. A byte-order mark (of UTF-8) and a carriage return
at the two ends of a line stay there, too, and are no part of the command.
Example: the list "# sweep\\necho 1\\n\\necho 2\\n" becomes "> echo 1\\n> \\n> echo 2\\n", with tasks at 0 and 12.

The rule: neither file is ever in memory as a whole; both are walked in chunks of whole lines, and records are numpy
arrays. Where a single pass over 400 MB counts, bytes methods and numpy work at memory speed and a loop over lines does
not. But not all of them: bytes finds one character at 30 GB/s and more, two in a row at 0.7 (CPython 3.11). So the
newlines are looked for, once, and then at the character behind each.
"""

from __future__ import annotations

import os
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import add
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mpifarm import FarmError, files
from mpifarm.tasks.quoting import BYTE_ORDER_MARK

# A dozen passes go over a chunk, so it and its copies should stay in a core's cache. And from 128 KiB on glibc's malloc
# may map a block anew for each chunk (mallopt(3), M_MMAP_THRESHOLD): a page fault for every 4 KiB.
CHUNK_BYTES = 96 * 1024
_APART_BYTES = 64 * 1024  # records that lie so far apart are read one by one

RECORD = np.dtype([("offset", "<i8"), ("length", "<i8"), ("seq", "<i8")])  # seq: which line of the .tfin, from 1
Records = NDArray[np.void]  # of dtype RECORD
Watch = Callable[[bytes, int, int], object]  # sees lines of the list: them, the number of the first, the tasks before it

_NONE = np.empty(0, dtype=np.int64)
_END = (b"", 0, 0)  # behind the last chunk: what follows in the other file is a difference, too
_MARK = b"> "
_NEWLINE, _SPACE, _TAB, _RETURN, _HASH = b"\n \t\r#"
_BLANKS = b" \t\r"
_INDENT = 16  # columns; what is indented further is looked at one by one


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


def open_list(path: Path) -> BinaryIO:
    """Open a task list. Raises FarmError."""
    try:
        if path.is_dir():
            raise FarmError(f"{path} is a directory: give a file of shell commands, one a line")
        if path.exists() and not path.is_file():
            raise FarmError(f"{path} is not a regular file: a task list is read more than once, copy it to a file")
        return path.open("rb")
    except FileNotFoundError:
        raise FarmError(f"no task list {path}: give a file of shell commands, one a line") from None
    except OSError as error:
        raise FarmError(f"cannot read the task list {path}: {error.strerror}") from None


def formatted(source: BinaryIO, watch: Watch | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yield the .tfin form of the list *source*: chunks of whole records, each with its number of records and of tasks."""
    number, tasks_before = 1, 0
    while lines := source.read(CHUNK_BYTES):
        lines = b"".join((lines, source.readline()))
        if watch:
            watch(lines, number, tasks_before)
        lines = lines.removesuffix(b"\n")
        chunk = b"".join((_MARK, lines.replace(b"\n", b"\n" + _MARK), b"\n"))
        starts, first = _split(chunk)
        tasks = int(np.count_nonzero(_are_tasks(chunk, starts, first)))
        number, tasks_before = number + starts.size, tasks_before + tasks
        comments = first == _HASH
        if comments.any():
            chunk = _without(chunk, starts, comments)
        if chunk:
            yield chunk, starts.size - int(np.count_nonzero(comments)), tasks


class Tasklist:
    """A task list and its .tfin file in the working directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tfin = Path(path.name + ".tfin")
        self._source = open_list(path)
        self._new = files.new_name(self.tfin)
        self._file: BinaryIO | None = None

    def scan(self, watch: Watch | None = None) -> Scan:
        """Read the list once; leave its .tfin form beside the one of an earlier run, if that differs, for `commit`.

        *watch* sees all of its lines, comments included, in chunks.
        Raises FarmError for a NUL byte, and OSError where nothing can be written.
        """
        old = self.tfin.open("rb") if self.tfin.is_file() else None
        new: BinaryIO | None = None
        differs_at = None
        size, tasks, seq, carriage_returns = 0, 0, 1, False
        places = array("q")  # rows of Index
        self.discard()  # what a killed scan has left
        self._source.seek(0)
        for chunk, records, of_them in chain(formatted(self._source, watch), [_END]):
            self._refuse_nul(chunk, size)
            if new is None and (differs := _difference(old, chunk)) is not None:
                differs_at = size + differs
                new = files.create(self._new)
                _copy(old, new, size)
            if new is not None:
                new.write(chunk)
            if chunk:
                places.extend((size, seq, tasks))
                carriage_returns = carriage_returns or (b"\r" in chunk and b"\r\n" in chunk)
                tasks += of_them
                seq += records
                size += len(chunk)
        self._file = new or old
        assert self._file is not None
        self._file.flush()
        index = Index(*np.array(places, dtype=np.int64).reshape(-1, 3).T)
        old_size = os.fstat(old.fileno()).st_size if old else 0
        return Scan(self._file.fileno(), size, tasks, carriage_returns, differs_at, old is not None, old_size, index)

    def commit(self) -> None:
        """Put the scanned .tfin file in its place, if it differs from what is there."""
        if self._new.exists():
            assert self._file is not None
            files.put_in_place(self._file.fileno(), self.tfin)

    def discard(self) -> None:
        """Leave nothing behind of a scan that was not committed."""
        self._new.unlink(missing_ok=True)

    def head(self, size: int) -> bytes:
        """Return the first *size* bytes of the list."""
        self._source.seek(0)
        return self._source.read(size)

    def ends(self, size: int) -> list[tuple[int, bytes]]:
        """Return the first and the last *size* bytes of the list, cut to whole lines, each with its place in the list."""
        length = self._source.seek(0, os.SEEK_END)
        if length <= 2 * size:
            return [(0, self.head(length))]
        head = self.head(size)
        self._source.seek(length - size)
        begun = len(self._source.readline())
        tail = self._source.read(size - begun) if begun < size else b""
        return [(0, head[: head.rfind(b"\n") + 1]), (length - size + begun, tail)]

    def number_at(self, place: int) -> int:
        """Return the number of the line, from 1, in which the byte at *place* of the list stands."""
        self._source.seek(0)
        newlines = 0
        while place > 0 and (part := self._source.read(min(CHUNK_BYTES, place))):
            newlines += part.count(b"\n")
            place -= len(part)
        return 1 + newlines

    def line_at(self, offset: int) -> int:
        """Return the number of the line of the list, from 1, whose record holds byte *offset* of the .tfin file."""
        self._source.seek(0)
        at, number = 0, 0
        for number, line in enumerate(self._source, start=1):  # noqa: B007  the last one counts
            if line.startswith(b"#"):
                continue
            at += len(_MARK) + len(line.removesuffix(b"\n")) + 1
            if offset < at:
                break
        return max(number, 1)

    def _refuse_nul(self, chunk: bytes, offset: int) -> None:
        at = chunk.find(b"\0")
        if at >= 0:
            line = self.line_at(offset + at)
            raise FarmError(f"{self.path}:{line}: a NUL byte: no command can hold one, take it out")


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
        chunk = read_lines(self._descriptor, self._read_to, self._size)
        records, is_task = records_of(chunk, self._read_to, self._seq)
        first, last = np.searchsorted(self._done, (self._read_to, self._read_to + len(chunk)))
        wanted = records[is_task & ~among(records["offset"], self._done[first:last])]
        if wanted.size:
            self._parts.append(wanted)
        self._read_to += len(chunk)
        self._seq += records.size
        return wanted.size


def read_lines(descriptor: int, offset: int, size: int) -> bytes:
    """Return about CHUNK_BYTES of whole records that begin at *offset* of a .tfin file of *size* bytes."""
    want = CHUNK_BYTES
    while True:
        chunk = os.pread(descriptor, min(want, size - offset), offset)
        end = chunk.rfind(b"\n") + 1
        if end:
            return chunk[:end]
        if len(chunk) < want:  # the end, or what is left of a file that was cut
            raise OSError(f"the .tfin file ends in the middle of a record, at byte {offset}")
        want *= 4


def records_of(chunk: bytes, offset: int, seq: int) -> tuple[Records, NDArray[np.bool_]]:
    """Return the records of *chunk*, which begins at *offset* with number *seq*, and which of them are tasks."""
    starts, first = _split(chunk)
    records = np.empty(starts.size, dtype=RECORD)
    records["offset"] = starts + offset
    records["length"] = np.diff(starts, append=len(chunk))
    records["seq"] = np.arange(seq, seq + starts.size)
    return records, _are_tasks(chunk, starts, first)


def records_at(scan: Scan, offsets: NDArray[np.int64]) -> tuple[Records, NDArray[np.bool_]]:
    """Return the records that begin at *offsets* (sorted, unique), and which of them are tasks.

    An offset where no record begins comes back with length 0.
    """
    found = np.zeros(offsets.size, dtype=RECORD)
    found["offset"] = offsets
    is_task = np.zeros(offsets.size, dtype=np.bool_)
    chunks = np.searchsorted(scan.index.offsets, offsets, side="right") - 1
    for number in distinct(chunks[(offsets >= 0) & (offsets < scan.size)]):
        start, end = _bounds(scan, number)
        records, tasks = records_of(os.pread(scan.descriptor, end - start, start), start, int(scan.index.seqs[number]))
        first, last = np.searchsorted(offsets, (start, end))
        wanted = offsets[first:last]
        places = np.searchsorted(records["offset"], wanted, side="right") - 1
        hits = records["offset"][places] == wanted
        found[first:last][hits], is_task[first:last][hits] = records[places[hits]], tasks[places[hits]]
    return found, is_task


def among(values: NDArray[np.int64], members: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of *values* are in *members*, which are sorted: ten times as fast as numpy's isin, which sorts both."""
    if not members.size:
        return np.zeros(values.size, dtype=np.bool_)
    found: NDArray[np.bool_] = members[np.minimum(np.searchsorted(members, values), members.size - 1)] == values
    return found


def distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return *values* sorted, each once: forty times as fast as numpy's unique, which makes a hash table (from 2.3 on)."""
    ordered = np.sort(values)
    first = np.ones(ordered.size, dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


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
    starts, first = _split(before)
    tasks = int(np.count_nonzero(_are_tasks(before, starts, first)))
    return int(scan.index.seqs[number]) + starts.size, int(scan.index.tasks[number]) + tasks


def checksum(descriptor: int, start: int, end: int, value: int = 0) -> int:
    """Return the CRC-32 of the bytes from *start* to *end*, going on from *value*, that of the bytes before."""
    while start < end:
        part = os.pread(descriptor, min(CHUNK_BYTES, end - start), start)
        if not part:
            break
        value = zlib.crc32(part, value)
        start += len(part)
    return value


class Reader:
    """Reads records of a .tfin file that mostly lie near each other."""

    def __init__(self, descriptor: int, ahead: int = 0) -> None:
        """*ahead*: bytes to read at least, since the next records to be asked for will be among them."""
        self._descriptor = descriptor
        self._ahead = ahead
        self._start = 0
        self._span = b""

    def records(self, offsets: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
        """Return the records of these *lengths* at *offsets*, shorter where the file ends. Raises OSError."""
        ends = list(map(add, offsets, lengths))
        start, end = min(offsets), max(ends)
        if start < self._start or end > self._start + len(self._span):
            if end - start > _APART_BYTES + 2 * sum(lengths):
                pairs = zip(offsets, lengths, strict=True)
                return [os.pread(self._descriptor, length, offset) for offset, length in pairs]
            self._start, self._span = start, os.pread(self._descriptor, max(end - start, self._ahead), start)
        base, span = self._start, self._span
        return [span[at - base : to - base] for at, to in zip(offsets, ends, strict=True)]


def command_of(record: bytes) -> bytes:
    """Return the shell command of a record: without its mark, its newline, one carriage return, and a byte-order mark."""
    return record[len(_MARK) : -1].removesuffix(b"\r").removeprefix(BYTE_ORDER_MARK)


def is_record(record: bytes, length: int) -> bool:
    """Return whether this is one whole record of *length* bytes."""
    return len(record) == length and record.startswith(_MARK) and record.find(b"\n") == length - 1


def _split(chunk: bytes) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return where the records of *chunk* begin, and the first character of each line, which may be its newline."""
    characters = np.frombuffer(chunk, dtype=np.uint8)
    ends = np.flatnonzero(characters == _NEWLINE)
    starts = np.zeros(ends.size, dtype=np.int64)
    np.add(ends[:-1], 1, out=starts[1:])
    return starts, characters[starts + len(_MARK)]


def _are_tasks(chunk: bytes, starts: NDArray[np.int64], first: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which records are tasks: neither blank nor a comment."""
    is_task: NDArray[np.bool_] = first > _HASH  # nearly every command begins so
    unsure = np.flatnonzero(~is_task)
    marked = np.flatnonzero(first == BYTE_ORDER_MARK[0])
    places = starts[unsure] + len(_MARK)
    characters = np.frombuffer(chunk, dtype=np.uint8)
    for _ in range(_INDENT):  # a column at a time
        if not unsure.size:
            break
        column = characters[places]
        blank = (column == _SPACE) | (column == _TAB) | (column == _RETURN)
        is_task[unsure] = ~blank & (column != _NEWLINE) & (column != _HASH)
        unsure, places = unsure[blank], places[blank] + 1
    rest = chain(zip(unsure, places, strict=True), zip(marked, starts[marked] + len(_MARK), strict=True))
    for record, place in rest:
        line = chunk[place : chunk.index(b"\n", place)].removeprefix(BYTE_ORDER_MARK).strip(_BLANKS)
        is_task[record] = bool(line) and not line.startswith(b"#")
    return is_task


def _without(chunk: bytes, starts: NDArray[np.int64], dropped: NDArray[np.bool_]) -> bytes:
    """Return *chunk* without the records that are *dropped*."""
    edges = np.flatnonzero(np.diff(~dropped, prepend=False, append=False))  # of the runs of records that stay
    bounds = np.append(starts, len(chunk))[edges].tolist()
    return b"".join(chunk[begin:end] for begin, end in zip(bounds[::2], bounds[1::2], strict=True))


def _bounds(scan: Scan, number: int) -> tuple[int, int]:
    offsets = scan.index.offsets
    return int(offsets[number]), int(offsets[number + 1]) if number + 1 < offsets.size else scan.size


def _difference(old: BinaryIO | None, chunk: bytes) -> int | None:
    """Return where the next bytes of *old* differ from *chunk*, or at the end (b"") if there are more of them."""
    found = old.read(len(chunk) or 1) if old else b""
    if found == chunk and (old or chunk):
        return None
    shorter = min(len(found), len(chunk))
    differ = np.flatnonzero(np.frombuffer(found[:shorter], np.uint8) != np.frombuffer(chunk[:shorter], np.uint8))
    return int(differ[0]) if differ.size else shorter


def _copy(source: BinaryIO | None, target: BinaryIO, length: int) -> None:
    if source is None:
        return
    source.seek(0)
    while length:
        part = source.read(min(CHUNK_BYTES, length))
        target.write(part)
        length -= len(part)
