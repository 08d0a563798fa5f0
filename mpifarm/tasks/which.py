"""Tasks that their owner names: by their numbers in log and joblog, `3,17-20`, or by a file of lines of the list.

The rule: whatever is named is there, or the start is refused and says which is not. A number is the line of the .tfin file,
from 1. A range takes what tasks it holds. A line is a command as it stands in the list, and names every task that has it;
blank lines and comments name nothing.

Ranges stay ranges, and the list is read in chunks, of ranges only those that they are about: what is kept is what is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpifarm import FarmError
from mpifarm.tasks.quoting import BYTE_ORDER_MARK
from mpifarm.tasks.scan import Scan, chunk_at, position
from mpifarm.tasks.tfin import MARK, RECORD, Records, records_of
from mpifarm.texts import shown
from mpifarm.words import count

_NUMBERS = re.compile(r"[\d\s,-]*\d[\d\s,-]*", re.ASCII)
_WORD = re.compile(r"(\d{1,18})(?:\s*-\s*(\d{1,18}))?", re.ASCII)
_BETWEEN = b"\n" + MARK
_BLANKS = b" \t\r"
_SHOWN = 100  # characters of a line, in a message

Between = Callable[[], object]


@dataclass(frozen=True, slots=True)
class _Range:
    text: str  # as it was written
    first: int
    last: int


def select(
    which: str, option: str, tasklist: Path, scan: Scan, between: Between = lambda: None, of_arguments: bool = False
) -> Records:
    """Return the tasks that *which* names, sorted: RECORD, shape (tasks,).

    *option* is who says so, *between* is called between reads, which may take long; *of_arguments*: the list is. Raises
    FarmError if one of them is not there, or if *which* can be read in two ways, and OSError.
    """
    path = Path(which)
    numbers = _NUMBERS.fullmatch(which)
    if numbers and path.exists():
        raise FarmError(
            f"{option} {which} may be tasks by number, and there is a file of that name:"
            f" write {option} 0{which} for the numbers, {option} ./{which} for the file"
        )
    if numbers:
        return _by_number(_ranges(which, option), option, tasklist, scan, between)
    if of_arguments:
        raise FarmError(
            f"{option} {which}: its lines may be arguments, or the commands that --each makes of them: give the numbers of"
            " the tasks, as in log and joblog, such as 3,17-20"
        )
    return _by_line(path, _lines(path, option), tasklist, scan, between)


# by number


def _ranges(which: str, option: str) -> list[_Range]:
    ranges = []
    for word in map(str.strip, which.split(",")):
        match = _WORD.fullmatch(word)
        if not match:
            raise FarmError(f"{option} {which}: {word!r} is neither a number nor a range: write 3,17-20")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise FarmError(f"{option} {which}: {word} is the wrong way round: write {last}-{first}")
        if not first:
            raise FarmError(f"{option} {which}: there is no task 0: the first line is 1")
        ranges.append(_Range(word, first, last))
    return ranges


def _by_number(ranges: list[_Range], option: str, tasklist: Path, scan: Scan, between: Between) -> Records:
    end = position(scan, scan.size)
    records = end[0] - 1 if end else 0
    for one in ranges:
        if one.last > records:
            there = f"{tasklist.name}.tfin has {count(records, 'line')}, numbered from 1"
            raise FarmError(f"{option}: {one.text} is not in the list: {there}")
    firsts, lasts = _merged(ranges)
    found = [np.empty(0, dtype=RECORD)]
    for number in _chunks_of(scan, firsts, lasts):
        between()
        chunk, is_task = records_of(*chunk_at(scan, number))
        last = np.searchsorted(firsts, chunk["seq"], side="right") - 1
        found.append(chunk[is_task & (last >= 0) & (chunk["seq"] <= lasts[last])])
    named: Records = np.concatenate(found)
    for one in ranges:
        begin, end_of_it = np.searchsorted(named["seq"], (one.first, one.last + 1))
        if begin == end_of_it:
            what = "names no task: that line" if one.first == one.last else "names no task: each of these lines"
            raise FarmError(f"{option}: {one.text} {what} of {tasklist.name}.tfin is blank or a comment")
    return named


def _merged(ranges: list[_Range]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the last number of each range, sorted, without overlaps: int64, shape (<= len(ranges),)."""
    firsts: list[int] = []
    lasts: list[int] = []
    for one in sorted(ranges, key=lambda one: one.first):
        if lasts and one.first <= lasts[-1]:
            lasts[-1] = max(lasts[-1], one.last)
        else:
            firsts.append(one.first)
            lasts.append(one.last)
    return np.array(firsts, dtype=np.int64), np.array(lasts, dtype=np.int64)


def _chunks_of(scan: Scan, firsts: NDArray[np.int64], lasts: NDArray[np.int64]) -> Iterator[int]:
    """Yield the numbers of the chunks in which one of these ranges has a record."""
    begins = scan.index.seqs
    ends = np.append(begins[1:], np.iinfo(np.int64).max)
    last = np.searchsorted(firsts, ends, side="left") - 1  # the last range that begins before the chunk ends
    yield from np.flatnonzero((last >= 0) & (lasts[last] >= begins)).tolist()


# by line


def _lines(path: Path, option: str) -> dict[bytes, int]:
    """Return the commands in a file of lines, each with the number of its first line."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        what = "is neither a list of numbers, such as 3,17-20, nor a file"
        raise FarmError(f"{option} {path} {what}") from None
    except OSError as error:
        raise FarmError(f"{option} {path}: cannot read it: {error.strerror}") from None
    lines: dict[bytes, int] = {}
    for number, line in enumerate(map(_command, content.split(b"\n")), start=1):
        begun = line.lstrip(_BLANKS)
        if begun and not begun.startswith(b"#"):
            lines.setdefault(line, number)
    if not lines:
        raise FarmError(f"{option} {path}: no line of it is a command: nothing is named")
    return lines


def _by_line(path: Path, lines: dict[bytes, int], tasklist: Path, scan: Scan, between: Between) -> Records:
    found = [np.empty(0, dtype=RECORD)]
    missing = set(lines)
    for number in range(scan.index.offsets.size):
        between()
        content, offset, seq = chunk_at(scan, number)
        commands = content[len(MARK) : -1].split(_BETWEEN)
        if b"\r" in content or BYTE_ORDER_MARK in content:
            commands = list(map(_command, commands))
        if lines.keys().isdisjoint(commands):
            continue
        chunk, _ = records_of(content, offset, seq)
        found.append(chunk[[place for place, command in enumerate(commands) if command in lines]])
        missing.difference_update(commands)
    if missing:
        first = min(missing, key=lines.__getitem__)
        more = f" (nor are {len(missing) - 1} more of that file)" if len(missing) > 1 else ""
        raise FarmError(f"{path}:{lines[first]}: this line is not in {tasklist}{more}: {shown(first, _SHOWN)}")
    named: Records = np.concatenate(found)
    return named


def _command(line: bytes) -> bytes:
    """Return the command of a line, as of its record: see `tfin`."""
    return line.removesuffix(b"\r").removeprefix(BYTE_ORDER_MARK)
