"""What has changed in an edited list, as the person sees it who has edited it.

Why: a list is edited between two runs, and who is told that "a line has changed" has to know which one, and what it was.
The numbers are those of the list that stands in the editor now; what is gone has its Seq, the number of a task in log and
joblog.

The rule: it takes no more memory however long the list is, and however much of it has changed. Between two runs of records
that stay in order stand those that are gone, or have moved, and the lines that are new. A few of these are held against
each other: one in a comment was commented out, those alike have changed. Of more the numbers are told.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from typing import AnyStr

import numpy as np

from mpifarm.tasks import tfin
from mpifarm.tasks.kept import Kept, Numbers
from mpifarm.tasks.tasklist import Tasklist

ONE_BY_ONE = 1024  # lines between two runs that are held against each other
MOST_BYTES = 1024 * 1024  # of all lines that are

_LINE_BYTES = 100  # that a line takes here besides
_PAIRS = 64 * 64  # whose likeness is looked at
_PAUSE_LINES = 64 * 1024
_BLANKS = b" \t\r"
_COMMENT = _BLANKS + b"#"


class What(Enum):
    """What has become of a line."""

    COMMENTED = "commented out"
    CHANGED = "changed"
    GONE = "gone"
    NEW = "new"
    MOVED = "moved"
    NO_TASK_GONE = "blank or a comment, and gone"  # only where it is a record: see `tfin`
    NO_TASK_NEW = "blank or a comment, and new"


@dataclass(frozen=True, slots=True)
class Change:
    """What has become of a line, or of several."""

    what: What
    first: int  # a line of the list; of what is gone, a seq
    last: int
    count: int = 1
    old: bytes = b""  # the command
    new: bytes = b""


@dataclass(slots=True)
class _Gap:
    """What stands between two runs of records that are kept."""

    old_at: int  # bytes of the old .tfin file
    old_to: int
    old_seq: int
    records: int
    gone: int  # of these; the others have moved
    new_seq: int
    next_seq: float  # of the record that is kept again
    new: int = 0  # records
    first_line: int = 0  # of these
    last_line: int = 0
    lines: list[tuple[int, bytes]] = field(default_factory=list)  # comments, too; a few
    commands: list[tuple[int, bytes]] = field(default_factory=list)  # what is gone, by seq; a few

    @property
    def is_small(self) -> bool:
        """Whether its lines can be held against each other."""
        return max(len(self.lines), self.records) <= ONE_BY_ONE and self.old_to - self.old_at <= MOST_BYTES

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return sum(_LINE_BYTES + len(text) for _, text in chain(self.lines, self.commands))


def find(
    tasklist: Tasklist, old: int, old_size: int, kept: Kept, between: Callable[[], object] = lambda: None
) -> Iterator[Change]:
    """Yield what has changed.

    *old*: descriptor of the old .tfin file; *kept*: what of it stands in *tasklist*. *between* is called now and then.
    Raises OSError.
    """
    small: list[_Gap] = []
    room = MOST_BYTES
    moved = kept.elsewhere()
    for gap in _read(tasklist, _gaps(kept, old, old_size, between), _Seqs(moved.new_seq, moved.count), between):
        if isinstance(gap, Change):
            yield gap
            continue
        if gap.is_small:
            gap.commands = _commands(old, gap, moved)
        if gap.is_small and gap.size <= room:
            room -= gap.size
            small.append(gap)
        else:
            yield from _as_a_whole(gap)
    for gap in small:
        yield from _compare(gap)


def _gaps(kept: Kept, old: int, old_size: int, between: Callable[[], object]) -> Iterator[_Gap]:
    at, seq, new_seq = 0, 1, 1
    elsewhere, stays = kept.elsewhere(), kept.in_order()
    moved = _Seqs(elsewhere.old_seq, elsewhere.count)
    columns = (stays.old, stays.length, stays.old_seq, stays.new_seq, stays.count)
    for old_at, length, old_seq, kept_seq, count in zip(*columns, strict=True):
        if old_at > at or kept_seq > new_seq:
            records = int(old_seq) - seq
            gone = records - moved.among(seq, int(old_seq))
            yield _Gap(at, int(old_at), seq, records, gone, new_seq, int(kept_seq))
        at, seq, new_seq = int(old_at + length), int(old_seq + count), int(kept_seq + count)
    gone, place = 0, at
    while place < old_size and (part := os.pread(old, min(tfin.CHUNK_BYTES, old_size - place), place)):
        between()
        gone += part.count(b"\n")
        place += len(part)
    yield _Gap(at, old_size, seq, gone, gone - moved.among(seq, seq + gone), new_seq, float("inf"))


class _Seqs:
    """Ranges of seqs that have moved."""

    def __init__(self, first: Numbers, count: Numbers) -> None:
        order = np.argsort(first)
        self._first = first[order]
        self._behind = self._first + count[order]
        self._before = np.cumsum(count[order])

    def among(self, first: int, behind: int) -> int:
        """Return how many there are from *first* on and before *behind*, which is at no range's middle."""
        start, end = np.searchsorted(self._first, (first, behind))
        return int(self._before[end - 1]) - int(self._before[start - 1] if start else 0) if end > start else 0

    def holds(self, seq: int) -> bool:
        """Return whether *seq* is one of them."""
        at = int(np.searchsorted(self._first, seq, side="right")) - 1 if self._first.size else -1
        return at >= 0 and seq < self._behind[at]


def _read(tasklist: Tasklist, gaps: Iterator[_Gap], moved: _Seqs, between: Callable[[], object]) -> Iterator[_Gap | Change]:
    """Yield *gaps* with their lines, and before each what has moved there."""
    gap = next(gaps, None)
    seq = 1
    for number, line in enumerate(tasklist.lines(), start=1):
        if number % _PAUSE_LINES == 0:
            between()
        is_record = not line.startswith(b"#")
        if gap and is_record and seq == gap.next_seq:
            yield gap
            gap = next(gaps, None)
        if gap and seq >= gap.new_seq and is_record and moved.holds(seq):
            yield Change(What.MOVED, number, number)
        elif gap and seq >= gap.new_seq:
            if len(gap.lines) <= ONE_BY_ONE:
                gap.lines.append((number, line.removesuffix(b"\n")))
            if is_record:
                gap.first_line = gap.first_line or number
                gap.last_line = number
                gap.new += 1
        seq += is_record
    yield from chain([gap] if gap else [], gaps)


def _commands(old: int, gap: _Gap, kept: Kept) -> list[tuple[int, bytes]]:
    """Return what is gone."""
    records = os.pread(old, gap.old_to - gap.old_at, gap.old_at).split(b"\n")[: gap.records]
    gone = kept.moved_seqs(np.arange(gap.old_seq, gap.old_seq + gap.records)) < 0
    numbered = zip(range(gap.old_seq, gap.old_seq + gap.records), records, gone.tolist(), strict=True)
    return [(seq, record.removeprefix(tfin.MARK)) for seq, record, is_gone in numbered if is_gone]


def _as_a_whole(gap: _Gap) -> Iterator[Change]:
    if gap.gone and gap.gone == gap.new:
        yield Change(What.CHANGED, gap.first_line, gap.last_line, gap.new)
        return
    if gap.gone:
        yield Change(What.GONE, gap.old_seq, gap.old_seq + gap.records - 1, gap.gone)
    if gap.new:
        yield Change(What.NEW, gap.first_line, gap.last_line, gap.new)


def _compare(gap: _Gap) -> Iterator[Change]:
    """Hold against each other what is gone and what is new."""
    comments = [(number, text.strip(_COMMENT)) for number, text in gap.lines if text.strip(_BLANKS).startswith(b"#")]
    bare = [comment for _, comment in comments]
    old: list[tuple[int, bytes]] = []
    looked, hidden = 0, set()
    for seq, text in gap.commands:
        command = _command(text)
        if command and command.strip(_COMMENT) in bare[looked:]:
            place = bare.index(command.strip(_COMMENT), looked)
            yield Change(What.COMMENTED, comments[place][0], comments[place][0], old=text)
            looked = place + 1
            hidden.add(comments[place][0])
        elif command:
            old.append((seq, text))
    new = [(number, text) for number, text in gap.lines if _command(text)]
    pairs = _alike([_command(text) for _, text in old], [_command(text) for _, text in new])
    for i, j in pairs:
        yield Change(What.CHANGED, new[j][0], new[j][0], old=old[i][1], new=new[j][1])
    for i in sorted({*range(len(old))} - {i for i, _ in pairs}):
        yield Change(What.GONE, old[i][0], old[i][0], old=old[i][1])
    for j in sorted({*range(len(new))} - {j for _, j in pairs}):
        yield Change(What.NEW, new[j][0], new[j][0], new=new[j][1])
    yield from (Change(What.NO_TASK_GONE, seq, seq) for seq, text in gap.commands if not _command(text))
    for number, text in gap.lines:
        if not _command(text) and not text.startswith(b"#") and number not in hidden:
            yield Change(What.NO_TASK_NEW, number, number)


def _command(text: bytes) -> bytes:
    """Return the command of a line, nothing if it is no task."""
    command = tfin.command_of(tfin.MARK + text + b"\n").strip(_BLANKS)
    return b"" if command.startswith(b"#") else command


def _alike(old: Sequence[bytes], new: Sequence[bytes]) -> list[tuple[int, int]]:
    """Return which are paired, in order: one by one if there are as many, else those that are most alike."""
    if len(old) == len(new):
        return list(zip(range(len(old)), range(len(new)), strict=True))
    if len(old) * len(new) > _PAIRS:
        return []
    best: list[list[tuple[float, list[tuple[int, int]]]]] = [[(0.0, [])] * (len(new) + 1)]
    for i, one in enumerate(old):
        row: list[tuple[float, list[tuple[int, int]]]] = [(0.0, [])]
        for j, other in enumerate(new):
            score, pairs = best[-1][j]
            likeness = _likeness(one, other)
            paired = (score + likeness, [*pairs, (i, j)]) if likeness >= 0.5 else (0.0, [])
            row.append(max(best[-1][j + 1], row[-1], paired, key=lambda entry: entry[0]))
        best.append(row)
    return best[-1][-1][1]


def _likeness(one: bytes, other: bytes) -> float:
    """Return how much of the longer one both have at their ends, 0 to 1; neither is empty."""
    shorter, longer = sorted((len(one), len(other)))
    head = common_head(one, other)
    if head == shorter:  # a line that was torn off, or went on
        return 1.0
    return min(shorter, head + common_head(one[::-1], other[::-1])) / longer


def common_head(one: AnyStr, other: AnyStr) -> int:
    """Return how many characters both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low
