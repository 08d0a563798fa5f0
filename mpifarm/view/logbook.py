"""The log, read back: which attempts failed and what they said last, which were stopped with the farm, and what befell it.

The log is for people, so the rule is: what is not understood is passed over, and nothing that counts is taken from here but
what no other file has. That is the words for a failure (a time limit and a signal look alike in the joblog), its last line,
and whether an attempt failed at all: who was ended with the farm has a line in the joblog, and none of `failed` here. And
it is the memory of nodes, of the last start that tells of it.

A line begins with a time of day, of rank 0's clock; what is indented below is what the attempt has printed, its standard
error before its standard output. Without the lines `stderr:` and `stdout:` above each, the last line may be of either. An
attempt is known again in the joblog by its `Key`, which has no number of the task in it: a list that was edited numbers its
tasks anew.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from mpifarm import texts
from mpifarm.journal import tails

STAMP_BYTES = len("2026-11-22 12:00:01 ")
_STAMP = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
_FAILED = re.compile(
    rb"failed(?: for good)?: task \d+ \(.*?\), attempt (\d+), (\S+)-(\d+), ([a-zA-Z0-9 -]{1,40}), (\d+)\.(\d{3}) s: (.*)"
)
INDENT = b"    "
_LABELS = {b"    stderr:": True, b"    stdout:": False}  # and whether what follows counts

_MEMORY = re.compile(r"started: .*?, (?:at least )?(\d{1,12}) MiB a node(?:,|$)")  # see `placement`

Key = int


class Mark(Enum):
    """What befell the farm, of the kinds that a chart shows; the value is what people read."""

    STARTED = "start"
    KILLED = "ended without a word"
    LIMIT = "limit of the job"
    STOPPED = "stopped"
    LOST = "node lost"
    BACK = "node back"
    QUARANTINE = "quarantine"


# How the line of each begins, behind its time; the group is the node.
_MARKS = (
    (Mark.STARTED, re.compile(r"started: ")),
    (Mark.KILLED, re.compile(r"a farm ended here without a word")),
    (Mark.LIMIT, re.compile(r"the job ends in [^:]*: starting nothing more")),
    (Mark.STOPPED, re.compile(r"\S+: (?:stopping|draining)$|cannot (?:read|write) ")),
    (Mark.LOST, re.compile(r"worker \d+(?: on (\S+))? is lost")),
    (Mark.BACK, re.compile(r"worker \d+ on (\S+) is back")),
    (Mark.QUARANTINE, re.compile(r"node (\S+) is in quarantine")),
)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that befell the farm."""

    at: float  # Unix time, whole seconds
    mark: Mark
    node: str
    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What the log has of a failed attempt beside the joblog's line."""

    reason: str  # exit code 1, killed by SIGKILL, timed out, not started
    last: str  # line of its standard error, fit to be shown; empty if there is none


@dataclass(frozen=True, slots=True)
class Logbook:
    """What a log tells."""

    failures: dict[Key, Failure] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    exists: bool = True

    @property
    def node_kib(self) -> int:
        """Return how much memory a node gives to its tasks, the least where they differ; 0: the log does not tell."""
        told = (_MEMORY.match(event.text) for event in reversed(self.events) if event.mark is Mark.STARTED)
        return next((1024 * int(found[1]) for found in told if found), 0)


def key(node: str, slot: int, attempt: int, milliseconds: int, command: bytes) -> Key:
    """Return what an attempt is known by, in the log and in the joblog."""
    who = f"{node}-{slot} {attempt} {milliseconds} ".encode(errors="replace")
    return zlib.crc32(command, zlib.crc32(who)) << 32 | zlib.crc32(who + b"\0" + command)


def read(path: Path) -> Logbook:
    """Read a log, as far as it is understood. Raises OSError."""
    if not path.is_file():
        return Logbook(exists=False)
    book, kept = Logbook(), dict[tuple[str, str], Failure]()
    for head, last in _entries(path):
        failed = _FAILED.fullmatch(head)
        if failed:
            attempt, node, slot, reason, seconds, thousandths, command = failed.groups()
            milliseconds = int(seconds) * 1000 + int(thousandths)
            known = key(node.decode(errors="replace"), int(slot), int(attempt), milliseconds, command)
            words = reason.decode(), texts.shown(last, texts.LONGEST_LINE)
            book.failures[known] = kept.setdefault(words, Failure(*words))
    book.events.extend(_events(path))
    return book


def _entries(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield the first line of each entry, without its time, and the last line of standard error that stands under it."""
    head, last, counts = b"", b"", True
    for line in lines(path):
        if not line.startswith(INDENT):
            if head:
                yield head, last
            head = line[STAMP_BYTES:] if _STAMP.match(line) else b""
            last, counts = b"", True
        elif line in _LABELS:
            counts = _LABELS[line]
        elif counts:
            last = texts.later(last, line)
    if head:
        yield head, last


def lines(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of a log, without their newlines."""
    left = tails.whole_lines(path)
    with path.open("rb") as file:
        for line in file:
            left -= len(line)
            if left < 0:
                return
            yield line[:-1]


def _events(path: Path) -> Iterator[Event]:
    for line in lines(path):
        if line.startswith((INDENT, b"\0")) or not _STAMP.match(line) or line[STAMP_BYTES:].startswith(b"failed"):
            continue
        text = line[STAMP_BYTES:].decode(errors="replace")
        for mark, pattern in _MARKS:
            if found := pattern.match(text):
                at = _unix(line[: STAMP_BYTES - 1])
                if at is not None:
                    yield Event(at, mark, (found[1] or "") if pattern.groups else "", text)
                break


def _unix(stamp: bytes) -> float | None:
    try:
        return time.mktime(time.strptime(stamp.decode(), "%Y-%m-%d %H:%M:%S"))
    except (ValueError, OverflowError):
        return None
