"""What the log has of one task: its entries, and what its attempts have printed, as it stands there.

The rule: an entry is the task's if it ends with its command, and tells of one of its attempts (`logbook.key`), or has its
number. So a list that was edited, and numbers its tasks anew, gives the attempts of no other task, and neither does a
command that stands in two lines.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mpifarm.view import logbook
from mpifarm.view.logbook import Key

_ATTEMPT = re.compile(
    rb"(failed(?: for good)?|interrupted[^:]*): task \d+ \(.*?\), attempt (\d+), (\S+)-(\d+),"
    rb" (?:([a-zA-Z0-9 -]{1,40}), |had run )(\d+)\.(\d{3}) s: (.*)"
)


@dataclass(slots=True)
class Entry:
    """An entry of the log."""

    head: bytes  # with its time
    key: Key | None  # of the attempt that it tells of
    how: str = ""  # failed for good, interrupted by the end of the job
    reason: str = ""  # exit code 3
    lines: list[bytes] = field(default_factory=list)  # that stand below, indented


def entries(log: Path, seq: int, command: bytes, keys: Collection[Key]) -> Iterator[Entry]:
    """Yield what *log* has of the task *seq* with the *command*, as log and joblog show it, and attempts *keys*.

    Raises OSError.
    """
    if not log.is_file():
        return
    end, number = b": " + command, b"task %d (" % seq
    entry: Entry | None = None
    for line in logbook.lines(log):
        if line.startswith(logbook.INDENT):
            if entry:
                entry.lines.append(line)
            continue
        if entry:
            yield entry
        entry = _entry(line) if line.endswith(end) else None
        if entry and (entry.key not in keys if entry.key is not None else number not in line[: -len(end)]):
            entry = None
    if entry:
        yield entry


def _entry(line: bytes) -> Entry:
    found = _ATTEMPT.fullmatch(line[logbook.STAMP_BYTES :])
    if not found:
        return Entry(line, None)
    how, attempt, node, slot, reason, seconds, thousandths, command = found.groups()
    milliseconds = int(seconds) * 1000 + int(thousandths)
    known = logbook.key(node.decode(errors="replace"), int(slot), int(attempt), milliseconds, command)
    return Entry(line, known, how.decode(), (reason or b"").decode())
