"""Where the run of a list stands, for whoever asks from any node: what its manager has written last, and whether it lives.

The rule: the status file is believed only for the run that it is about. Who has the list is told by its lock, that all is
done by the done file, and what went on since by progress. Where the status file does not fit them, or there is none (a run
of TaskFarmer's, or of an older mpifarm), the other files are read instead: that takes seconds for a million tasks, and
tells less.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mpifarm import FarmError, files
from mpifarm.journal.names import Names, check_read
from mpifarm.view import hand as hands
from mpifarm.view import snapshot
from mpifarm.view.hand import Hand, Held
from mpifarm.view.snapshot import Snapshot, Tasks, Unreadable

_LOOKS = 3  # a run may begin or end between two looks
_SINCE_S = 5.0  # by which progress may be newer than the last word of the run that wrote both
_RECENT_S = 60.0  # who has no lock, and has written so lately, may be running

CODES = {snapshot.RUNNING: 0, snapshot.DONE: 0, snapshot.FAILED: 1, snapshot.STOPPED: 3, snapshot.GONE: 3}  # exit codes


@dataclass(frozen=True, slots=True)
class Situation:
    """How a list stands."""

    seen: Snapshot  # its state is the one of now
    whole: bool = True  # it is from the status file; else only the tasks and the state are known
    remarks: list[str] = field(default_factory=list)  # for people

    @property
    def code(self) -> int:
        """The exit code of --status."""
        return CODES[self.seen.state]


def read(tasklist: Path) -> Situation:
    """Return where the run of *tasklist* in this directory stands. Raises FarmError if there is none."""
    names = Names(Path(tasklist.name + ".tfin"))
    try:
        for _ in range(_LOOKS):
            if not names.tfin.is_file():
                where = os.fsencode(Path.cwd()).decode(errors="backslashreplace")
                raise FarmError(f"no run of {tasklist} here ({where}): there is no {names.tfin}; start in its directory")
            check_read(names)
            held = hands.read(names.lock)
            told, remark = _told(names, tasklist)
            fits = told and _fitting(told, held, names)
            if fits:
                return Situation(fits)
            if not told or told.state != snapshot.RUNNING or held.hand is not Hand.NOBODY:
                break
        return _from_other_files(tasklist, names, held, [remark] if remark else [])
    except OSError as error:
        raise files.unreadable(error, tasklist) from None


def _told(names: Names, tasklist: Path) -> tuple[Snapshot | None, str]:
    """Return what the status file says, and if there is one that says nothing, why."""
    try:
        with open(os.open(names.status, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
            text = file.read(snapshot.MOST_BYTES)
    except FileNotFoundError:
        return None, ""
    try:
        return snapshot.parse(text, shown_name(tasklist)), ""
    except Unreadable as why:
        return None, f"{names.status} {why}: what follows is from the other files"


def shown_name(tasklist: Path) -> str:
    """Return the name of a list as the document has it."""
    return os.fsencode(tasklist.name).decode(errors="backslashreplace")


def _fitting(told: Snapshot, held: Held, names: Names) -> Snapshot | None:
    """Return what is *told*, as it stands now; None if it is not about the last run."""
    silent_s = max(0.0, time.time() - told.written)
    if held.hand is not Hand.NOBODY:
        if held.holder is None or (held.holder.host, held.holder.pid) != (told.run.host, told.run.pid):
            return None
        silent_s = min(silent_s, held.silent_s)
        if told.state == snapshot.RUNNING and held.hand is Hand.GONE and not names.done.exists():
            return _gone(told, silent_s, held)
        if told.state == snapshot.RUNNING and held.hand is Hand.GONE:
            return None
        return told._replace(silent_s=silent_s)
    since = _changed(names.progress) - told.written
    if told.state == snapshot.RUNNING or names.done.exists() != (told.state == snapshot.DONE) or since > _SINCE_S:
        return None
    return told._replace(silent_s=silent_s)


def _gone(told: Snapshot, silent_s: float, held: Held) -> Snapshot:
    tasks = told.tasks
    left = tasks.running + tasks.waiting + tasks.blocked + tasks.not_run
    why = "its process is dead" if held.dead else ""
    return told._replace(
        state=snapshot.GONE,
        silent_s=silent_s,
        tasks=Tasks(tasks.total, tasks.done, tasks.failed, not_run=left),
        run=told.run._replace(why=why),
    )


def _from_other_files(tasklist: Path, names: Names, held: Held, remarks: list[str]) -> Situation:
    from mpifarm.site import packages  # noqa: PLC0415

    packages.need_numpy()
    from mpifarm.view import account  # noqa: PLC0415  numpy, which takes longer to import than all else here

    found = account.read(tasklist)
    tasks = Tasks(
        int(found.states.size),
        found.tasks(account.State.DONE),
        found.tasks(account.State.FAILED),
        not_run=found.tasks(account.State.STOPPED) + found.tasks(account.State.UNRUN),
    )
    state, remark = _state(tasks, held, names)
    if state == snapshot.RUNNING:
        tasks = Tasks(tasks.total, tasks.done, tasks.failed, waiting=tasks.not_run)
    holder = held.holder
    run = snapshot.Run(holder.host, holder.pid, holder.job) if holder else snapshot.Run()
    silent_s = held.silent_s if held.hand is not Hand.NOBODY else None
    seen = Snapshot(snapshot.SCHEMA, shown_name(tasklist), state, tasks, time.time(), silent_s, run)
    return Situation(seen, whole=False, remarks=[*remarks, *([remark] if remark else [])])


def _state(tasks: Tasks, held: Held, names: Names) -> tuple[str, str]:
    """Return the state of a run of which there is no word, and what to remark."""
    if held.hand is Hand.RUNNING:
        return snapshot.RUNNING, ""
    if tasks.done == tasks.total:
        return snapshot.DONE, ""
    if held.hand is Hand.GONE:
        return snapshot.GONE, ""
    ago = time.time() - max(_changed(names.progress), _changed(names.fastrecovery))
    if not names.joblog.exists() and ago < _RECENT_S:
        return (
            snapshot.RUNNING,
            f"nobody has locked the list; its files were written {max(0, ago):.0f} s ago: by TaskFarmer?",
        )
    return snapshot.FAILED if not tasks.not_run else snapshot.STOPPED, ""


def _changed(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return float("-inf")
