"""Opening a list: all that is checked and laid before the first task is dealt.

The rule: everything is read and checked first. If something is wrong, no file of an earlier run has been touched and
none was added.

Then it is proven that the list is still ours, and all of it as it was read: see `warrant`. From there the order is such
that a kill at any moment leaves records that are true: a done file becomes the checkpoint that it remembers before the list
changes, and a file given as --output is recorded before it is cut or written to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mpifarm import FarmError, files
from mpifarm.journal import carrying, claim, fastrecovery, identity, journal, repeating, resume, retraction, standing, step
from mpifarm.journal.claim import Output
from mpifarm.journal.fastrecovery import Checkpoint
from mpifarm.journal.holder import Holder, this_process
from mpifarm.journal.identity import Identity
from mpifarm.journal.journal import Journal
from mpifarm.journal.lock import Lock, TakenOver
from mpifarm.journal.names import Names, check_files, check_length, check_output
from mpifarm.journal.resume import Resume, Sources
from mpifarm.journal.retraction import Retractions
from mpifarm.journal.warrant import Warrant
from mpifarm.journal.watch import IN_PERSON, Waiting
from mpifarm.launcher.frames import SHELL
from mpifarm.schedule.suspects import NOTHING, Dealt
from mpifarm.settings import Config
from mpifarm.tasks import lint
from mpifarm.tasks.check import Watch
from mpifarm.tasks.scan import Scan
from mpifarm.tasks.tasklist import Tasklist
from mpifarm.tasks.tfin import checksum
from mpifarm.words import count


@dataclass(frozen=True, slots=True)
class Run:
    """An open list. Without a journal there is nothing to run, and the list has been closed again."""

    notices: list[str]  # for the user
    tasklist: Tasklist  # keeps the descriptor of the scan open
    names: Names
    scan: Scan
    start: Resume
    lock: Lock
    told: Sequence[str] = ()  # of them, what is for the log, too
    journal: Journal | None = None


def open_run(config: Config, waiting: Waiting = IN_PERSON) -> Run:
    """Take the lock of the list, read what earlier runs have left, and open the files.

    *waiting* is how time passes until it is known that nobody else has the list. Raises FarmError, and TakenOver if another
    manager has taken the list meanwhile.
    """
    tasklist = Tasklist(Path(config.tasklist))
    names = Names(tasklist.tfin)
    check_length(tasklist.path, names)
    output = None if config.output is None else Path(config.output)
    if output:
        check_output(output, tasklist.path, names)
    holder = this_process(*((config.job.id, config.job.restart) if config.job else ()))
    lock = Lock(names.lock, holder, None, waiting)
    _acquire(lock, names.lock)  # outside of the try below: what lies here may be another manager's
    run = None
    try:
        check_files(names)
        if output:
            lock.add(_lock_output(output, holder, _touching(waiting, lock)))
        lock.settle()
        run = _open(config, tasklist, names, lock, output, _finish(names, lock, forgiving=config.rerun))
        return run
    except TakenOver:
        raise
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        raise FarmError(f"cannot open the files of {tasklist.path}: {name}{error.strerror or error}") from None
    finally:
        if run is None or run.journal is None:
            with suppress(OSError):  # somebody else's may have that name
                tasklist.discard(lock.prove)
            lock.release()


def _finish(names: Names, lock: Lock, forgiving: bool) -> Sequence[str]:
    """Finish what an earlier start has begun to rewrite; return what to tell of it. Raises FarmError unless *forgiving*."""
    try:
        return step.finish(names, lock.prove, lock.keep, lock.forget) or ()
    except FarmError:
        if forgiving:
            return ()
        raise


def _touching(waiting: Waiting, lock: Lock) -> Waiting:
    """Return how time passes while *lock* is held already."""

    def pause(seconds: float) -> None:
        waiting.pause(seconds)
        lock.touch()

    return replace(waiting, pause=pause)


def _acquire(lock: Lock, path: Path) -> None:
    try:
        lock.acquire()
    except OSError as error:
        raise FarmError(f"cannot take the lock {path}: {error.strerror}: remove it if no farm runs here") from None


def _lock_output(output: Path, holder: Holder, waiting: Waiting) -> Lock:
    target = files.own(output)  # a relative path stays one: the working directory may be renamed meanwhile
    path = target.with_name(f"lock.{target.name}")
    lock = Lock(path, holder, output, waiting)
    _acquire(lock, path)
    return lock


def _open(
    config: Config, tasklist: Tasklist, names: Names, lock: Lock, output_file: Path | None, told: Sequence[str]
) -> Run:
    """*told* is what was done to the files already at this start, and people should hear."""
    dash = lint.is_dash(config.shell or SHELL)
    watch = Watch(dash)
    lint.refuse_encoding(tasklist)
    warrant = Warrant(lock, [names.progress, names.joblog, names.log, *([output_file] if output_file else [])])
    found = check_output(output_file, tasklist.path, names) if output_file else None  # before it was ours it may have grown
    scan = tasklist.scan(warrant.prove, watch.see)
    this = identity.of_this_run(config.tasklist, config.output, config.shell)
    last = claim.last_checkpoint(names, forgiving=config.rerun)
    notices = [*told, *claim.check_list(last, this, names, scan, warrant.keep)]
    claim.check_beside_the_list(tasklist.path, this, names, lock)
    output = Output(config.output, found, last, this, names)
    load = partial(_load, tasklist, names, output, warrant, scan=scan)
    if config.edited and scan.had_tfin and scan.differs_at is None:
        notices.append(f"{tasklist.path} has not changed since the last run: nothing is to be done for --edited")
    finished = not config.rerun and _is_finished(names, scan, last, warrant)
    if finished and (config.again is None or not scan.tasks):
        return Run([*notices, _finished(tasklist, names, scan, output, load)], tasklist, names, scan, Resume(), lock)
    lint.refuse_words(config, tasklist, watch, scan)
    remarks = lint.remarks(config, tasklist, dash)
    afresh = config.rerun or resume.starts_over(last, names.progress)
    if config.edited and not afresh and any(claim.begun(names)) and carrying.is_edited(scan):
        if not scan.tasks:
            raise FarmError(
                f"{tasklist.path} has no tasks any more: restore it, or give --rerun to forget all that is done"
            )
        with carrying.list_before(names, last, warrant.keep) as before:
            start = load(lock.found, scan=before)
            output.check_resumed(start)
            claim.check_shell(last, this, given=config.shell is not None)
            told = carrying.Files(names, output_file, this, warrant, lock).carry(tasklist, before, scan, start)
        return _open(replace(config, edited=False), tasklist, names, lock, output_file, told)
    start = Resume() if afresh else load(lock.found)
    if config.again is not None:
        claim.check_shell(last, this, given=config.shell is not None)
        kept = carrying.Files(names, output_file, this, warrant, lock)
        told = _damage(names, start) + repeating.repeat(config.again, tasklist, scan, start, output, kept, finished)
        return _open(replace(config, again=None), tasklist, names, lock, output_file, told)
    if scan.tasks and afresh:
        output.check_afresh()
    elif scan.tasks:
        output.check_resumed(start)
        notices += claim.check_shell(last, this, given=config.shell is not None)
    run = Run(notices, tasklist, names, scan, start, lock, told)
    retractions = retraction.read(names.log, start.again, scan, warrant.keep)
    opened = _lay(run, this, output_file, warrant, afresh, retractions)
    if opened is None:
        return replace(run, notices=[_nothing(tasklist)])
    return replace(run, notices=[*notices, *_notices(run, watch), *remarks], journal=opened)


def _lay(
    run: Run, this: Identity, output: Path | None, warrant: Warrant, afresh: bool, retractions: Retractions
) -> Journal | None:
    """Everything has been checked, and is touched now; return the open files, None if there are no tasks."""
    names, start = run.names, run.start
    journal.judge(warrant, names, output, start)
    warrant.confirm()
    journal.reopen(names, warrant)
    if afresh:
        journal.forget(names, this, warrant)
        step.give_up(names, warrant.prove)
    run.tasklist.commit(warrant.prove)
    if not run.scan.tasks:
        files.remove(names.fastrecovery, warrant.prove)
        files.replace(names.done, fastrecovery.done_content(b""), warrant.prove)
        return None
    opened = Journal(names, output, start, warrant, run.tasklist.numbering.name, this, retractions)
    suspects = start.suspicion.words()
    opened.checkpoint(start.seq - 1, start.offset, start.list_crc, start.again["offset"], suspects)
    run.lock.note(NOTHING)  # that stands in the checkpoint from now on
    for text in run.told:
        opened.event(text)
    return opened


def _load(
    tasklist: Tasklist, names: Names, output: Output, warrant: Warrant, dealt: Dealt = NOTHING, *, scan: Scan
) -> Resume:
    recorded = names.fastrecovery if names.fastrecovery.exists() else names.done
    sources = Sources(recorded, names.progress, names.joblog, output.found if output.ours else None)
    return resume.load(tasklist, scan, sources, output.last, dealt, warrant.keep)


def _is_finished(names: Names, scan: Scan, last: Checkpoint | None, warrant: Warrant) -> bool:
    """Return whether all tasks have succeeded. TaskFarmer never removes an old done file, and ours tells of which list."""
    if not names.done.exists() or names.fastrecovery.exists() or not scan.had_tfin or scan.differs_at is not None:
        return False
    if last is None:
        return True
    return last.offset == scan.size and last.list_crc == checksum(scan.descriptor, 0, scan.size, 0, warrant.keep)


def _finished(tasklist: Tasklist, names: Names, scan: Scan, output: Output, load: Callable[[], Resume]) -> str:
    """Return what to say of a list that is done. Raises FarmError if its output is not where it should be."""
    if not scan.tasks:
        return _nothing(tasklist)
    if output.found is not None:
        unrecorded = output.last is None or output.last.identity is None
        output.check_finished(load().output_bytes if unrecorded else 0)
    return standing.finished(tasklist.path, names, scan.tasks, output.recorded)


def _nothing(tasklist: Tasklist) -> str:
    return f"{tasklist.path} has no tasks: nothing to do"


def _notices(run: Run, watch: Watch) -> list[str]:
    path, scan, start = run.tasklist.path, run.scan, run.start
    done = f", {start.done_count} done" if start.done_count else ""
    notices = [f"{path}: {count(scan.tasks, 'task')}{done}{standing.more(scan)}"]
    if scan.carriage_returns:
        notices.append(f"{path} has lines that end in a carriage return: it is left out of the commands")
    if watch.byte_order_mark:
        notices.append(f"{path}:{watch.byte_order_mark}: a byte-order mark: it is left out of the command")
    return notices + _damage(run.names, start)


def _damage(names: Names, start: Resume) -> list[str]:
    """Return what to say of lines that do not count: whoever rewrites the files leaves them out."""
    if not start.bad:
        return []
    return [f"{names.progress} is damaged: {count(start.bad, 'line')} cannot count, and what that was about runs again"]
