"""What earlier runs have left to do: fastrecovery, progress and --output, held against the list and each other.

Truth on restart: done = what the first line of fastrecovery covers, minus its list, plus the progress lines after it.

Edge cases make all this a bit tricky:
1. Fastrecovery stands for progress, or the done file does of a list that has grown, but there is no progress file: the
   user has deleted it to start over. So we do.
2. TaskFarmer's fastrecovery has no words: its progress file is read from the start. Without one, fastrecovery counts
   alone, as with TaskFarmer.
3. No fastrecovery: TaskFarmer has removed it in the end, or the user has. Progress counts.
4. A torn or zero-filled tail of progress is cut, and a bad line in its middle is skipped: its task runs again. See
   `progress`.
5. The list may grow at its end. If a byte before the last task that was dealt has changed, offsets mean other commands.
6. After the crash of a node --output may be shorter than progress says, or end in zeros that nobody wrote. Of the lines
   beyond the checkpoint, which was synced, those without their block are cut, and run again. But if there is no such
   file, it is another one than before.
7. The farm before has ended without a word: its lock says how far it had dealt, which may be farther than the last
   task that is recorded. What is not done of that may have taken the farm down: see `suspects`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mpifarm import FarmError
from mpifarm.journal import progress
from mpifarm.journal.fastrecovery import Checkpoint
from mpifarm.journal.progress import Between, Progress
from mpifarm.journal.tails import Extent
from mpifarm.schedule import suspects
from mpifarm.schedule.suspects import NOTHING, Dealt, Suspect, Suspicion
from mpifarm.tasks import changes, edits, wording
from mpifarm.tasks.offsets import among
from mpifarm.tasks.scan import Scan, position, records_at
from mpifarm.tasks.tasklist import Tasklist
from mpifarm.tasks.tfin import RECORD, Records, checksum
from mpifarm.tasks.walk import Walk

_NONE = np.empty(0, dtype=np.int64)
_NO_RECORDS = np.empty(0, dtype=RECORD)


@dataclass(frozen=True, slots=True)
class Resume:
    """Where to go on."""

    offset: int = 0  # the dealing offset
    seq: int = 1  # of the record there
    list_crc: int = 0  # of the .tfin file up to there
    again: Records = field(default_factory=lambda: _NO_RECORDS)  # before it, and not done
    done_count: int = 0
    progress_bytes: int = 0  # what is whole and true of the progress file
    output_bytes: int = 0  # what it says was written to --output
    bad: int = 0  # lines of it that do not count because of damage
    suspicion: Suspicion = field(default_factory=Suspicion)  # of those that go again


@dataclass(frozen=True, slots=True)
class Sources:
    """The files that tell of earlier runs; *output* is what there is of the one given as --output, None without it."""

    fastrecovery: Path
    progress: Path
    joblog: Path
    output: Extent | None


def load(
    tasklist: Tasklist,
    scan: Scan,
    sources: Sources,
    checkpoint: Checkpoint | None,
    dealt: Dealt = NOTHING,
    between: Between = lambda: None,
) -> Resume:
    """Return where to go on. Changes nothing. Raises FarmError if the files do not fit the list or each other.

    *checkpoint* is the last one, of fastrecovery or of the done file; *dealt* is how far a farm had dealt that has ended
    without a word; *between* is called between reads, which may take long.
    """
    has_progress = sources.progress.is_file()
    if starts_over(checkpoint, sources.progress):
        return Resume()
    start = checkpoint or Checkpoint(0, _NONE)
    lines = Progress(_NO_RECORDS, 0, 0)
    if has_progress:
        lines = progress.read(sources.progress, sources.joblog, start.covered, scan, sources.output, between)
    list_crc = checksum(scan.descriptor, 0, start.offset, 0, between)
    _refuse_changes(tasklist, scan, start, lines.dealt_to, list_crc, between)
    if not lines.fits:
        raise FarmError(f"{sources.progress} does not fit the task list: give the list of the earlier run, or --rerun")
    at = position(scan, start.offset)
    records, is_task = records_at(scan, start.left)
    if at is None or not records["length"].all() or (start.left >= start.offset).any():
        raise FarmError(f"{sources.fastrecovery} does not fit {tasklist.path}: restore one of them, or give --rerun")
    seq, tasks_before = at
    again = records[is_task & ~among(records["offset"], lines.done["offset"])]
    dealt = dealt if _fits(dealt, scan) else NOTHING
    ahead = lines.done[lines.done["offset"] >= start.offset]
    behind_last = int(ahead["offset"][-1] + ahead["length"][-1]) if ahead.size else 0
    offset = max(start.offset, behind_last, dealt.offset)
    if offset > start.offset:  # deal on behind the last of them: so a checkpoint can stand for all of progress
        gaps = Walk(scan.descriptor, offset, start.offset, seq, ahead["offset"]).take(scan.tasks)
        again = np.concatenate((again, gaps))
        list_crc = checksum(scan.descriptor, start.offset, offset, list_crc, between)
        at = position(scan, offset)
        assert at is not None
        seq, tasks_before = at
    return Resume(
        offset=offset,
        seq=seq,
        list_crc=list_crc,
        again=again,
        done_count=tasks_before - again.size,
        progress_bytes=lines.end,
        output_bytes=lines.output_bytes,
        bad=lines.bad,
        suspicion=suspects.judge(start.suspects, again["offset"].tolist(), dealt),
    )


def starts_over(checkpoint: Checkpoint | None, progress_file: Path) -> bool:
    """Return whether the user has deleted progress to start over."""
    return bool(checkpoint and checkpoint.covered and not progress_file.is_file())


def _fits(dealt: Dealt, scan: Scan) -> bool:
    """Return whether the list is still the one that was dealt so far."""
    same = scan.differs_at is None or scan.differs_at >= dealt.offset
    return same and position(scan, dealt.offset) is not None


def _refuse_changes(
    tasklist: Tasklist, scan: Scan, start: Checkpoint, behind_done: int, list_crc: int, between: Between
) -> None:
    """Raise FarmError if a task that was dealt has changed since."""
    dealt = max(start.offset, behind_done)
    # One that ends too early is as good as none: it agrees as far as it goes.
    told = scan.had_tfin and scan.differs_at is not None and scan.differs_at < min(dealt, scan.old_size)
    if told or start.offset > scan.size or (start.list_crc is not None and list_crc != start.list_crc):
        _refuse_another_each(tasklist, scan, start, between)
    if told:
        raise FarmError(
            f"{tasklist.path} has changed since the last run: {'; '.join(what_changed(tasklist, scan, between))}: give"
            " --edited to go on with the lines that are unchanged, restore the list, or give --rerun to run all of it again"
        )
    advice = f"and no {tasklist.tfin} of that run tells what: restore the list, or give --rerun to run all of it again"
    if start.offset > scan.size:
        raise FarmError(f"{tasklist.path} is shorter than when it was dealt, {advice}")
    if start.list_crc is not None and list_crc != start.list_crc:
        last = tasklist.line_at(start.offset - 1)
        raise FarmError(f"{tasklist.path}: one of the lines 1 to {last} has changed since the last run, {advice}")


def _refuse_another_each(tasklist: Tasklist, scan: Scan, start: Checkpoint, between: Between) -> None:
    """Raise FarmError if the arguments of a list have become other commands because their template has changed."""
    then = start.identity.each if start.identity else None
    changed = wording.another_each(then, tasklist.each)
    if not changed or then is None:
        return
    arguments = ""
    if scan.had_tfin:
        same = tasklist.was_made_by(then, between)
        arguments = ", and the arguments are the same" if same else ", and the arguments have changed, too"
    raise FarmError(
        f"{tasklist.path} has changed since the last run: {changed[0]}{arguments}: give --edited to go on with what has"
        " the same command, the options of that run, or --rerun to run all of it again"
    )


def what_changed(tasklist: Tasklist, scan: Scan, between: Between = lambda: None) -> list[str]:
    """Return what has changed since the .tfin file of an earlier run, as a person sees it. Raises OSError."""
    with tasklist.tfin.open("rb") as old:
        kept = edits.compare(old.fileno(), scan.old_size, scan.descriptor, scan.size, between)
        return wording.sentences(changes.find(tasklist, old.fileno(), scan.old_size, kept, between))


def again(start: Resume) -> tuple[Records, list[Suspect]]:
    """Return which tasks go again like others, and which are suspected."""
    counts, convicted = start.suspicion.counts, start.suspicion.convicted
    accused = among(start.again["offset"], np.array(sorted(counts), dtype=np.int64))
    tasks = start.again[accused][["offset", "length", "seq"]].tolist()
    return start.again[~accused], [Suspect(counts[task[0]], task, task[0] in convicted) for task in tasks]
