"""The fastrecovery file: how far a list was dealt, and which tasks before that are not done.

    # max: 41 1035 list=8d3f0a77 progress=1083 output=0 joblog=47 tail=00000000 from=... in=... out=- shell=... crc=0badc0de
    432
    983

says: of the records before byte 1035 (41 of them) all are done but those at 432 and 983. The words behind are ours, and
TaskFarmer ignores them:

    list                  the CRC-32 of the .tfin file up to the offset
    progress, joblog      bytes of these files that this one stands for
    output                the sum of those progress lines' fourth fields: bytes of the file given as --output
    tail                  the CRC-32 of the last 64 KiB of these, or of what there is
    from, in, out, shell  what the run was told: see `identity`
    each, colsep, header, range  of a list of arguments: how they become commands
    suspects              432:1,983:3!: tasks left that may have taken a worker or a farm with them, how often, and who is
                          convicted of it; see `suspects`
    crc                   the last one: the CRC-32 of this file without this word

A digit that has changed here would be a task that is never run, so a file that does not fit its CRC-32 counts for nothing.
A word that is not known is a newer version's, and may change what all the others mean.

The done file is `done` on a line of its own, and then what fastrecovery would say: so a finished list knows what it was,
and goes on from there when it has grown. TaskFarmer's has the four bytes alone.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpifarm import FarmError
from mpifarm.journal import identity
from mpifarm.journal.identity import Identity
from mpifarm.schedule.suspects import Word

_HEADER = re.compile(rb"# max: (\d{1,18}) (\d{1,18})((?: [a-z]+=[!-~]*)*)")
_OFFSET = re.compile(rb"\d{1,18}")
_CRC = re.compile(r"[0-9a-f]{8}")
_COUNT = re.compile(r"\d{1,18}")
_SUSPECTS = re.compile(r"(?:\d{1,18}:\d{1,9}!?,?)+")
_DONE = b"done\n"

# Each word, and what its value looks like; those of the second kind came later.
_FIRST = {"list": _CRC, "progress": _COUNT, "output": _COUNT, "joblog": _COUNT, "crc": _CRC}
_TOLD = dict.fromkeys((*identity.WORDS, *identity.EACH_WORDS), re.compile(r".*"))
_LATER = {"tail": _CRC, **_TOLD, "suspects": _SUSPECTS}

_ADVICE = "restore it, or remove the file, and progress alone will count"


@dataclass(frozen=True, slots=True)
class Covered:
    """Bytes of the other files that a checkpoint stands for."""

    progress: int = 0
    output: int = 0
    joblog: int = 0
    tail: int | None = None  # CRC-32 of the end of those of --output


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a fastrecovery file says. All but the first two are None in TaskFarmer's."""

    offset: int
    left: NDArray[np.int64]  # sorted, unique
    list_crc: int | None = None
    covered: Covered | None = None
    identity: Identity | None = None
    suspects: list[Word] = field(default_factory=list)


def content(
    index: int,
    offset: int,
    list_crc: int,
    covered: Covered,
    left: Iterable[int],
    run: Identity | None = None,
    suspects: Sequence[Word] = (),
) -> bytes:
    """Return the file that says: of the *index* records before *offset* all are done but those at *left*."""
    words = {
        "list": f"{list_crc:08x}",
        "progress": f"{covered.progress}",
        "output": f"{covered.output}",
        "joblog": f"{covered.joblog}",
    }
    if covered.tail is not None:
        words["tail"] = f"{covered.tail:08x}"
    if run:
        words |= run.words()
    if suspects:
        words["suspects"] = ",".join(f"{task}:{deaths}{'!' * convicted}" for task, deaths, convicted in suspects)
    first = b"# max: %d %d" % (index, offset) + "".join(f" {name}={value}" for name, value in words.items()).encode()
    rest = b"\n" + b"".join(b"%d\n" % task for task in left)
    return first + _crc_word(first + rest) + rest


def done_content(whole: bytes) -> bytes:
    """Return the done file of a list whose fastrecovery file would be *whole*."""
    return _DONE + whole


def remembered(path: Path) -> bytes:
    """Return what fastrecovery would say, as a done file remembers it; nothing if it does not."""
    try:
        return path.read_bytes().partition(b"\n")[2]
    except FileNotFoundError:
        return b""


def read(path: Path) -> Checkpoint | None:
    """Read a fastrecovery file, ours or TaskFarmer's; None if there is none. Raises FarmError if it is neither."""
    try:
        return _parse(path, path.read_bytes())
    except FileNotFoundError:
        return None


def read_done(path: Path) -> Checkpoint | None:
    """Read what a done file remembers; None if there is nothing that can be believed: that it exists says enough."""
    whole = remembered(path)
    try:
        return _parse(path, whole) if whole else None
    except FarmError:
        return None


def _parse(path: Path, whole: bytes) -> Checkpoint:
    first, *rest = whole.removesuffix(b"\n").split(b"\n")
    match = _HEADER.fullmatch(first)
    bad = [number for number, line in enumerate(rest, start=2) if not _OFFSET.fullmatch(line)]
    words = _words(match[3]) if match else {}
    if not match or bad or (words and not words.keys() >= _FIRST.keys()):
        raise FarmError(f"{path}:{bad[0] if match and bad else 1}: not a line of a fastrecovery file: {_ADVICE}")
    if not whole.endswith(b"\n") or (words and not _fits(whole, words)):
        raise FarmError(f"{path} is damaged: {_ADVICE}")
    unknown = words.keys() - _FIRST.keys() - _LATER.keys()
    if unknown:
        raise FarmError(f"{path}:1: a newer mpifarm wrote {min(unknown)}=: go on with that one, or give --rerun")
    offset = int(match[2])
    left = np.unique(np.array([int(line) for line in rest], dtype=np.int64))
    left = left[left != offset]  # TaskFarmer may list the task that it would read next
    if not words:
        return Checkpoint(offset, left)
    tail = int(words["tail"], 16) if "tail" in words else None
    covered = Covered(int(words["progress"]), int(words["output"]), int(words["joblog"]), tail)
    suspects = _suspects(words.get("suspects", ""))
    return Checkpoint(offset, left, int(words["list"], 16), covered, identity.of_words(words), suspects)


def _words(text: bytes) -> dict[str, str]:
    return dict(word.split("=", 1) for word in text.decode().split())


def _suspects(word: str) -> list[Word]:
    pairs = (pair.split(":") for pair in word.split(",") if pair)
    return [(int(offset), int(deaths.rstrip("!")), deaths.endswith("!")) for offset, deaths in pairs]


def _fits(whole: bytes, words: Mapping[str, str]) -> bool:
    """Return whether a file with *words* is what was written."""
    known = _FIRST | _LATER
    if not all(known[name].fullmatch(value) for name, value in words.items() if name in known):
        return False
    crc = f" crc={words['crc']}".encode()
    return crc == _crc_word(whole.replace(crc, b"", 1))


def _crc_word(rest: bytes) -> bytes:
    return b" crc=%08x" % zlib.crc32(rest)
