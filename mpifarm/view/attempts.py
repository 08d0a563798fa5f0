"""The joblog as columns: a million attempts in seconds, and in bytes that do not depend on their commands.

The rule: a line counts only if it can be one of ours, every number of it, and those that cannot are counted. The file may
be written to while it is read, torn at its end by a kill, zeroed by a crash, or have lines of another program in it. Its
first line must be ours, since 15 columns of somebody else's would be read as something that they are not.

A line is found by its newline and its first 14 tabs, for a chunk of lines at once, and each column then becomes numbers
as a whole (`journal.digits`). The command stays in the file: its place is kept. See `journal.lines`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpifarm import FarmError
from mpifarm.journal import tails
from mpifarm.journal.digits import LONGEST, Text
from mpifarm.journal.lines import JOBLOG_HEADER
from mpifarm.words import count

_CHUNK_BYTES = 512 * 1024
_FIELDS = JOBLOG_HEADER.count(b"\t")  # before the command
_LONGEST_HOST = 255  # bytes
_DECIMALS = 3
_TAB, _NEWLINE, _DOT, _MINUS = b"\t\n.-"

# name -> column of the joblog, digits behind the point
_COLUMNS = {
    "seq": (0, 0), "start": (2, _DECIMALS), "seconds": (3, _DECIMALS), "printed": (5, 0), "exit": (6, 0), "signal": (7, 0),
    "attempt": (8, 0), "slot": (9, 0), "rss_kib": (10, 0), "user_s": (11, _DECIMALS), "system_s": (12, _DECIMALS),
    "offset": (13, 0),
}  # fmt: skip

ATTEMPT = np.dtype(
    [
        ("seq", "<i8"),  # line of the .tfin file; 0: of a task that is no longer in the list
        ("offset", "<i8"),  # -1: the same
        ("start", "<f8"),  # Unix time, clock of the node
        ("seconds", "<f8"),
        ("user_s", "<f8"),
        ("system_s", "<f8"),
        ("rss_kib", "<i8"),
        ("printed", "<i8"),  # bytes of standard output
        ("command", "<i8"),  # position in the joblog
        ("node", "<i4"),  # which of the nodes
        ("slot", "<i4"),
        ("attempt", "<i4"),
        ("exit", "<i4"),
        ("signal", "<i4"),
    ]
)
Rows = NDArray[np.void]  # of dtype ATTEMPT
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts that a joblog tells of, in the order of their lines."""

    path: Path
    rows: Rows
    nodes: Sequence[str]  # names; `node` is a place in here
    bad: int = 0  # lines that are none of ours

    def commands(self, places: Sequence[int]) -> list[bytes]:
        """Return the commands of the rows at *places*, as the joblog has them."""
        found: list[bytes] = []
        if not places:
            return found
        with self.path.open("rb") as file:
            for place in places:
                file.seek(int(self.rows["command"][place]))
                found.append(file.readline().removesuffix(b"\n"))
        return found


def none(path: Path) -> Attempts:
    """Return what a joblog tells that is not there."""
    return Attempts(path, np.empty(0, ATTEMPT), [])


def read(path: Path) -> Attempts:
    """Read a joblog; nothing is changed. Raises FarmError if it is another program's, and OSError."""
    parts, nodes, bad = [np.empty(0, ATTEMPT)], dict[bytes, int](), 0
    for chunk, at in _chunks(path):
        rows, lines = _rows(chunk, at, nodes)
        parts.append(rows)
        bad += lines - rows.size
    rows = np.concatenate(parts)
    if bad and not rows.size:
        raise FarmError(f"{path}: {count(bad, 'line')}, and none is an attempt of mpifarm's: is it another program's?")
    return Attempts(path, rows, _names(nodes), bad)


def of_task(path: Path, seq: int) -> Attempts:
    """Read the attempts of the task *seq* alone, which takes a tenth of the time. Raises as `read` does."""
    parts, nodes = [np.empty(0, ATTEMPT)], dict[bytes, int]()
    mark = b"\n%d\t" % seq
    for chunk, at in _chunks(path):
        chunk = b"\n" + chunk  # noqa: PLW2901  so that a mark stands before its first line, too
        place = chunk.find(mark)
        while place >= 0:
            end = chunk.find(b"\n", place + 1) + 1 or len(chunk)
            parts.append(_rows(chunk[place + 1 : end], at + place, nodes)[0])
            place = chunk.find(mark, end - 1)
    return Attempts(path, np.concatenate(parts), _names(nodes))


def last(path: Path, end: int, most_bytes: int) -> Rows:
    """Return the attempts of the last *most_bytes* at most before position *end* of a joblog of ours. Raises OSError."""
    at = max(len(JOBLOG_HEADER), end - most_bytes)
    if at >= end:
        return np.empty(0, ATTEMPT)
    with path.open("rb") as file:
        file.seek(at - 1)
        chunk = file.read(1 + end - at)
    whole = chunk[chunk.find(b"\n") + 1 : chunk.rfind(b"\n") + 1]  # the newline before is of the line before
    return _rows(whole, at, {})[0]


def _chunks(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield the lines of a joblog behind its header, many at a time, and where they begin."""
    at, end = len(JOBLOG_HEADER), tails.whole_lines(path)
    with path.open("rb") as file:
        if end and file.readline() != JOBLOG_HEADER:
            raise FarmError(f"{path}:1: not the header of mpifarm's joblog: is the file another program's?")
        while at < end:
            chunk = file.read(min(_CHUNK_BYTES, end - at))
            if at + len(chunk) < end:
                chunk += file.readline()
            if not chunk:
                return
            yield chunk, at
            at += len(chunk)


def _rows(chunk: bytes, at: int, nodes: dict[bytes, int]) -> tuple[Rows, int]:
    """Return the attempts of the lines of *chunk*, which begins at position *at*, and how many lines there are.

    *nodes* is which name stands in which place, and takes what is new.
    """
    text = Text(chunk)
    begins, ends, lines = _fields(text.characters)
    rows = np.zeros(begins.shape[1], ATTEMPT)
    good = np.ones(rows.size, dtype=np.bool_)
    for name, (column, decimals) in _COLUMNS.items():
        values, right = _numbers(text, begins[column], ends[column], decimals)
        good &= right
        rows[name] = values / 10**decimals if decimals else values
    good &= (rows["exit"] >= 0) & (rows["exit"] < 2**16) & (rows["slot"] > 0) & (rows["seconds"] >= 0)
    good &= (rows["signal"] >= 0) & (rows["rss_kib"] >= 0) & (ends[1] - begins[1] <= _LONGEST_HOST)
    rows["command"] = at + ends[-1] + 1
    rows = rows[good]
    rows["node"] = _places(text.characters, begins[1, good], ends[1, good], nodes)
    return rows, lines


def _fields(characters: NDArray[np.uint8]) -> tuple[Numbers, Numbers, int]:
    """Return where the fields before a command begin and end, shape (_FIELDS, whole lines), and how many lines it has."""
    newlines, tabs = np.flatnonzero(characters == _NEWLINE), np.flatnonzero(characters == _TAB)
    starts = np.append(0, newlines + 1)[:-1]
    first = _FIELDS * np.arange(newlines.size)  # tabs before each line, if no command has one
    each = tabs.size == _FIELDS * newlines.size
    if each and (tabs[first] >= starts).all() and (tabs[first + _FIELDS - 1] < newlines).all():
        ends = np.ascontiguousarray(tabs.reshape(-1, _FIELDS).T)
    else:
        first = np.searchsorted(tabs, starts)
        whole = np.searchsorted(tabs, newlines) - first >= _FIELDS
        starts, first = starts[whole], first[whole]
        ends = tabs[first + np.arange(_FIELDS)[:, None]]
    return np.concatenate((starts[None], ends[:-1] + 1)), ends, newlines.size


def _numbers(text: Text, begins: Numbers, ends: Numbers, decimals: int) -> tuple[Numbers, Mask]:
    """Return the numbers that stand from *begins* to *ends*, in units of the last decimal, and which of them are any."""
    characters = text.characters
    negative = characters[np.minimum(begins, characters.size - 1)] == _MINUS
    begins = begins + negative
    if not decimals:
        digits, right = text.numbers(begins, ends)
    else:
        dots = ends - decimals - 1
        whole, right = text.numbers(begins, np.maximum(dots, begins))
        part, fits = text.numbers(dots + 1, ends)
        digits = whole * 10**decimals + part
        right &= fits & (characters[np.maximum(dots, 0)] == _DOT) & (ends - begins <= LONGEST)
    return np.where(negative, -digits, digits), right


def _names(nodes: Iterable[bytes]) -> list[str]:
    return [name.decode(errors="replace") for name in nodes]


def _places(characters: NDArray[np.uint8], begins: Numbers, ends: Numbers, nodes: dict[bytes, int]) -> NDArray[np.int32]:
    """Return which of *nodes* the names from *begins* to *ends* are."""
    lengths = ends - begins
    width = int(lengths.max(initial=1))
    columns = np.arange(width)
    names = characters[np.minimum(begins[:, None] + columns, characters.size - 1)]
    names = np.ascontiguousarray(np.where(columns < lengths[:, None], names, 0).astype(np.uint8))
    words, which = np.unique(names.view(f"S{width}").ravel(), return_inverse=True)
    places = [nodes.setdefault(bytes(word), len(nodes)) for word in words]
    return np.array(places, dtype=np.int32)[which]
