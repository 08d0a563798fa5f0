"""The lines of progress and joblog, one by one and in bulk.

progress: one line for each task that succeeded, TaskFarmer's: offset, node-slot, seconds, bytes in --output, Unix time
of its end, bytes of its record.

    61 nid0001-1 0.004 0 1795344287 32

joblog: GNU Parallel's columns (--joblog), then ours; separated by tabs. Seq is the line of the .tfin file. When a list was
edited, Seq and Offset of what was there before are those that its task has now, or 0 and -1 if that is gone: `rewriting`.

    Seq Host Starttime JobRuntime Send Receive Exitval Signal Attempt Slot MaxRSS UserTime SystemTime Offset Command
    18 nid0001 1795344287.123 0.004 0 8 3 0 1 2 1824 0.001 0.002 432 echo task 17 >&2; exit 3

When hundreds of thousands of tasks end in a second, `%` takes longer than all the rest of the manager: 4 us for the two
lines of a task. So many lines are made at once: see `table`.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpifarm.ended import Ended
from mpifarm.journal import table

JOBLOG_HEADER = (
    b"Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal"
    b"\tAttempt\tSlot\tMaxRSS\tUserTime\tSystemTime\tOffset\tCommand\n"
)

_PROGRESS_LINE = "%d %s-%d %.3f %d %d %d\n"
_JOBLOG_LINE = "%d\t%s\t%.3f\t%.3f\t0\t%d\t%d\t%d\t%d\t%d\t%d\t%.3f\t%.3f\t%d\t"
_CONTROL = re.compile(rb"[\0-\x08\x0b-\x1f\x7f]")  # tabs may stay: the command is the last column
_NO_CONTROL = bytes(sorted(set(range(256)) - {*range(9), *range(11, 32), 127}))

Rows = NDArray[np.void]  # of dtype wire.ENDED
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that ended, as the files tell of it."""

    offset: int
    length: int  # bytes of the record
    seq: int
    attempt: int
    node: str
    slot: int
    status: int  # exit code, or minus the number of the signal
    flags: int  # Ended
    start: float  # Unix time, seconds
    seconds: float
    user_s: float
    system_s: float
    rss_kib: int
    left: int  # processes that it has left in the background
    out_total: int  # bytes of standard output
    command: bytes


@dataclass(frozen=True, slots=True)
class Attempts:
    """Attempts of one node that ended: columns of equal length."""

    node: str
    ended: Rows
    lengths: Sequence[int]  # bytes of the records
    seqs: Sequence[int]
    commands: Sequence[bytes]

    def one(self, place: int) -> Attempts:
        """Return the one at *place* alone."""
        here = slice(place, place + 1)
        return Attempts(self.node, self.ended[here], self.lengths[here], self.seqs[here], self.commands[here])

    def first(self) -> Attempt:
        """Return the first one."""
        row = self.ended[0]
        return Attempt(
            offset=int(row["offset"]), length=self.lengths[0], seq=self.seqs[0], attempt=int(row["attempt"]),
            node=self.node, slot=int(row["slot"]), status=int(row["status"]), flags=int(row["flags"]),
            start=float(row["start"]), seconds=float(row["seconds"]), user_s=float(row["user_s"]),
            system_s=float(row["system_s"]), rss_kib=int(row["rss_kib"]), left=int(row["left"]),
            out_total=int(row["out_total"]), command=self.commands[0],
        )  # fmt: skip


def joblog_line(attempt: Attempt) -> bytes:
    """Return the line of an attempt, however it has ended."""
    # A task that took TERM in good part says exit 0, but without a signal that stands for success here.
    terminated = not attempt.status and attempt.flags & (Ended.TIMED_OUT | Ended.INTERRUPTED)
    line = _JOBLOG_LINE % (
        attempt.seq,
        attempt.node,
        attempt.start,
        attempt.seconds,
        attempt.out_total,
        max(attempt.status, 0),
        signal.SIGTERM if terminated else max(-attempt.status, 0),
        attempt.attempt,
        attempt.slot,
        attempt.rss_kib,
        attempt.user_s,
        attempt.system_s,
        attempt.offset,
    )
    return line.encode() + in_one_line(attempt.command) + b"\n"


def rows_of(batches: Sequence[Attempts]) -> Rows:
    """Return the attempts of *batches* in one array."""
    parts = [batch.ended.tobytes() for batch in batches]  # np.concatenate looks at every field of every part
    return np.frombuffer(b"".join(parts), dtype=batches[0].ended.dtype)


def of_successes(batches: Sequence[Attempts], rows: Rows, added: Numbers) -> tuple[bytes, bytes]:
    """Return the lines of *batches*, whose attempts are *rows*, for progress and for the joblog.

    *added*: the bytes of each of them in --output, shape (all attempts,).
    """
    if rows.size < table.MANY:
        return _one_by_one(batches, rows, added)
    try:
        return _in_bulk(batches, rows, added)
    except ValueError:  # a number that a table cannot show: a clock that was set back, say
        return _one_by_one(batches, rows, added)


def in_one_line(command: bytes) -> bytes:
    """Return *command* with its control characters as \\x.. : none makes another line, or moves a cursor."""
    return _CONTROL.sub(lambda found: b"\\x%02x" % found[0][0], command)


def reason(attempt: Attempt) -> str:
    """Say for people why an attempt has failed."""
    if attempt.flags & Ended.TIMED_OUT:
        return "timed out"
    if attempt.flags & Ended.NOT_STARTED:
        return "not started"
    return how_ended(attempt.status, max(0, -attempt.status))


def how_ended(code: int, number: int) -> str:
    """Say for people how a process has ended: with exit code *code*, or by signal *number* unless that is 0."""
    if not number:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(number).name}"
    return f"killed by signal {number}"


def _one_by_one(batches: Sequence[Attempts], rows: Rows, added: Numbers) -> tuple[bytes, bytes]:
    progress: list[str] = []
    joblog: list[bytes] = []
    ends = zip(rows.tolist(), added.tolist(), strict=True)
    for batch in batches:
        node = batch.node
        for length, seq, command in zip(batch.lengths, batch.seqs, batch.commands, strict=True):
            row, out_bytes = next(ends)
            offset, attempt, slot, _, _, start, seconds, user_s, system_s, rss_kib, _, out_total, _, _ = row
            progress.append(_PROGRESS_LINE % (offset, node, slot, seconds, out_bytes, start + seconds, length))
            details = (attempt, slot, rss_kib, user_s, system_s, offset)
            line = _JOBLOG_LINE % (seq, node, start, seconds, out_total, 0, 0, *details)
            joblog += (line.encode(), in_one_line(command), b"\n")
    return "".join(progress).encode(), b"".join(joblog)


def _in_bulk(batches: Sequence[Attempts], rows: Rows, added: Numbers) -> tuple[bytes, bytes]:
    lengths = np.array([length for batch in batches for length in batch.lengths], dtype=np.int64)
    seqs = np.array([seq for batch in batches for seq in batch.seqs], dtype=np.int64)
    offset, slot = table.integers(rows["offset"]), table.integers(rows["slot"])
    seconds = table.thousandths(rows["seconds"])
    names = np.array([batch.node.encode() for batch in batches], dtype=np.bytes_)
    node = table.words(np.repeat(names, [batch.ended.size for batch in batches]))
    ends = (rows["start"] + rows["seconds"]).astype(np.int64)
    progress = [offset, b" ", node, b"-", slot, b" ", *seconds, b" ", table.integers(added), b" ", table.integers(ends)]
    progress += [b" ", table.integers(lengths), b"\n"]
    joblog = [table.integers(seqs), b"\t", node, b"\t", *table.thousandths(rows["start"]), b"\t", *seconds, b"\t0\t"]
    joblog += [table.integers(rows["out_total"]), b"\t0\t0\t", table.integers(rows["attempt"]), b"\t", slot, b"\t"]
    joblog += [
        table.integers(rows["rss_kib"]),
        b"\t",
        *table.thousandths(rows["user_s"]),
        b"\t",
        *table.thousandths(rows["system_s"]),
    ]
    joblog += [b"\t", offset, b"\t\n"]
    commands = [command for batch in batches for command in batch.commands]
    if b"".join(commands).translate(None, _NO_CONTROL):
        commands = [in_one_line(command) for command in commands]
    pieces: list[bytes] = [b"\n"] * (3 * len(commands))
    pieces[::3], pieces[1::3] = table.text(joblog).split(b"\n")[:-1], commands
    return table.text(progress), b"".join(pieces)
