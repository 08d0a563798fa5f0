"""What earlier runs have left to do: fastrecovery and progress, read.

Truth on restart: done = what the first line of fastrecovery covers, minus its list, plus the progress lines after it.

    # max: 41 1035 list=8d3f0a77 progress=1083 output=0
    432
    983

says: of the records before byte 1035 (41 of them) all are done but those at 432 and 983. The words behind are ours, and
TaskFarmer ignores them: the CRC-32 of the .tfin file up to the offset, the bytes of progress that this file stands for,
and the sum of their fourth fields. So a restart reads only the progress lines beyond.

Edge cases make all this a bit tricky:
1. Fastrecovery stands for progress, but there is no progress file: the user has deleted it to start over. So we do.
2. TaskFarmer's fastrecovery has no words: its progress file is read from the start. Without one, fastrecovery counts
   alone, as with TaskFarmer.
3. No fastrecovery: the run was killed in its first seconds, or TaskFarmer has removed it in the end. Progress counts.
4. A torn or zero-filled tail of progress is cut, and a bad line in its middle is skipped: its task runs again.
5. The list may grow at its end. If a byte before the last task that was dealt has changed, offsets mean other commands.
6. After the crash of a node --output may be shorter than progress says, or end in zeros that nobody wrote. Of the lines
   beyond the checkpoint, which was synced, those without their block are cut, and run again. But if there is no such
   file, it is another one than before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpifarm import FarmError, files
from mpifarm.files import Extent
from mpifarm.tasklist import RECORD, Records, Scan, Tasklist, checksum, position, records_at

_CHUNK_BYTES = 8 * 1024 * 1024
_LINE = re.compile(rb"(\d{1,18}(?:,\d{1,18})*) \S+ \d+(?:\.\d+)? (\d{1,18}) \d+ [\d,]+\n")
_HEADER = re.compile(rb"# max: (\d+) (\d{1,18})((?: list=[0-9a-f]+| \w+=\d{1,18})*)")
_OFFSET = re.compile(rb"\d{1,18}")
_NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a fastrecovery file says. The last three are None in TaskFarmer's."""

    offset: int
    left: NDArray[np.int64]
    list_crc: int | None = None
    progress_bytes: int | None = None
    output_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """Where to go on."""

    offset: int = 0  # the dealing offset
    seq: int = 1  # of the record there
    list_crc: int = 0  # of the .tfin file up to there
    again: Records = field(default_factory=lambda: np.empty(0, dtype=RECORD))  # before it, and not done
    done: NDArray[np.int64] = field(default_factory=lambda: _NONE)  # offsets beyond it that are done, sorted
    done_count: int = 0
    progress_bytes: int = 0  # what is whole and true of the progress file
    output_bytes: int = 0  # what it says was written to --output
    skipped: int = 0  # bad lines in it
    stood_for: tuple[int, int] = (0, 0)  # bytes of progress and of --output that the checkpoint before stood for


@dataclass(slots=True)
class _Progress:
    """The lines of a progress file, from a position on."""

    end: int  # position behind the last line that counts
    output_bytes: int
    offsets: list[int] = field(default_factory=list)
    skipped: int = 0


def load(tasklist: Tasklist, scan: Scan, fastrecovery: Path, progress: Path, output: Extent | None) -> Resume:
    """Return where to go on. Changes nothing.

    *output* is what there is of the file given as --output, or None without one. Raises FarmError if the files do not
    fit the list or each other.
    """
    checkpoint = read_checkpoint(fastrecovery)
    has_progress = progress.is_file()
    if checkpoint and checkpoint.progress_bytes is not None and not has_progress:
        return Resume()
    start = checkpoint or Checkpoint(0, _NONE)
    lines = _read_progress(progress, start, output) if has_progress else _Progress(0, 0)
    list_crc = checksum(scan.descriptor, 0, start.offset)
    done, misfits, behind_done = _found(scan, lines)
    _refuse_changes(tasklist, scan, start, behind_done, list_crc)
    if misfits * 2 > len(set(lines.offsets)):
        raise FarmError(f"{progress} does not fit the task list: give the list of the earlier run, or --rerun")
    at = position(scan, start.offset)
    records, is_task = records_at(scan, start.left)
    if at is None or not records["length"].all() or (start.left >= start.offset).any():
        raise FarmError(f"{fastrecovery} does not fit {tasklist.path}: restore one of them, or give --rerun")
    seq, tasks_before = at
    again = records[is_task & ~np.isin(records["offset"], done["offset"])]
    ahead = done["offset"][done["offset"] >= start.offset]
    return Resume(
        offset=start.offset,
        seq=seq,
        list_crc=list_crc,
        again=again,
        done=ahead,
        done_count=tasks_before - again.size + ahead.size,
        progress_bytes=lines.end,
        output_bytes=lines.output_bytes,
        skipped=lines.skipped + misfits,
        stood_for=(start.progress_bytes or 0, start.output_bytes or 0),
    )


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Read a fastrecovery file, ours or TaskFarmer's. Raises FarmError if it is neither."""
    try:
        first, *rest = path.read_bytes().removesuffix(b"\n").split(b"\n")
    except FileNotFoundError:
        return None
    match = _HEADER.fullmatch(first)
    bad = [number for number, line in enumerate(rest, start=2) if not _OFFSET.fullmatch(line)]
    if not match or bad:
        raise FarmError(
            f"{path}:{bad[0] if match else 1}: not a line of a fastrecovery file:"
            " restore it, or remove the file, and progress alone will count"
        )
    words = dict(word.split("=", 1) for word in match[3].decode().split())
    offset = int(match[2])
    left = np.unique(np.array([int(line) for line in rest], dtype=np.int64))
    left = left[left != offset]  # TaskFarmer may list the task that it would read next
    crc = int(words["list"], 16) if "list" in words else None
    return Checkpoint(offset, left, crc, _int(words, "progress"), _int(words, "output"))


def header(index: int, offset: int, list_crc: int, progress_bytes: int, output_bytes: int) -> bytes:
    """Return the first line of a fastrecovery file."""
    return b"# max: %d %d list=%08x progress=%d output=%d\n" % (index, offset, list_crc, progress_bytes, output_bytes)


def _int(words: dict[str, str], name: str) -> int | None:
    return int(words[name]) if name in words else None


def _read_progress(path: Path, start: Checkpoint, output: Extent | None) -> _Progress:
    """Read the lines beyond what *start* stands for, as far as they are whole and --output holds their blocks."""
    end = files.whole_lines(path)
    begin = start.progress_bytes or 0
    if begin > end:
        raise FarmError(f"{path} is shorter than fastrecovery says: restore it, or delete it to start over")
    lines = _Progress(begin, start.output_bytes or 0)
    if output and output.size < lines.output_bytes:
        raise _other_output(output.size, lines.output_bytes)
    with path.open("rb") as file:
        file.seek(begin)
        while lines.end < end:
            chunk = file.read(min(_CHUNK_BYTES, end - lines.end))
            if lines.end + len(chunk) < end:
                chunk += file.readline()
            for line in chunk.splitlines(keepends=True):
                if not _take_line(lines, line, output):
                    if output and not output.exists:
                        raise _other_output(0, lines.output_bytes + 1)
                    return lines
    return lines


def _other_output(size: int, wanted: int) -> FarmError:
    return FarmError(
        f"--output has {size} bytes, but the tasks that are done wrote {wanted} or more:"
        " give the file of the earlier runs, or --rerun"
    )


def _take_line(lines: _Progress, line: bytes, output: Extent | None) -> bool:
    match = _LINE.fullmatch(line)
    if match:
        output_bytes = lines.output_bytes + int(match[2])
        if output and output_bytes > lines.output_bytes and output_bytes > output.sound:
            return False
        lines.output_bytes = output_bytes
        lines.offsets += map(int, match[1].split(b","))  # TaskFarmer joins a batch by commas
    else:
        lines.skipped += 1
    lines.end += len(line)
    return True


def _found(scan: Scan, lines: _Progress) -> tuple[Records, int, int]:
    """Return the records of the tasks that *lines* call done, how many are none, and how far the list was dealt."""
    offsets = np.unique(np.array(lines.offsets, dtype=np.int64))
    records, is_task = records_at(scan, offsets)
    behind = int((records["offset"] + np.maximum(records["length"], 1)).max(initial=0))
    return records[is_task], int(np.count_nonzero(records["length"] == 0)), behind


def _refuse_changes(tasklist: Tasklist, scan: Scan, start: Checkpoint, behind_done: int, list_crc: int) -> None:
    """Raise FarmError if a task that was dealt has changed since."""
    path = tasklist.path
    dealt = max(start.offset, behind_done)
    advice = "it was dealt already: restore it, or give --rerun to run the whole list again"
    if scan.had_tfin and scan.differs_at is not None and scan.differs_at < dealt:
        line = tasklist.line_at(scan.differs_at)
        raise FarmError(f"{path}:{line}: this line has changed since the last run; {advice}")
    if start.offset > scan.size:
        raise FarmError(f"{path} is shorter than when it was dealt: restore it, or give --rerun")
    if start.list_crc is not None and list_crc != start.list_crc:
        last = tasklist.line_at(start.offset - 1)
        raise FarmError(f"{path}: one of the lines 1 to {last} has changed since the last run; {advice}")
