"""What the log calls failed for good, and takes back when it succeeds after all.

The rule: whoever looks in the log for "failed for good" finds, further down, that it was not. The next run tries such a
task again, and so does this one if the failure was its node's:

    2026-11-22 12:00:01 failed for good: task 18 (tasks.txt:21), attempt 3, n1-2, exit code 3, 0.004 s: x
    2026-11-23 08:30:00 succeeded: task 18 (tasks.txt:21), attempt 1, n2-1, had failed for good on 2026-11-22 12:00:01: x

What earlier runs have said stands in the log alone, so it is read, if anything is left to run again; no file has to agree
with it, and a task that succeeds costs nothing as long as none has failed. Every run tries what is left, and says anew what
has failed, so the end of the log is enough. An entry is about the task of its number if that has its command. If another
command is there, the list was edited since: then it is about the one task left that has it, or about nothing. Entries of
earlier versions have the task's offset in place of the line: `task 18 (offset 432)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mpifarm.journal.lines import Attempt, Attempts, in_one_line
from mpifarm.tasks.offsets import among, distinct
from mpifarm.tasks.reader import Reader
from mpifarm.tasks.scan import Scan, offsets_of, records_at
from mpifarm.tasks.tfin import Records, command_of

FAILED = "failed for good"
SUCCEEDED = "succeeded"

_COMMAND = re.compile(rb"(?:, \d+\.\d{3} s| on [-\d]{10} [:\d]{8}): (.*)")

_MOST_MOVED = 10_000  # tasks left, beyond which it is not asked whether they have moved
_LOOK_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_STAMP = len("2026-11-22 12:00:01 ")
_MARKS = tuple(f"{word}: task ".encode() for word in (FAILED, SUCCEEDED))
_HEADER = re.compile(
    rf"(\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d) ({FAILED}|{SUCCEEDED}): task (\d{{1,18}}) \((?:offset (\d{{1,18}})\))?".encode()
)


class Retractions:
    """The tasks that have failed for good, and when, until they succeed."""

    def __init__(self) -> None:
        self._failed: dict[int, str] = {}  # local time, by offset

    def failed(self, offset: int, when: str) -> None:
        """The log says that this task has failed for good."""
        self._failed[offset] = when

    def succeeded(self, offset: int) -> None:
        """The log takes it back."""
        self._failed.pop(offset, None)

    def take(self, batch: Attempts) -> Iterator[tuple[Attempt, str]]:
        """Yield the attempts of *batch*, all of them successes, whose tasks had failed for good, and when."""
        if not self._failed:
            return
        for place, offset in enumerate(batch.ended["offset"].tolist()):
            when = self._failed.pop(offset, None)
            if when:
                yield batch.one(place).first(), when


def read(log: Path, again: Records, scan: Scan, between: Callable[[], object] = lambda: None) -> Retractions:
    """Return which of the tasks *again*, sorted by offset, have failed for good by what the end of *log* says.

    *between* is called between reads, which may take long. Raises OSError.
    """
    retractions = Retractions()
    if not again.size or not log.is_file():
        return retractions
    left = _Left(again, scan)
    for chunk in _chunks(log):
        between()
        entries = [line for line in chunk.split(b"\n") if line.startswith(_MARKS, _STAMP)]
        found = [(line, match) for line in entries if (match := _HEADER.match(line))]  # what was printed is indented
        for (_, match), offset in zip(found, left.told_of(found), strict=True):
            if offset is None:
                continue
            if match[2] == FAILED.encode():
                retractions.failed(offset, match[1].decode())
            else:
                retractions.succeeded(offset)
    return retractions


class _Left:
    """The tasks that are left, as entries of the log may tell of them."""

    def __init__(self, again: Records, scan: Scan) -> None:
        self._again = again
        self._scan = scan
        self._reader = Reader(scan.descriptor)
        self._by_command: dict[bytes, list[int]] | None = None

    def told_of(self, entries: list[tuple[bytes, re.Match[bytes]]]) -> list[int | None]:
        """Return the offset of the task that each of *entries* is about, None if it is not left."""
        seqs = np.array([0 if match[4] else int(match[3]) for _, match in entries], dtype=np.int64)
        numbered = distinct(seqs)
        by_number = offsets_of(self._scan, numbered)[np.searchsorted(numbered, seqs)]
        offsets = np.array([int(match[4] or -1) for _, match in entries], dtype=np.int64)
        offsets = np.where(seqs > 0, by_number, offsets)
        there = distinct(offsets)
        records = records_at(self._scan, there)[0][np.searchsorted(there, offsets)]
        is_left = among(offsets, self._again["offset"]).tolist()
        told: list[int | None] = []
        for (line, _), (offset, length, _), left in zip(entries, records.tolist(), is_left, strict=True):
            if length and line.endswith(b": " + self._command(offset, length)):
                told.append(offset if left else None)
            else:
                told.append(self._moved(line))
        return told

    def _moved(self, line: bytes) -> int | None:
        command = _COMMAND.search(line)
        if command is None or self._again.size > _MOST_MOVED:
            return None
        if self._by_command is None:
            self._by_command = {}
            for offset, length, _ in self._again.tolist():
                self._by_command.setdefault(self._command(offset, length), []).append(offset)
        places = self._by_command.get(command[1], [])
        return places[0] if len(places) == 1 else None

    def _command(self, offset: int, length: int) -> bytes:
        (record,) = self._reader.records([offset], [length])
        return in_one_line(command_of(record))


def _chunks(log: Path) -> Iterator[bytes]:
    """Yield whole lines of the end of *log*, many at a time."""
    with log.open("rb") as file:
        begin = file.seek(0, 2) - _LOOK_BYTES
        file.seek(max(begin, 0))
        if begin > 0:
            file.readline()
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk + file.readline()
