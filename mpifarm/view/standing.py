"""How a list stands: which of its tasks are done, as the next start would find it, read by somebody who changes nothing.

The rule: no lock is taken and no file is written, so the farm may be running meanwhile. What is replaced is read before
what only grows: the checkpoint first, then progress, and the joblog, which is written behind it, last. The list is its
.tfin file, as it was dealt: what was appended to the list since the last start is not in there yet. What is done is decided
by the same readers as at a start: see `journal.resume`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpifarm import FarmError
from mpifarm.journal import fastrecovery, progress, resume
from mpifarm.journal.fastrecovery import Checkpoint
from mpifarm.journal.holder import Holder
from mpifarm.journal.names import Names, check_read
from mpifarm.settings import Each
from mpifarm.tasks import tfin
from mpifarm.tasks.numbering import lines_before
from mpifarm.tasks.offsets import among
from mpifarm.tasks.scan import Index, Scan
from mpifarm.view import hand as hands
from mpifarm.view.hand import Hand

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Standing:
    """The tasks of a list, in its order, and what is known of the run: arrays of shape (tasks,)."""

    offsets: Numbers  # sorted
    seqs: Numbers
    done: Mask
    dealt_to: int  # tasks at and behind this offset were never dealt, as far as the last checkpoint says
    bad: int  # lines of progress that do not count because of damage
    hand: Hand
    holder: Holder | None
    checkpoint: Checkpoint | None

    @property
    def each(self) -> Each | None:
        """How arguments became commands; None if the list is of commands."""
        return self.checkpoint.identity.each if self.checkpoint and self.checkpoint.identity else None


def names_of(tasklist: Path) -> Names:
    """Return the names of the files that a run of *tasklist* has in this directory."""
    return Names(Path(tasklist.name + ".tfin"))


def read(tasklist: Path, names: Names) -> Standing:
    """Return how the list stands. Raises FarmError if there is no run of it here or its files do not fit, and OSError."""
    if not names.tfin.is_file():
        raise FarmError(f"no run of {tasklist} here ({os.getcwd()}): there is no {names.tfin}; start in its directory")
    check_read(names)
    held = hands.read(names.lock)
    if names.intent.exists():
        raise FarmError(
            f"{names.intent} is there: the files of {tasklist} are being rewritten, or that was cut short:"
            " look again in a moment, or start the list once"
        )
    is_done = names.done.is_file()
    checkpoint = fastrecovery.read(names.fastrecovery) or fastrecovery.read_done(names.done)
    with names.tfin.open("rb") as file:
        scan, offsets, seqs = _scan(file.fileno())
        done, bad = _done(scan, offsets, names, checkpoint)
    if is_done:
        done[:] = True
    dealt_to = checkpoint.offset if checkpoint else 0
    return Standing(offsets, seqs, done, dealt_to, bad, held.hand, held.holder, checkpoint)


def lines_of(tasklist: Path, seqs: Numbers, each: Each | None = None) -> Iterator[int]:
    """Yield the number of the line of the list, from 1, for each record of *seqs*; 0 if the list has it no more.

    Comments are lines of the list, and no records; of a list of arguments each line behind the header is one.
    """
    if each:
        yield from (int(seq) and lines_before(each) + int(seq) for seq in seqs)
        return
    places = np.zeros(int(seqs.max(initial=0)) + 1, dtype=np.int64)
    wanted = np.zeros(places.size, dtype=np.bool_)
    wanted[seqs] = True
    seq = 0
    there = tasklist if tasklist.is_file() else Path(os.devnull)  # and no FIFO, which would be waited for
    with suppress(OSError), there.open("rb") as file:
        for number, line in enumerate(file, start=1):
            seq += not line.startswith(b"#")
            if seq >= places.size:
                break
            if wanted[seq] and not places[seq]:
                places[seq] = number
    places[0] = 0
    yield from (int(place) for place in places[seqs])


def _done(scan: Scan, offsets: Numbers, names: Names, checkpoint: Checkpoint | None) -> tuple[Mask, int]:
    """Return which tasks are done, and how many lines of progress are bad."""
    done = np.zeros(offsets.size, dtype=np.bool_)
    if resume.starts_over(checkpoint, names.progress):
        return done, 0
    if checkpoint and not _is_about(checkpoint, scan):
        torn = "it is another list's, or was torn: start the list once, which mends it or says more"
        raise FarmError(f"{names.tfin} is not the list that {names.fastrecovery} is about: {torn}")
    if checkpoint:
        done = (offsets < checkpoint.offset) & ~among(offsets, checkpoint.left)
    if not names.progress.is_file():
        return done, 0
    lines = progress.read(names.progress, names.joblog, checkpoint.covered if checkpoint else None, scan, None)
    if not lines.fits:
        raise FarmError(f"{names.progress} does not fit {names.tfin}: it is of another list")
    return done | among(offsets, lines.done["offset"]), lines.bad


def _is_about(checkpoint: Checkpoint, scan: Scan) -> bool:
    """Return whether a checkpoint is about the list that was scanned, as far as it tells."""
    if checkpoint.list_crc is None:  # TaskFarmer's
        return True
    at = checkpoint.offset
    return at <= scan.size and tfin.checksum(scan.descriptor, 0, at) == checkpoint.list_crc


def _scan(descriptor: int) -> tuple[Scan, Numbers, Numbers]:
    """Walk a .tfin file; return it as a list's scan, and the offsets and seqs of its tasks."""
    places: list[tuple[int, int, int]] = []
    offsets, seqs = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    at, seq, tasks = 0, 1, 0
    size = os.fstat(descriptor).st_size
    for chunk in _chunks(descriptor, size):
        records, are_tasks = tfin.records_of(chunk, at, seq)
        places.append((at, seq, tasks))
        offsets.append(records["offset"][are_tasks])
        seqs.append(records["seq"][are_tasks])
        at, seq, tasks = at + len(chunk), seq + records.size, tasks + int(np.count_nonzero(are_tasks))
    index = Index(*np.array(places, dtype=np.int64).reshape(-1, 3).T)
    return Scan(descriptor, at, tasks, False, None, True, at, index), np.concatenate(offsets), np.concatenate(seqs)


def _chunks(descriptor: int, size: int) -> Iterator[bytes]:
    """Yield whole records, many at a time; what is torn at the end is none."""
    at = 0
    while at < size:
        length = tfin.CHUNK_BYTES
        while True:
            part = os.pread(descriptor, min(length, size - at), at)
            whole = part[: part.rfind(b"\n") + 1]
            if whole or at + len(part) >= size or not part:
                break
            length *= 2  # a record that is longer than a chunk
        if not whole:
            return
        if not whole.startswith(tfin.MARK):
            raise FarmError(f"the .tfin file has no record at byte {at}: it is damaged, start the list once to mend it")
        yield whole
        at += len(whole)
