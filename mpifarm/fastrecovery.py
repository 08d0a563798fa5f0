"""The fastrecovery file: how far a list was dealt, and which tasks before that are not done.

    # max: 41 1035 list=8d3f0a77 progress=1083 output=0 joblog=4711 crc=0badc0de
    432
    983

says: of the records before byte 1035 (41 of them) all are done but those at 432 and 983. The words behind are ours, and
TaskFarmer ignores them: the CRC-32 of the .tfin file up to the offset; the bytes of progress and joblog that this file
stands for, and the sum of the progress lines' fourth fields; where there are any, suspects=432:1,983:3!, those of the tasks
left that may have taken a worker or a farm with them, how often, and who is convicted of it, see `suspects`; last, the
CRC-32 of this file without that word. A digit that has changed here would be a task that is never run, so a file that does
not fit its CRC-32 counts for nothing.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpifarm import FarmError
from mpifarm.suspects import Word

_HEADER = re.compile(
    rb"# max: (\d{1,18}) (\d{1,18})"
    rb"(?: list=([0-9a-f]{8}) progress=(\d{1,18}) output=(\d{1,18}) joblog=(\d{1,18})"
    rb"(?: suspects=((?:\d{1,18}:\d{1,9}!?,?)+))?( crc=[0-9a-f]{8}))?"
)
_OFFSET = re.compile(rb"\d{1,18}")


_ADVICE = "restore it, or remove the file, and progress alone will count"


@dataclass(frozen=True, slots=True)
class Covered:
    """Bytes of the other files that a checkpoint stands for."""

    progress: int = 0
    output: int = 0
    joblog: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a fastrecovery file says. The last two are None in TaskFarmer's."""

    offset: int
    left: NDArray[np.int64]  # sorted, unique
    list_crc: int | None = None
    covered: Covered | None = None
    suspects: list[Word] = field(default_factory=list)


def content(
    index: int, offset: int, list_crc: int, covered: Covered, left: Iterable[int], suspects: Sequence[Word] = ()
) -> bytes:
    """Return the file that says: of the *index* records before *offset* all are done but those at *left*."""
    first = b"# max: %d %d list=%08x progress=%d output=%d joblog=%d" % (
        index,
        offset,
        list_crc,
        covered.progress,
        covered.output,
        covered.joblog,
    )
    if suspects:
        first += b" suspects=" + b",".join(
            b"%d:%d%b" % (offset, deaths, b"!" * convicted) for offset, deaths, convicted in suspects
        )
    rest = b"\n" + b"".join(b"%d\n" % task for task in left)
    return first + _crc_word(first + rest) + rest


def read(path: Path) -> Checkpoint | None:
    """Read a fastrecovery file, ours or TaskFarmer's; None if there is none. Raises FarmError if it is neither."""
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return None
    first, *rest = whole.removesuffix(b"\n").split(b"\n")
    match = _HEADER.fullmatch(first)
    bad = [number for number, line in enumerate(rest, start=2) if not _OFFSET.fullmatch(line)]
    if not match or bad:
        raise FarmError(f"{path}:{bad[0] if match else 1}: not a line of a fastrecovery file: {_ADVICE}")
    if not whole.endswith(b"\n") or (match[8] and match[8] != _crc_word(whole.replace(match[8], b"", 1))):
        raise FarmError(f"{path} is damaged: {_ADVICE}")
    offset = int(match[2])
    left = np.unique(np.array([int(line) for line in rest], dtype=np.int64))
    left = left[left != offset]  # TaskFarmer may list the task that it would read next
    if not match[8]:
        return Checkpoint(offset, left)
    covered = Covered(int(match[4]), int(match[5]), int(match[6]))
    return Checkpoint(offset, left, int(match[3], 16), covered, _suspects(match[7] or b""))


def _suspects(word: bytes) -> list[Word]:
    pairs = (pair.split(b":") for pair in word.split(b",") if pair)
    return [(int(offset), int(deaths.rstrip(b"!")), deaths.endswith(b"!")) for offset, deaths in pairs]


def _crc_word(rest: bytes) -> bytes:
    return b" crc=%08x" % zlib.crc32(rest)
