"""`--show`: one task, by its Seq or its line of the list: what it is, what became of it, and how to run it by hand.

The rule: what is shown is what the files say. What an attempt has printed stands in the log only if it has failed, or was
interrupted; whether a task is done is what the next start would find.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mpifarm import FarmError, files
from mpifarm.journal import tails
from mpifarm.journal.lines import in_one_line
from mpifarm.journal.names import Names
from mpifarm.launcher.frames import SHELL
from mpifarm.tasks import tfin
from mpifarm.view import attempts, logbook, original, printed, standing, stdout, units
from mpifarm.view.attempts import Attempts, Rows
from mpifarm.view.hand import Hand
from mpifarm.view.logbook import Key
from mpifarm.view.printed import Entry
from mpifarm.view.standing import Standing
from mpifarm.words import count

_OPTION = "--show"
_SEQ = re.compile(r"\d{1,18}", re.ASCII)
_LINE = re.compile(r"(.*):(\d{1,18})", re.ASCII | re.DOTALL)
_PLAIN = re.compile(rb"[\w@%+=:,./-]+")


@dataclass(frozen=True, slots=True)
class _Task:
    """The task that is shown."""

    seq: int
    offset: int
    place: str  # tasks.txt:28
    command: bytes
    done: bool


def write(which: str, tasklist: str) -> int:
    """Print the task *which* of *tasklist*; return the exit code. Raises FarmError."""
    path = Path(tasklist)
    names = standing.names_of(path)
    try:
        found = standing.read(path, names)
        task = _task(which, path, names, found)
        tried = attempts.of_task(names.joblog, task.seq) if names.joblog.is_file() else attempts.none(names.joblog)
        told = [line + b"\n" for line in _told(task, names, found, tried)]
        return stdout.put(_OPTION, told)
    except OSError as error:
        raise files.unreadable(error, tasklist, _OPTION) from None


# which task


def _task(which: str, path: Path, names: Names, found: Standing) -> _Task:
    there = original.read(path, names.tfin, found.each)
    line = _LINE.fullmatch(which)
    if _SEQ.fullmatch(which):
        seq = int(which)
    elif line and line[1] in ("", str(path), path.name):
        seq = _seq_of(int(line[2]), path, there)
    else:
        raise FarmError(
            f"{_OPTION} {which} is no task: write 25, its number in log and joblog, or :28, its line of the list"
        )
    offset, record = _record(seq, names.tfin)
    place = int(np.searchsorted(found.offsets, offset))
    if place == found.offsets.size or found.offsets[place] != offset:
        raise FarmError(f"{_OPTION} {which}: line {seq} of {names.tfin} is blank or a comment, and no task")
    where = str(path) if there.differs else f"{path}:{there.lines[seq - 1]}"
    return _Task(seq, offset, where, tfin.command_of(record), bool(found.done[place]))


def _seq_of(line: int, path: Path, there: original.Original) -> int:
    """Return the seq of the record that is a *line* of the list."""
    what = f"{_OPTION} :{line}"
    if there.differs:
        raise FarmError(f"{what}: {there.differs}, and that line may be of another task: give its number in log and joblog")
    if any(line == number for number, _ in there.appended):
        raise FarmError(f"{what}: it was appended since the last start of {path}: it was never run")
    seq = int(np.searchsorted(there.lines, line))
    if seq == there.lines.size or there.lines[seq] != line:
        raise FarmError(f"{what}: line {line} of {path} is a comment or not there: no task")
    return seq + 1


def _record(seq: int, dealt: Path) -> tuple[int, bytes]:
    """Return where the record *seq* begins, and the record. Raises FarmError if there is none."""
    at, before, size = 0, 0, tails.whole_lines(dealt)
    with dealt.open("rb") as file:
        while chunk := tfin.whole_records(file.fileno(), at, size):
            records, _ = tfin.records_of(chunk, at, before + 1)
            if seq <= before:
                break
            if seq <= before + records.size:
                offset, length, _ = records[seq - before - 1].tolist()
                return offset, chunk[offset - at : offset - at + length]
            at, before = at + len(chunk), before + records.size
    raise FarmError(f"{_OPTION} {seq}: {dealt} has {count(before, 'line')}, numbered from 1")


# what is told


def _told(task: _Task, names: Names, found: Standing, tried: Attempts) -> Iterator[bytes]:
    rows = tried.rows[(tried.rows["seq"] == task.seq) & (tried.rows["offset"] == task.offset)]
    line = in_one_line(task.command)
    keys = [_key(row, tried, line) for row in rows]
    entries = list(printed.entries(names.log, task.seq, line, set(keys)))
    by_key = {entry.key: entry for entry in entries if entry.key is not None}
    last = by_key.get(keys[-1]) if keys else None
    state = _state(
        task, found, bool(keys), last, any(entry.key is None and b" failed for good: " in entry.head for entry in entries)
    )
    yield f"task {task.seq} ({task.place}): {state}, {count(len(keys), 'attempt')}".encode(errors="surrogateescape")
    yield b"command: " + task.command
    for row, known in zip(rows, keys, strict=True):
        entry = by_key.get(known)
        yield _attempt(row, tried, entry, names.log.is_file())
        yield from entry.lines if entry else ()
    for entry in entries:
        if entry.key is None:
            yield b"log: " + entry.head
    yield b"by hand: " + _by_hand(task, found, rows, tried)


def _key(row: np.void, tried: Attempts, line: bytes) -> Key:
    milliseconds = int(np.rint(row["seconds"] * 1000))
    return logbook.key(tried.nodes[int(row["node"])], int(row["slot"]), int(row["attempt"]), milliseconds, line)


def _state(task: _Task, found: Standing, ran: bool, last: Entry | None, convicted: bool) -> str:
    if task.done:
        return "done"
    has_failed = convicted or (last is not None and last.how.startswith("failed"))
    state = "failed" if has_failed else "not done" if ran else "not run"
    return f"{state} so far (the farm is running)" if found.hand is Hand.RUNNING else state


def _attempt(row: np.void, tried: Attempts, entry: Entry | None, has_log: bool) -> bytes:
    """Return the line of an attempt."""
    code, number = int(row["exit"]), int(row["signal"])
    how = f"signal {number}" if number else f"exit code {code}"
    if not code and not number:
        how = "succeeded"
    elif entry:
        how = entry.reason or entry.how
    elif has_log:
        how = f"stopped with the farm ({how})"
    where = f"{tried.nodes[int(row['node'])]}-{int(row['slot'])}"
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(row["start"])))
    took, memory = f"{float(row['seconds']):.3f} s", units.memory(float(row["rss_kib"]))
    said = f"attempt {int(row['attempt'])} on {where}, {began}, {took}, {memory}: {how}"
    return said.encode(errors="surrogateescape")


def _by_hand(task: _Task, found: Standing, rows: Rows, tried: Attempts) -> bytes:
    """Return a line for a shell that runs the task as the farm would, as far as the files tell."""
    run = found.checkpoint.identity if found.checkpoint else None
    variables: dict[str, object] = {"SEQ": task.seq, "TASK": task.offset, "ATTEMPT": 1}
    if rows.size:
        last = rows[-1]
        variables |= {"ATTEMPT": last["attempt"], "SLOT": last["slot"], "NODE": tried.nodes[int(last["node"])]}
    words = [b"MPIFARM_%s=%s" % (name.encode(), _quoted(os.fsencode(str(value)))) for name, value in variables.items()]
    directory = _quoted(os.fsencode(run.directory if run else os.getcwd()))
    dashes = [b"--"] if task.command[:1] in (b"-", b"+") else []
    line = [
        *words,
        _quoted(os.fsencode(run.shell if run else SHELL)),
        b"-c",
        *dashes,
        _quoted(task.command),
        b"< /dev/null",
    ]
    return b"cd " + directory + b" && " + b" ".join(line)


def _quoted(word: bytes) -> bytes:
    """Return *word* as a shell takes it for one."""
    return word if _PLAIN.fullmatch(word) else b"'" + word.replace(b"'", b"'\\''") + b"'"
