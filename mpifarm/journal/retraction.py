"""What the log calls failed for good, and takes back when it succeeds after all.

The rule: whoever looks in the log for "failed for good" finds, further down, that it was not. The next run tries such a
task again, and so does this one if the failure was its node's:

    2026-11-22 12:00:01 failed for good: task 18 (offset 432), attempt 3, n1-2, exit code 3, 0.004 s: ./fit
    2026-11-23 08:30:00 succeeded: task 18 (offset 432), attempt 1, n2-1, had failed for good on 2026-11-22 12:00:01: ./fit

What earlier runs have said stands in the log alone, so it is read, if anything is left to run again; no file has to agree
with it, and a task that succeeds costs nothing as long as none has failed. Every run tries what is left, and says anew what
has failed, so the end of the log is enough. An entry counts for the task at its offset if that has its command: after a
change of the list another one may be there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mpifarm.journal.lines import Attempt, Attempts, in_one_line
from mpifarm.tasks.offsets import among
from mpifarm.tasks.reader import Reader
from mpifarm.tasks.scan import Scan
from mpifarm.tasks.tfin import Records, command_of

FAILED = "failed for good"
SUCCEEDED = "succeeded"

_LOOK_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_STAMP = len("2026-11-22 12:00:01 ")
_MARKS = tuple(f"{word}: task ".encode() for word in (FAILED, SUCCEEDED))
_HEADER = re.compile(
    rf"(\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d) ({FAILED}|{SUCCEEDED}): task \d+ \(offset (\d{{1,18}})\)".encode()
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
    reader = Reader(scan.descriptor)
    for chunk in _chunks(log):
        between()
        entries = [line for line in chunk.split(b"\n") if line.startswith(_MARKS, _STAMP)]
        found = [(line, match) for line in entries if (match := _HEADER.match(line))]  # what was printed is indented
        offsets = np.array([int(match[3]) for _, match in found], dtype=np.int64)
        for place in np.flatnonzero(among(offsets, again["offset"])):
            line, match = found[place]
            offset, length, _ = again[np.searchsorted(again["offset"], offsets[place])].tolist()
            (record,) = reader.records([offset], [length])
            if not line.endswith(b": " + in_one_line(command_of(record))):
                continue
            if match[2] == FAILED.encode():
                retractions.failed(offset, match[1].decode())
            else:
                retractions.succeeded(offset)
    return retractions


def _chunks(log: Path) -> Iterator[bytes]:
    """Yield whole lines of the end of *log*, many at a time."""
    with log.open("rb") as file:
        begin = file.seek(0, 2) - _LOOK_BYTES
        file.seek(max(begin, 0))
        if begin > 0:
            file.readline()
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk + file.readline()
