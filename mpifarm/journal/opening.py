"""Opening a list: all that is checked and laid before the first task is dealt.

The rule: everything is read and checked first (`found`). If something is wrong, no file of an earlier run has been touched
and none was added.

Then it is proven that the list is still ours, and all of it as it was read: see `warrant`. From there the order is such
that a kill at any moment leaves records that are true: a done file becomes the checkpoint that it remembers before the list
changes, and a file given as --output is recorded before it is cut or written to.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mpifarm import FarmError, files
from mpifarm.journal import claim, fastrecovery, journal, retraction, standing, step
from mpifarm.journal.found import Found, Held, damage, look, nothing
from mpifarm.journal.holder import Holder, this_process
from mpifarm.journal.journal import Journal
from mpifarm.journal.lock import Lock, TakenOver
from mpifarm.journal.names import Names, check_files, check_length, check_output
from mpifarm.journal.resume import Resume
from mpifarm.journal.retraction import Retractions
from mpifarm.journal.watch import IN_PERSON, Waiting
from mpifarm.schedule.suspects import NOTHING
from mpifarm.settings import Config
from mpifarm.tasks.check import Watch
from mpifarm.tasks.scan import Scan
from mpifarm.tasks.tasklist import Tasklist
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
    claim.check_range(config.tasklist, config.each)
    tasklist = Tasklist(Path(config.tasklist), config.each)
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
        run = _open(config, Held(tasklist, names, lock, output), _finish(names, lock, forgiving=config.rerun))
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


def _open(config: Config, held: Held, told: Sequence[str]) -> Run:
    """*told* is what was done to the files already at this start, and people should hear."""
    while True:
        found = look(config, held, told)
        if found.has_nothing_to_run:
            warrant = found.warrant
            files.remove(files.new_name(held.names.status), warrant.prove)  # of a manager that was killed as it ended
            notices = [*found.notices, found.finished()]
            return Run(notices, held.tasklist, held.names, found.scan, Resume(), held.lock)
        remarks = found.remarks()
        if found.is_edited:
            told = found.carry()
            config = replace(config, edited=False)
        elif config.again is not None:
            told = found.repeat(config.again)
            config = replace(config, again=None)
        else:
            return _begin(found, told, remarks)


def _begin(found: Found, told: Sequence[str], remarks: Sequence[str]) -> Run:
    held, scan = found.held, found.scan
    start, of_start = found.start()
    run = Run([], held.tasklist, held.names, scan, start, held.lock, told)
    retractions = retraction.read(held.names.log, start.again, scan, found.warrant.keep)
    opened = _lay(run, found, retractions)
    if opened is None:
        return replace(run, notices=[nothing(held.tasklist)])
    return replace(run, notices=[*found.notices, *of_start, *_notices(run, found.watch), *remarks], journal=opened)


def _lay(run: Run, found: Found, retractions: Retractions) -> Journal | None:
    """Everything has been checked, and is touched now; return the open files, None if there are no tasks."""
    names, start, warrant, output = run.names, run.start, found.warrant, found.held.output
    journal.judge(warrant, names, output, start)
    warrant.confirm()
    journal.reopen(names, warrant)
    if found.is_afresh:
        journal.forget(names, found.this, warrant)
        step.give_up(names, warrant.prove)
    run.tasklist.commit(warrant.prove)
    if not run.scan.tasks:
        files.remove(names.fastrecovery, warrant.prove)
        files.replace(names.done, fastrecovery.done_content(b""), warrant.prove)
        return None
    opened = Journal(names, output, start, warrant, run.tasklist.numbering.name, found.this, retractions)
    suspects = start.suspicion.words()
    opened.checkpoint(start.seq - 1, start.offset, start.list_crc, start.again["offset"], suspects)
    run.lock.note(NOTHING)  # that stands in the checkpoint from now on
    for text in run.told:
        opened.event(text)
    return opened


def _notices(run: Run, watch: Watch) -> list[str]:
    path, scan, start = run.tasklist.path, run.scan, run.start
    done = f", {start.done_count} done" if start.done_count else ""
    notices = [f"{path}: {count(scan.tasks, 'task')}{done}{standing.more(scan)}{standing.empty(run.tasklist, scan)}"]
    if scan.carriage_returns:
        notices.append(f"{path} has lines that end in a carriage return: it is left out of the commands")
    if watch.byte_order_mark:
        notices.append(f"{path}:{watch.byte_order_mark}: a byte-order mark: it is left out of the command")
    return notices + damage(run.names, start)
