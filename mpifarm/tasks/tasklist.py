"""The task list: `tasks.txt`, and the pass over it that leaves `tasks.txt.tfin` in the working directory.

The rule: neither file is ever in memory as a whole; both are walked in chunks of whole lines. A .tfin file of an earlier
run is compared while the list is read, and written anew only from the chunk on in which it differs. What it is: `tfin`.
Whose it is others know: they hand in a proof, which is asked before anything is touched, and while a long list is read.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mpifarm import FarmError, files
from mpifarm.files import Prove
from mpifarm.settings import Each
from mpifarm.tasks import tfin
from mpifarm.tasks.expanded import buffered
from mpifarm.tasks.expansion import Expansion
from mpifarm.tasks.numbering import Numbering
from mpifarm.tasks.ranges import Range, is_range
from mpifarm.tasks.rows import Lines
from mpifarm.tasks.scan import Index, Scan
from mpifarm.tasks.tfin import Watch

_COMMANDS = ("task list", "a file of shell commands, one a line")
_ARGUMENTS = ("list of arguments", "a file of them, one a line, or a range, 1-1000")
_END = (b"", 0, 0)  # behind the last chunk: what follows in the other file is a difference, too


def open_list(path: Path, each: Each | None = None) -> BinaryIO:
    """Open a task list, or what *each* makes of a list of arguments. Raises FarmError."""
    return buffered(expansion_of(path, each).chunks) if each else _open(path, *_COMMANDS)


def expansion_of(path: Path, each: Each) -> Expansion:
    """Return what *each* makes of a list of arguments. Raises FarmError."""
    if each.elements is not None:
        return Expansion(each, Range(each.elements))
    _open(path, *_ARGUMENTS).close()
    return Expansion(each, Lines(str(path)))


def _open(path: Path, what: str, give: str) -> BinaryIO:
    try:
        if path.is_dir():
            raise FarmError(f"{path} is a directory: give {give}")
        if path.exists() and not path.is_file():
            raise FarmError(f"{path} is not a regular file: a {what} is read more than once, copy it to a file")
        return path.open("rb")
    except FileNotFoundError:
        more = "; a range, in place of a file, is for --each TEMPLATE" if is_range(path.name) else ""
        raise FarmError(f"no {what} {path}: give {give}{more}") from None
    except OSError as error:
        raise FarmError(f"cannot read the {what} {path}: {error.strerror}") from None


class Tasklist:
    """A task list and its .tfin file in the working directory."""

    def __init__(self, path: Path, each: Each | None = None) -> None:
        self.path = path
        self.each = each
        self.tfin = Path(path.name + ".tfin")
        self._expansion = expansion_of(path, each) if each else None
        self._source = buffered(self._expansion.chunks) if self._expansion else open_list(path)
        self.numbering = Numbering(path, self._source, each)
        self._new = files.new_name(self.tfin)
        self._file: BinaryIO | None = None
        self.hash_at: int | None = None  # the first argument that begins with #: not known of commands

    def scan(self, prove: Prove, watch: Watch | None = None) -> Scan:
        """Read the list once; leave its .tfin form beside the one of an earlier run, if that differs, for `commit`.

        *watch* sees all of its lines, comments included, in chunks.
        Raises FarmError for a NUL byte, and OSError where nothing can be written, or by *prove*.
        """
        old = self.tfin.open("rb") if self.tfin.is_file() else None
        new: BinaryIO | None = None
        differs_at = None
        size, tasks, seq, carriage_returns = 0, 0, 1, False
        places = array("q")  # rows of Index
        self.discard(prove)  # what a killed scan has left
        self._source.seek(0)
        self.numbering.begin()

        def see(lines: bytes, number: int, tasks_before: int) -> None:
            self.numbering.see(lines, number, seq)
            if watch:
                watch(lines, number, tasks_before)

        for chunk, records, of_them in chain(tfin.formatted(self._source, see), [_END]):
            prove()
            self._refuse_nul(chunk, size)
            if new is None and (differs := _difference(old, chunk)) is not None:
                differs_at = size + differs
                new = files.create(self._new, prove)
                _copy(old, new, size, prove)
            if new is not None:
                new.write(chunk)
            if chunk:
                places.extend((size, seq, tasks))
                carriage_returns = carriage_returns or (b"\r" in chunk and b"\r\n" in chunk)
                tasks += of_them
                seq += records
                size += len(chunk)
        self.numbering.end(seq)
        self.hash_at = self._expansion.hash_at if self._expansion else None
        self._file = new or old
        assert self._file is not None
        self._file.flush()
        index = Index(*np.array(places, dtype=np.int64).reshape(-1, 3).T)
        old_size = os.fstat(old.fileno()).st_size if old else 0
        return Scan(self._file.fileno(), size, tasks, carriage_returns, differs_at, old is not None, old_size, index)

    def commit(self, prove: Prove) -> None:
        """Put the scanned .tfin file in its place, if it differs from what is there."""
        if self._new.exists():
            assert self._file is not None
            files.put_in_place(self._file.fileno(), self.tfin, prove)

    def discard(self, prove: Prove) -> None:
        """Leave nothing behind of a scan that was not committed."""
        files.remove(self._new, prove)

    def head(self, size: int) -> bytes:
        """Return the first *size* bytes of the list."""
        self._source.seek(0)
        return self._source.read(size)

    def ends(self, size: int) -> list[tuple[int, bytes]]:
        """Return the first and the last *size* bytes of the list, cut to whole lines, each with its place in the list."""
        length = self._source.seek(0, os.SEEK_END)
        if length <= 2 * size:
            return [(0, self.head(length))]
        self._source.seek(length - size)  # before the head: of what is made from the start on, this is at hand
        begun = len(self._source.readline())
        tail = self._source.read(size - begun) if begun < size else b""
        head = self.head(size)
        return [(0, head[: head.rfind(b"\n") + 1]), (length - size + begun, tail)]

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of the list, each with its newline."""
        self._source.seek(0)
        yield from self._source

    def number_at(self, place: int) -> int:
        """Return the number of the line, from 1, in which the byte at *place* of the list stands."""
        self._source.seek(0)
        newlines = 0
        while place > 0 and (part := self._source.read(min(tfin.CHUNK_BYTES, place))):
            newlines += part.count(b"\n")
            place -= len(part)
        return 1 + newlines

    def was_made_by(self, each: Each, between: Callable[[], object] = lambda: None) -> bool:
        """Return whether *each* makes the .tfin file that is there of the arguments as they are now; more may follow them.

        *between* is called between reads, which may take long. Raises OSError.
        """
        try:
            with self.tfin.open("rb") as old, open_list(self.path, each) as made:
                for chunk, _, _ in tfin.formatted(made):
                    between()
                    was = old.read(len(chunk))
                    if was != chunk:
                        return chunk.startswith(was)
                return not old.read(1)
        except FarmError:  # of what could be expanded then
            return False

    def line_at(self, offset: int) -> int:
        """Return the number of the line of the list, from 1, whose record holds byte *offset* of the .tfin file."""
        self._source.seek(0)
        at, number = 0, 0
        for number, line in enumerate(self._source, start=1):  # noqa: B007  the last one counts
            if line.startswith(b"#"):
                continue
            at += len(tfin.MARK) + len(line.removesuffix(b"\n")) + 1
            if offset < at:
                break
        return max(number, 1)

    def _refuse_nul(self, chunk: bytes, offset: int) -> None:
        at = chunk.find(b"\0")
        if at >= 0:
            line = self.line_at(offset + at)
            raise FarmError(f"{self.path}:{line}: a NUL byte: no command can hold one, take it out")


def _difference(old: BinaryIO | None, chunk: bytes) -> int | None:
    """Return where the next bytes of *old* differ from *chunk*, or at the end (b"") if there are more of them."""
    found = old.read(len(chunk) or 1) if old else b""
    if found == chunk and (old or chunk):
        return None
    shorter = min(len(found), len(chunk))
    differ = np.flatnonzero(np.frombuffer(found[:shorter], np.uint8) != np.frombuffer(chunk[:shorter], np.uint8))
    return int(differ[0]) if differ.size else shorter


def _copy(source: BinaryIO | None, target: BinaryIO, length: int, prove: Prove) -> None:
    if source is None:
        return
    source.seek(0)
    while length:
        part = source.read(min(tfin.CHUNK_BYTES, length))
        prove()
        target.write(part)
        length -= len(part)
