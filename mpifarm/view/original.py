"""The list itself, beside its .tfin file: which line of it each record was, and what was appended since it was dealt.

The rule: a number of a line is given only if all that was dealt stands in the list as it was. In a list that was edited it
would be that of another task. Nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpifarm import FarmError
from mpifarm.journal import tails
from mpifarm.settings import Each
from mpifarm.tasks import tfin
from mpifarm.tasks.tasklist import open_list

Lines = NDArray[np.int64]


@dataclass(slots=True)
class Original:
    """A list, as it stands there."""

    differs: str = ""  # why it is not the one that was dealt; then all else is empty
    lines: Lines = field(default_factory=lambda: np.empty(0, dtype=np.int64))  # of each record, by seq - 1
    appended: list[tuple[int, bytes]] = field(default_factory=list)  # tasks: line, record


def read(tasklist: Path, dealt: Path, each: Each | None = None) -> Original:
    """Read a list, or what *each* makes of one of arguments; hold it against the .tfin file *dealt*. Raises OSError."""
    try:
        return _read(tasklist, dealt, each)
    except FarmError as error:
        if not each:
            raise
        return Original(f"what {each.template} makes of {tasklist} cannot be told any more ({error})")


def _read(tasklist: Path, dealt: Path, each: Each | None) -> Original:
    if not (tasklist.is_file() or (each and each.elements)):
        return Original(f"{tasklist} is {'not a file' if tasklist.exists() else 'not there'} any more")
    lines: list[Lines] = [np.empty(0, dtype=np.int64)]
    appended: list[tuple[int, bytes]] = []
    size, at, seen = tails.whole_lines(dealt), 0, 0  # `seen`: records in the .tfin file

    def see(part: bytes, number: int, _tasks: int) -> None:
        lines.append(number + tfin.lines_with_records(part))

    with open_list(tasklist, each) as source, dealt.open("rb") as old:
        for chunk, records, _ in tfin.formatted(source, see):
            was = old.read(min(len(chunk), size - at))
            if not chunk.startswith(was) or not (chunk[: len(was)].endswith(b"\n") or not was):
                return Original(f"{tasklist} was edited since its last start")
            at += len(was)
            here = lines.pop()
            lines.append(here)
            if len(was) == len(chunk):
                seen += records
                continue
            new, are_tasks = tfin.records_of(chunk, 0, 1)
            old_records = was.count(b"\n")
            seen += old_records
            for (offset, length, seq), is_task in zip(new.tolist(), are_tasks.tolist(), strict=True):
                if seq > old_records and is_task:
                    appended.append((int(here[seq - 1]), chunk[offset : offset + length]))
    if at < size:
        return Original(f"{tasklist} was cut since its last start")
    return Original("", np.concatenate(lines)[:seen], appended)
