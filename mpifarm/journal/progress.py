"""The lines of a progress file, and which of them can be believed.

What a line says is held against what else is known. It is bad if it cannot be read, if no record of that length begins
there, or if the joblog contradicts it: both files have the same successes, so one that only progress knows beside one that
only the joblog knows is a digit that has changed. (The joblog alone may lack the last ones, since it is written behind;
after the crash of a node, either. Its own lines are held against the list, by Seq and Offset.) Only what the last
checkpoint does not cover is looked at.

A bad line is skipped, and its task runs again. With --output its block is there all the same, and nobody knows how long it
is; so what follows a bad line is cut, and runs again.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpifarm import FarmError
from mpifarm.journal import tails
from mpifarm.journal.digits import Text
from mpifarm.journal.fastrecovery import Covered
from mpifarm.journal.tails import Extent
from mpifarm.tasks.offsets import among, distinct
from mpifarm.tasks.scan import Scan, records_at
from mpifarm.tasks.tfin import Records
from mpifarm.words import count

_CHUNK_BYTES = 256 * 1024  # a line takes ten times its bytes while it is looked at
LINE = re.compile(rb"(\d{1,18}(?:,\d{1,18})*) \S+ \d+(?:\.\d+)? (\d{1,18}) \d+ (\d{1,18}(?:,\d{1,18})*)\n")
# Of the joblog: Seq, Receive and Offset, where Exitval and Signal are 0.
_SUCCESS = re.compile(rb"^(\d{1,18})\t(?:[^\t\n]*\t){4}(\d{1,18})\t0\t0\t(?:[^\t\n]*\t){5}(\d{1,18})\t.*", re.MULTILINE)
_FIELDS = 6
_DECIMALS = 3
_NEWLINE, _SPACE, _DOT = b"\n ."
_UNREADABLE = -1

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]
Between = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Progress:
    """What counts of a progress file beyond a checkpoint."""

    done: Records  # sorted by offset
    end: int  # position behind the last line that counts
    output_bytes: int  # of --output up to there
    dealt_to: int = 0  # position in the list behind the last task that has a line
    bad: int = 0  # lines that do not count because of damage
    fits: bool = True  # most lines are about records of the list


@dataclass(frozen=True, slots=True)
class _Lines:
    """What the lines say: int64, shape (tasks,). A batch of TaskFarmer has a row for each task."""

    offsets: Numbers  # or _UNREADABLE
    lengths: Numbers  # of the records, as the line says
    outputs: Numbers  # bytes in --output
    ends: Numbers  # position behind the line


def read(
    path: Path, joblog: Path, covered: Covered | None, scan: Scan, output: Extent | None, between: Between = lambda: None
) -> Progress:
    """Read *path* beyond what a checkpoint has *covered*; None if there is none of ours.

    *output* is what there is of the file given as --output, or None without one. *between* is called between reads, which
    may take long. Raises FarmError if the output is not theirs.
    """
    start = covered or Covered()
    if output and output.size < start.output:
        raise _other_output(output.size, start.output)
    lines = _lines(path, start.progress, between)
    readable = lines.offsets != _UNREADABLE
    found, is_task = records_at(scan, distinct(lines.offsets[readable]))
    known = found["length"] > 0
    good = among(lines.offsets, found["offset"][known])
    if covered:
        good[good] = lines.lengths[good] == found["length"][np.searchsorted(found["offset"], lines.offsets[good])]
        good &= ~_contradicted(lines, good, _successes(joblog, covered.joblog, scan, between), output, start.output)
    damaged = ~good
    stop = _stop(lines, good, start.output, output)
    bad = int(np.count_nonzero(damaged[:stop])) + (good.size - stop if damaged[stop : stop + 1].any() else 0)
    good[stop:] = False
    last = stop if covered is None else int(np.flatnonzero(good).max(initial=-1)) + 1  # what is bad at the end is cut, too
    done = np.zeros(found.size, dtype=np.bool_)
    done[np.searchsorted(found["offset"], lines.offsets[good])] = True
    behind = found["offset"] + np.maximum(found["length"], 1)
    return Progress(
        done=found[is_task & done],
        end=int(lines.ends[last - 1]) if last else start.progress,
        output_bytes=start.output + int(lines.outputs[good].sum()),
        dealt_to=int(behind.max(initial=0)),
        bad=bad,
        fits=2 * int(np.count_nonzero(known)) >= known.size,
    )


def _lines(path: Path, begin: int, between: Between = lambda: None) -> _Lines:
    """Read the whole lines from position *begin* on."""
    end = tails.whole_lines(path)
    if begin > end:
        raise FarmError(f"{path} is shorter than fastrecovery says: restore it, or delete it to start over")
    tables = [np.empty((4, 0), dtype=np.int64)]
    for chunk, at in chunks(path, begin, end):
        between()
        tables.append(_table(chunk, at))
    return _Lines(*np.concatenate(tables, axis=1))


def chunks(path: Path, begin: int, end: int, size: int = _CHUNK_BYTES) -> Iterator[tuple[bytes, int]]:
    """Yield the lines from position *begin* to *end*, about *size* bytes at a time, and where they begin."""
    with path.open("rb") as file:
        file.seek(begin)
        while begin < end:
            chunk = file.read(min(size, end - begin))
            if begin + len(chunk) < end:
                chunk += file.readline()
            if not chunk:
                break
            yield chunk, begin
            begin += len(chunk)


def _table(chunk: bytes, at: int) -> Numbers:
    """Return what the lines of *chunk*, which begins at position *at*, say: int64, shape (4, tasks), as in _Lines."""
    plain = _plain(chunk, at)  # all of them, so nearly always
    if plain is not None:
        return plain
    columns = [array("q") for _ in range(4)]
    for line in chunk.splitlines(keepends=True):
        at += len(line)
        _take_line(columns, line, at)
    return np.array(columns, dtype=np.int64)


def _plain(chunk: bytes, at: int) -> Numbers | None:
    """Return what `_table` does if each line is of one task, and of six fields without anything odd; else None."""
    text = Text(chunk)
    ends, blanks = np.flatnonzero(text.characters == _NEWLINE), np.flatnonzero(text.characters == _SPACE)
    below = np.count_nonzero(text.characters <= _SPACE)
    if blanks.size != (_FIELDS - 1) * ends.size or below != blanks.size + ends.size:
        return None
    edges = np.column_stack((np.append(-1, ends[:-1]), blanks.reshape(-1, _FIELDS - 1), ends))  # of fields
    if not (np.diff(edges, axis=1) > 1).all():
        return None
    dots = edges[:, 3] - _DECIMALS - 1
    dots = np.where(text.characters[dots] == _DOT, dots, edges[:, 3])  # TaskFarmer's are whole seconds
    (offsets, lengths, outputs), right = zip(
        *(text.numbers(edges[:, field] + 1, edges[:, field + 1]) for field in (0, 5, 3)), strict=True
    )
    rest = (
        text.numbers(edges[:, 2] + 1, dots)[1],
        text.numbers(edges[:, 4] + 1, edges[:, 5])[1],
        text.numbers(dots + 1, edges[:, 3])[1] | (dots == edges[:, 3]),
    )
    return np.stack((offsets, lengths, outputs, at + 1 + ends)) if np.all((*right, *rest)) else None


def _numbers(words: list[tuple[bytes, bytes, bytes]]) -> Numbers:
    """Return what *words* say: int64, shape (len(words), 3)."""
    return np.fromiter(map(int, chain.from_iterable(words)), np.int64, 3 * len(words)).reshape(-1, 3)


def _take_line(columns: list[array[int]], line: bytes, end: int) -> None:
    offsets, lengths, outputs, ends = columns
    match = LINE.fullmatch(line)
    tasks = match[1].split(b",") if match else [b"%d" % _UNREADABLE]
    offsets.extend(map(int, tasks))
    lengths.extend([int(match[3]) if match and match[3].isdigit() else 0] * len(tasks))
    outputs.extend([int(match[2]) if match else 0, *[0] * (len(tasks) - 1)])
    ends.extend([end] * len(tasks))


def _successes(path: Path, begin: int, scan: Scan, between: Between) -> tuple[Numbers, Numbers]:
    """Return the tasks that have succeeded, as the joblog tells from position *begin* on, and the bytes they printed."""
    tables = [np.empty((0, 3), dtype=np.int64)]
    if path.is_file():
        for chunk, _ in chunks(path, begin, path.stat().st_size):
            between()
            tables.append(_numbers(_SUCCESS.findall(chunk)))
    seqs, printed, offsets = np.concatenate(tables).T
    offsets, first = np.unique(offsets, return_index=True)
    seqs, printed = seqs[first], printed[first]
    found, _ = records_at(scan, offsets)
    true = (found["length"] > 0) & (found["seq"] == seqs)
    return offsets[true], printed[true]


def _contradicted(
    lines: _Lines, good: Mask, successes: tuple[Numbers, Numbers], output: Extent | None, output_start: int
) -> Mask:
    """Return which lines the joblog contradicts."""
    offsets, printed = successes
    in_joblog = among(lines.offsets, offsets)
    only_in_joblog = ~among(offsets, distinct(lines.offsets[good]))
    contradicted: Mask = good & ~in_joblog if only_in_joblog.any() else np.zeros(good.size, dtype=np.bool_)
    if output and (lines.outputs.any() or output.sound > output_start):  # the run that wrote these lines had --output
        said = np.zeros_like(lines.outputs)
        said[in_joblog] = printed[np.searchsorted(offsets, lines.offsets[in_joblog])]
        contradicted |= in_joblog & (lines.outputs != said)
        _, inverse, counts = np.unique(lines.offsets, return_inverse=True, return_counts=True)
        contradicted |= (counts > 1)[inverse]
    return contradicted


def _stop(lines: _Lines, good: Mask, output_start: int, output: Extent | None) -> int:
    """Return how many lines count at most: those whose blocks --output holds, up to the first that is bad."""
    if not output:
        return good.size
    reached = output_start + np.cumsum(lines.outputs * good)
    missing = good & (lines.outputs > 0) & (reached > output.sound)
    if not output.exists and missing.any():
        raise _other_output(0, int(reached[missing][0]))
    stops = np.flatnonzero(missing | (~good if output.size else np.zeros_like(good)))
    return int(stops[0]) if stops.size else good.size


def _other_output(size: int, wanted: int) -> FarmError:
    return FarmError(
        f"--output has {count(size, 'byte')}, but the tasks that are done wrote {wanted} or more:"
        " give the file of the earlier runs, or --rerun"
    )
