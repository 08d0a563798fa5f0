"""Opening a list: all that is checked and laid before the first task is dealt.

The rule: everything is read and checked first. If something is wrong, no file of an earlier run has been touched and
none was added.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mpifarm import FarmError, files, journal, resume
from mpifarm.config import Config
from mpifarm.files import Extent
from mpifarm.journal import Journal, Names
from mpifarm.lock import Lock, this_process
from mpifarm.resume import Sources
from mpifarm.suspects import NOTHING
from mpifarm.tasklist import Scan, Tasklist


@dataclass(frozen=True, slots=True)
class Run:
    """An open list. Without a journal there is nothing to run, and the list has been closed again."""

    notices: list[str]  # for the user
    tasklist: Tasklist  # keeps the descriptor of the scan open
    names: Names
    scan: Scan
    start: resume.Resume
    lock: Lock
    journal: Journal | None = None


def open_run(config: Config, now: float) -> Run:
    """Take the lock of the list, read what earlier runs have left, and open the files. Raises FarmError."""
    tasklist = Tasklist(Path(config.tasklist))
    names = Names(tasklist.tfin)
    output = journal.check_output(Path(config.output), tasklist.path, names) if config.output else None
    lock = Lock(names.lock, this_process(*((config.job.id, config.job.restart) if config.job else ())))
    try:
        lock.acquire(now)
    except OSError as error:  # outside of the try below: what lies here may be another manager's
        raise FarmError(f"cannot take the lock {names.lock}: {error.strerror}: remove it if no farm runs here") from None
    run = None
    try:
        journal.check_files(names)
        run = _open(config, tasklist, names, lock, output)
        return run
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        raise FarmError(f"cannot open the files of {tasklist.path}: {name}{error.strerror or error}") from None
    finally:
        if run is None or run.journal is None:
            with suppress(OSError):  # somebody else's may have that name
                tasklist.discard()
            lock.release()


def _open(config: Config, tasklist: Tasklist, names: Names, lock: Lock, output: Extent | None) -> Run:
    scan = tasklist.scan()
    finished = names.done.exists() and not names.fastrecovery.exists()  # TaskFarmer never removes an old done file
    if finished and not config.rerun and scan.had_tfin and scan.differs_at is None:
        notice = f"{tasklist.path} is done: to run it again, give --rerun, or delete {names.progress} and {names.done}"
        return Run([notice], tasklist, names, scan, resume.Resume(), lock)
    start = resume.Resume()
    if not config.rerun:
        start = resume.load(tasklist, scan, Sources(names.fastrecovery, names.progress, names.joblog, output), lock.found)
    if config.rerun or not (names.progress.exists() or start.offset):
        journal.forget(names)
    names.done.unlink(missing_ok=True)
    tasklist.commit()
    if not scan.tasks:
        files.replace(names.done, b"done")
        return Run([f"{tasklist.path} has no tasks: nothing to do"], tasklist, names, scan, start, lock)
    opened = Journal(names, Path(config.output) if config.output else None, start)
    suspects = start.suspicion.words()
    opened.checkpoint(start.seq - 1, start.offset, start.list_crc, start.again["offset"], suspects)
    lock.note(NOTHING)  # that stands in the checkpoint from now on
    return Run(_notices(tasklist, names, scan, start), tasklist, names, scan, start, lock, opened)


def _notices(tasklist: Tasklist, names: Names, scan: Scan, start: resume.Resume) -> list[str]:
    notices = [f"{tasklist.path}: {scan.tasks} tasks" + (f", {start.done_count} done" if start.done_count else "")]
    if scan.carriage_returns:
        notices.append(f"{tasklist.path} has lines that end in a carriage return: it is left out of the commands")
    if start.bad:
        notices.append(f"{names.progress} is damaged: {start.bad} lines do not count, their tasks run again")
    return notices
