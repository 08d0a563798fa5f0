"""In which line of the list a task stands, for a few of them, without numpy and without a look at every line.

The rule: comments are lines of the list and no records of its .tfin file, and where there are none a task's line is its
Seq. They are counted in blocks; only the blocks that hold a wanted task are taken apart.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from mpifarm.settings import Each

MOST_BYTES = 128 * 1024 * 1024  # of a list that is read for this

_BLOCK_BYTES = 1024 * 1024


def of(tasklist: Path, seqs: Collection[int], each: Each | None = None) -> dict[int, int]:
    """Return the line of the list, from 1, of each of *seqs* that is found; *each* says how it was made of arguments."""
    wanted = sorted(set(seqs))
    if each:  # only its header is no record
        return {seq: seq + int(each.header) for seq in wanted}
    found: dict[int, int] = {}
    with suppress(OSError):
        if not wanted or not tasklist.is_file() or tasklist.stat().st_size > MOST_BYTES:
            return found
        with tasklist.open("rb") as file:
            line = record = 0  # before the block
            while wanted and (block := file.read(_BLOCK_BYTES) + file.readline()):
                lines = block.count(b"\n") + (not block.endswith(b"\n"))
                comments = block.count(b"\n#") + block.startswith(b"#")
                while wanted and wanted[0] <= record + lines - comments:
                    seq = wanted.pop(0)
                    found[seq] = line + _place(block, seq - record)
                line, record = line + lines, record + lines - comments
    return found


def _place(block: bytes, record: int) -> int:
    """Return which line of *block*, from 1, is its *record*, from 1."""
    if b"#" not in block:
        return record
    at = 0
    for number, line in enumerate(block.split(b"\n"), start=1):
        at += not line.startswith(b"#")
        if at == record:
            return number
    return 0
