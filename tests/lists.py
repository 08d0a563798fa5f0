"""Task lists for tests: lines that are hard to read, and a model of what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import strategies as st

from mpifarm.tasks import tfin
from mpifarm.tasks.scan import Scan
from mpifarm.tasks.tasklist import Tasklist

LIST = Path("tasks.txt")
TFIN = Path("tasks.txt.tfin")
LINES = (
    b"",
    b"#",
    b"# c",
    b" ",
    b"\t # c",
    b"\r",
    b"echo 1\r",
    b'"a b" c',
    b"  echo 2",
    b"!x",
    b"#\r",
    b"\xff\xfe",
    b"a#b",
    b" \t" * 20,  # further than is looked column by column
    b" \t" * 20 + b"# c",
    b" \t" * 20 + b"echo 3",
    b"\xef\xbb\xbfecho 4",
    b"\xef\xbb\xbf",
    b"\xef\xbb\xbf # c\r",
    b"\xef\xbc\xa1",  # begins like a byte-order mark
)
CONTENTS = st.lists(st.sampled_from(LINES) | st.binary(max_size=8).map(lambda line: line.replace(b"\0", b"0"))).map(
    b"\n".join
)
CHUNKS = st.integers(1, 64)


def at_will() -> None:
    """A proof, where nothing is anybody else's."""


def write(content: bytes) -> Tasklist:
    LIST.write_bytes(content)
    return Tasklist(LIST)


def scanned(content: bytes, chunk_bytes: int = tfin.CHUNK_BYTES) -> tuple[Tasklist, Scan]:
    """Scan and commit *content*."""
    made = write(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfin, "CHUNK_BYTES", chunk_bytes)
        scan = made.scan(at_will)
    made.commit(at_will)
    return made, scan


def lines_of(content: bytes) -> list[tuple[int, bytes]]:
    """The model: number and text of the lines that stay."""
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [(number, line) for number, line in enumerate(lines, start=1) if not line.startswith(b"#")]


def tfin_of(content: bytes) -> bytes:
    return b"".join(b"> " + line + b"\n" for _, line in lines_of(content))


def tasks_of(content: bytes) -> list[tuple[int, int, int]]:
    """The model: offset, length, seq of the tasks."""
    tasks, offset = [], 0
    for seq, (_, line) in enumerate(lines_of(content), start=1):
        command = line.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r")
        if command and not command.startswith(b"#"):
            tasks.append((offset, len(line) + 3, seq))
        offset += len(line) + 3
    return tasks


def longest(a: Sequence[object], b: Sequence[object]) -> int:
    """The model: the length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for one in a:
        above = row
        row = [0]
        for place, other in enumerate(b):
            row.append(above[place] + 1 if one == other else max(row[-1], above[place + 1]))
    return row[-1]
