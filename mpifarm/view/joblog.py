"""`--joblog`: exactly GNU Parallel's nine columns, a line for each task: its last attempt.

Why: our own joblog has a line for each attempt, six columns more before the command, and Seq is the line of the .tfin file.
GNU Parallel itself, and others who count columns, would take a number for the command. Here Seq is the line of the list,
which is what `parallel --resume --joblog j :::: tasks.txt` counts (no header of arguments), and the command stands as it is
in the list.

The rule: a line says Exitval 0, Signal 0 if the task is done as the farm knows it, and only then. One that is done, and of
which the joblog has no success (a run of TaskFarmer's, a line that was torn), is told by its line of progress. One that is
not done, although its last attempt has succeeded (`--again`, a line of progress that was lost), has not run yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpifarm import FarmError, files
from mpifarm.journal import table, tails
from mpifarm.journal.names import Names
from mpifarm.tasks import tfin
from mpifarm.tasks.numbering import lines_before
from mpifarm.tasks.quoting import BYTE_ORDER_MARK
from mpifarm.view import account, attempts, original, standing, stdout
from mpifarm.view.attempts import Attempts
from mpifarm.view.standing import Numbers, Standing

HEADER = b"Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"

_OPTION = "--joblog"
_LINE = b"%d\t%b\t%.3f\t%.3f\t0\t%d\t%d\t%d\t%b\n"
_UNKNOWN = (b"-", 0.0, 0.0, 0, 0, 0)

Told = tuple[bytes, float, float, int, int, int]  # host, start, seconds, bytes printed, exit code, signal


@dataclass(frozen=True, slots=True)
class _Tasks:
    """What there is to tell of each task, by its place in the list."""

    last: Numbers  # attempt, -1: none
    rows: attempts.Rows
    nodes: NDArray[np.bytes_]  # names
    from_progress: dict[int, Told]  # by offset
    done: standing.Mask

    def told(self, place: int, offset: int) -> Told:
        """Return what is told of a task that has run."""
        attempt = int(self.last[place])
        if attempt < 0:
            return self.from_progress.get(offset, _UNKNOWN)
        row = self.rows[attempt]
        node = bytes(self.nodes[int(row["node"])])
        return node, float(row["start"]), float(row["seconds"]), int(row["printed"]), int(row["exit"]), int(row["signal"])


def write(tasklist: str) -> int:
    """Print the table of *tasklist*; return the exit code. Raises FarmError."""
    path = Path(tasklist)
    names = standing.names_of(path)
    stdout.refuse_own(_OPTION, [path, *names.all()])
    try:
        found = standing.read(path, names)
        there = original.read(path, names.tfin, found.each)
        if there.differs:
            raise FarmError(f"{_OPTION}: {there.differs}: Seq would be the line of another task: restore the list")
        tried = attempts.read(names.joblog) if names.joblog.is_file() else attempts.none(names.joblog)
        lines = there.lines - (lines_before(found.each) if found.each else 0)
        return stdout.put(_OPTION, _parts(names, found, lines, _tasks(names, found, tried)))
    except OSError as error:
        raise files.unreadable(error, tasklist, _OPTION) from None


def _tasks(names: Names, found: Standing, tried: Attempts) -> _Tasks:
    place, known = account.tasks_of(found, tried)
    success = (tried.rows["exit"] == 0) & (tried.rows["signal"] == 0)
    counts = known
    if found.offsets.size:
        counts = known & (success == found.done[place])
    last = np.full(found.offsets.size, -1, dtype=np.int64)
    last[place[counts]] = np.flatnonzero(counts)  # of many, the last one stays
    told: dict[int, Told] = {}
    if (found.done & (last < 0)).any() and names.progress.is_file():
        told = _progress(names.progress)
    nodes = np.array([name.encode(errors="surrogateescape") for name in tried.nodes], dtype=np.bytes_)
    return _Tasks(last, tried.rows, nodes, told, found.done)


def _progress(path: Path) -> dict[int, Told]:
    """Return what progress tells of the tasks that are done, by offset: see `journal.progress`."""
    told: dict[int, Told] = {}
    with path.open("rb") as file:
        for line in file:
            try:
                offsets, who, seconds, out, end, _ = line.split()
                node, took = who.rpartition(b"-")[0] or who, float(seconds)
                numbers = [int(offset) for offset in offsets.split(b",")]
                told.update(dict.fromkeys(numbers, (node, max(0.0, int(end) - took), took, int(out), 0, 0)))
            except ValueError:  # damaged: what is done, and how, is not known from here
                continue
    return told


def _parts(names: Names, found: Standing, lines: Numbers, tasks: _Tasks) -> Iterator[bytes]:
    yield HEADER
    place, at, size = 0, 0, tails.whole_lines(names.tfin)
    with names.tfin.open("rb") as file:
        while chunk := tfin.whole_records(file.fileno(), at, size):
            records, are_tasks = tfin.records_of(chunk, at, 1)
            places = np.arange(place, min(place + int(np.count_nonzero(are_tasks)), found.offsets.size))
            here = records[are_tasks][: places.size]
            if not np.array_equal(here["offset"], found.offsets[places]):
                raise FarmError(f"{names.tfin} was replaced while it was read: ask again")
            ran = tasks.done[places] | (tasks.last[places] >= 0)
            numbers = lines[found.seqs[places[ran]] - 1]
            yield _lines(numbers, places[ran], here["offset"][ran], _commands(chunk, at, here[ran]), tasks)
            place, at = place + places.size, at + len(chunk)


def _commands(chunk: bytes, at: int, wanted: tfin.Records) -> list[bytes]:
    """Return the commands of the *wanted* records of *chunk*, which begins at offset *at*."""
    whole = int(wanted["length"].sum()) == len(chunk)
    if whole and b"\r" not in chunk and BYTE_ORDER_MARK not in chunk:  # at once, since that is faster
        return chunk[len(tfin.MARK) : -1].split(b"\n" + tfin.MARK)
    begins = wanted["offset"] - at
    ends = (begins + wanted["length"]).tolist()
    return [tfin.command_of(chunk[begin:end]) for begin, end in zip(begins.tolist(), ends, strict=True)]


def _lines(numbers: Numbers, places: Numbers, offsets: Numbers, commands: Sequence[bytes], tasks: _Tasks) -> bytes:
    """Return the lines of tasks that have run: many at once, if the joblog tells of all of them."""
    last = tasks.last[places]
    if last.size >= table.MANY and (last >= 0).all():
        with suppress(ValueError):  # a number that a table cannot show
            pieces = [b"\n"] * (3 * last.size)
            pieces[::3], pieces[1::3] = _heads(numbers, tasks.rows[last], tasks.nodes), commands
            return b"".join(pieces)
    told = zip(numbers.tolist(), places.tolist(), offsets.tolist(), commands, strict=True)
    return b"".join([_LINE % (number, *tasks.told(place, offset), command) for number, place, offset, command in told])


def _heads(numbers: Numbers, rows: attempts.Rows, names: NDArray[np.bytes_]) -> list[bytes]:
    """Return what stands before the commands."""
    columns = [table.integers(numbers), b"\t", table.words(names[rows["node"]]), b"\t", *table.thousandths(rows["start"])]
    columns += [b"\t", *table.thousandths(rows["seconds"]), b"\t0\t", table.integers(rows["printed"]), b"\t"]
    columns += [table.integers(rows["exit"]), b"\t", table.integers(rows["signal"]), b"\t\n"]
    return table.text(columns).split(b"\n")[:-1]
