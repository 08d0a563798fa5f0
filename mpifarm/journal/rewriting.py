"""What progress, joblog and fastrecovery say of a list, said of another one: of the same list after it was edited.

The rule: what is done of the lines that stand in both lists stays done, and nothing else does. So a line of progress stays
if it is about a task that is done and kept, with the offset that the task has now. A line of the joblog is history, and it
stays in any case: of a task that is gone Seq is 0 and Offset is -1, which are no task's. Fastrecovery tells of the new list
and of the files as they are then. Nothing is done to the file given as --output, so it stands for what the tasks that are
gone have written there, too.

Nothing here is in memory for each task: the files are walked in chunks. What differs between the lists is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpifarm.journal import fastrecovery, tails
from mpifarm.journal.fastrecovery import Covered
from mpifarm.journal.identity import Identity
from mpifarm.journal.names import Names
from mpifarm.journal.progress import LINE, chunks
from mpifarm.journal.resume import Resume
from mpifarm.journal.step import Step
from mpifarm.schedule.suspects import Word
from mpifarm.tasks.kept import Kept, same
from mpifarm.tasks.offsets import among, distinct
from mpifarm.tasks.scan import Scan, position, records_at
from mpifarm.tasks.tfin import checksum
from mpifarm.tasks.walk import Walk

MOST_NAMED = 1000  # tasks that are gone and have blocks

_CHUNK_BYTES = 2 * 1024 * 1024  # each takes a look at the chunks of the list in which its tasks are
# One task a line: offset, the rest, bytes in --output, length of the record.
_PLAIN = re.compile(rb"^(\d{1,18})( \S+ \d+(?:\.\d+)? (\d{1,18}) \d+ (\d{1,18})\n)", re.MULTILINE)
# Seq, what follows, Offset, the rest.
_ATTEMPT = re.compile(rb"^(\d{1,18})(\t(?:[^\t\n]*\t){12})(-1|\d{1,18})(\t.*\n)", re.MULTILINE)

Numbers = NDArray[np.int64]
Between = Callable[[], object]


@dataclass(slots=True)
class Gone:
    """Tasks that are gone, and whose blocks stay in --output."""

    count: int = 0
    seqs: list[int] = field(default_factory=list)  # in the old list, of the first of them

    def add(self, seqs: Numbers) -> None:
        self.count += seqs.size
        self.seqs += seqs[: MOST_NAMED - len(self.seqs)].tolist()


@dataclass(frozen=True, slots=True)
class Passage:
    """From one list to the other."""

    old: Scan
    new: Scan
    start: Resume  # where to go on in the old one
    kept: Kept

    def of_done(self, offsets: Numbers) -> Numbers:
        """Return where tasks of the old list that are done stand now; -1 for those that are not done, or gone."""
        done = (offsets < self.start.offset) & ~among(offsets, self._left)
        return np.where(done, self.kept.moved(offsets), -1)

    @property
    def _left(self) -> Numbers:
        left: Numbers = self.start.again["offset"]
        return left

    def dealt_to(self) -> int:
        """Return the dealing offset in the new list: behind the last record that is kept of what was dealt."""
        ends = self._dealt()
        return int((ends[0] + ends[1]).max(initial=0))

    def left(self) -> Numbers:
        """Return the tasks of the new list before the dealing offset that are not done: what is new, and what was left."""
        begins, lengths = self._dealt()
        gaps = zip((0, *(begins + lengths).tolist()), begins.tolist(), strict=False)
        new = [
            Walk(self.new.descriptor, end, begin, 0).take(self.new.tasks)["offset"] for begin, end in gaps if begin < end
        ]
        moved = self.kept.moved(self._left)
        return distinct(np.concatenate((*new, moved[moved >= 0])).astype(np.int64))

    def _dealt(self) -> tuple[Numbers, Numbers]:
        """Return where the runs of what was dealt begin in the new list, and their bytes; sorted."""
        lengths = np.minimum(self.kept.length, self.start.offset - self.kept.old)
        dealt = lengths > 0
        begins, lengths = self.kept.new[dealt], lengths[dealt]
        order = np.argsort(begins)
        return begins[order], lengths[order]


def rewrite(
    names: Names, passage: Passage, run: Identity, output: Path | None, step: Step, between: Between = lambda: None
) -> Gone:
    """Write what the files say of the new list, as what is due in *step*; return what is gone and has a block.

    *run* is what is recorded with it, *output* the file given as --output; *between* is called between reads. Raises
    OSError.
    """
    start, gone = passage.start, Gone()
    if output and start.output_bytes:
        with output.open("rb") as file:
            os.fsync(file.fileno())  # fastrecovery never stands for a block that could still be lost
    progress = step.write(names.progress, _progress(names.progress, passage, gone, between))
    joblog = step.write(names.joblog, _joblog(names.joblog, passage, between)) if names.joblog.exists() else 0
    tail = tails.tail(output, start.output_bytes) if output and start.output_bytes else 0
    offset = passage.dealt_to()
    at = position(passage.new, offset)
    assert at is not None
    content = fastrecovery.content(
        at[0] - 1,
        offset,
        checksum(passage.new.descriptor, 0, offset, 0, between),
        Covered(progress, start.output_bytes, joblog, tail),
        passage.left().tolist(),
        run,
        _suspects(passage),
    )
    step.write(names.fastrecovery, [content])
    step.clear(names.done)
    return gone


def undone(start: Resume, scan: Scan, offsets: Numbers) -> Resume:
    """Return *start* as if the tasks at *offsets* (sorted, unique) had not been done."""
    records, is_task = records_at(scan, offsets[(offsets < start.offset) & ~among(offsets, start.again["offset"])])
    again = np.concatenate((start.again, records[is_task]))
    return replace(start, again=again[np.argsort(again["offset"])], done_count=start.done_count - int(is_task.sum()))


def same_list(scan: Scan) -> Kept:
    """Return what a list and itself have in common."""
    end = position(scan, scan.size)
    assert end is not None
    return same(scan.size, end[0] - 1)


def _suspects(passage: Passage) -> list[Word]:
    words = passage.start.suspicion.words()
    moved = passage.kept.moved(np.array([word[0] for word in words], dtype=np.int64)).tolist()
    return sorted((now, *word[1:]) for now, word in zip(moved, words, strict=True) if now >= 0)


def _progress(path: Path, passage: Passage, gone: Gone, between: Between) -> Iterator[bytes]:
    if not path.exists():  # TaskFarmer's fastrecovery may be all there is
        return
    for chunk, _ in chunks(path, 0, passage.start.progress_bytes, _CHUNK_BYTES):
        between()
        plain = _PLAIN.findall(chunk)
        if len(plain) < chunk.count(b"\n"):
            plain = list(chain.from_iterable(map(_one_by_one, chunk.splitlines(keepends=True))))
        offsets, outputs, lengths = (np.array([int(words[at]) for words in plain], dtype=np.int64) for at in (0, 2, 3))
        ours = distinct(offsets)
        records = records_at(passage.old, ours)[0][np.searchsorted(ours, offsets)]
        true = (records["length"] == lengths) | ((lengths == 0) & (records["length"] > 0))
        now = np.where(true, passage.of_done(offsets), -1)
        gone.add(records["seq"][true & (outputs > 0) & (passage.kept.moved(offsets) < 0)])
        yield b"".join(b"%d%s" % (at, words[1]) for at, words in zip(now.tolist(), plain, strict=True) if at >= 0)


def _one_by_one(line: bytes) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    """Yield what a line says as lines of one task each, nothing of what is no line; the block goes to the first of them."""
    match = LINE.fullmatch(line)
    if not match:
        return
    offsets, lengths = match[1].split(b","), match[3].split(b",")
    if len(lengths) != len(offsets):
        lengths = [b"0"] * len(offsets)
    node, seconds, output, end, _ = line.split()[1:]
    for offset, length in zip(offsets, lengths, strict=True):
        yield offset, b" %s %s %s %s %s\n" % (node, seconds, output, end, length), output, length
        output = b"0"


def _joblog(path: Path, passage: Passage, between: Between) -> Iterator[bytes]:
    for chunk, _ in chunks(path, 0, tails.whole_lines(path)):
        between()
        found = _ATTEMPT.findall(chunk)
        if len(found) == chunk.count(b"\n"):
            yield b"".join(_attempts(found, passage))
            continue
        lines = chunk.splitlines(keepends=True)  # the header, or what is no line of ours
        matches = [_ATTEMPT.fullmatch(line) for line in lines]
        moved = _attempts([(match[1], match[2], match[3], match[4]) for match in matches if match], passage)
        yield b"".join(next(moved) if match else line for match, line in zip(matches, lines, strict=True))


def _attempts(found: list[tuple[bytes, bytes, bytes, bytes]], passage: Passage) -> Iterator[bytes]:
    """Yield lines of the joblog, as they are of the new list."""
    seqs = passage.kept.moved_seqs(np.array([int(words[0]) for words in found], dtype=np.int64))
    offsets = passage.kept.moved(np.array([int(words[2]) for words in found], dtype=np.int64))
    gone = (seqs < 0) | (offsets < 0)
    seqs[gone], offsets[gone] = 0, -1
    for seq, offset, words in zip(seqs.tolist(), offsets.tolist(), found, strict=True):
        yield b"%d%s%d%s" % (seq, words[1], offset, words[3])
