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

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mpifarm import FarmError, files
from mpifarm.journal import tails
from mpifarm.journal.names import Names
from mpifarm.tasks import tfin
from mpifarm.tasks.numbering import lines_before
from mpifarm.view import account, attempts, original, standing, stdout
from mpifarm.view.attempts import Attempts
from mpifarm.view.standing import Numbers, Standing

HEADER = b"Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"

_OPTION = "--joblog"
_LINE = b"%d\t%b\t%.3f\t%.3f\t0\t%d\t%d\t%d\t%b\n"
_UNKNOWN = (b"-", 0.0, 0.0, 0, 0, 0)

Told = tuple[bytes, float, float, int, int, int]  # host, start, seconds, bytes printed, exit code, signal


@dataclass(frozen=True, slots=True)
class _Table:
    """What there is to tell of each task, by its place in the list."""

    last: Numbers  # attempt, -1: none
    tried: Attempts
    from_progress: dict[int, Told]  # by offset
    done: standing.Mask

    def told(self, place: int, offset: int) -> Told | None:
        """Return what is told of a task; None if it has not run."""
        attempt = int(self.last[place])
        if attempt < 0:
            return self.from_progress.get(offset, _UNKNOWN) if self.done[place] else None
        row = self.tried.rows[attempt]
        node = self.tried.nodes[int(row["node"])].encode(errors="surrogateescape")
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
        return stdout.put(_OPTION, _parts(names, found, lines, _table(names, found, tried)))
    except OSError as error:
        raise files.unreadable(error, tasklist, _OPTION) from None


def _table(names: Names, found: Standing, tried: Attempts) -> _Table:
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
    return _Table(last, tried, told, found.done)


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


def _parts(names: Names, found: Standing, lines: Numbers, table: _Table) -> Iterator[bytes]:
    yield HEADER
    place, at, size = 0, 0, tails.whole_lines(names.tfin)
    with names.tfin.open("rb") as file:
        while chunk := tfin.whole_records(file.fileno(), at, size):
            records, are_tasks = tfin.records_of(chunk, at, 1)
            made: list[bytes] = []
            for offset, length, _ in records[are_tasks].tolist():
                if place < found.offsets.size and found.offsets[place] == offset:
                    told = table.told(place, offset)
                    if told:
                        command = tfin.command_of(chunk[offset - at : offset - at + length])
                        made.append(_LINE % (int(lines[found.seqs[place] - 1]), *told, command))
                    place += 1
            if made:
                yield b"".join(made)
            at += len(chunk)
