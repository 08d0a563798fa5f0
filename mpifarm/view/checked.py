"""`--check`: what is wrong or odd in a list, how much of it is done, and how long the rest of it would take.

The rule: it reads, and no more: no lock, no file, no process but a shell that reads lines. What it found goes to standard
output, as `LIST:LINE: error:` or `remark:`, for people and editors; how far it is to standard error, if that is a terminal.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpifarm import FarmError, as_line, say_all
from mpifarm.journal import claim
from mpifarm.journal.names import Names, check_read
from mpifarm.settings import Config
from mpifarm.tasks import wording
from mpifarm.tasks.check import Place
from mpifarm.tasks.faults import Fault, Tally
from mpifarm.tasks.looks import Looks, Survey
from mpifarm.tasks.survey import survey
from mpifarm.view import advice, attempts, plan, standing, units
from mpifarm.view.hand import Hand
from mpifarm.view.standing import Standing

_SHELL = "/bin/sh"
_LINE_EVERY_S = 0.2
_NOUNS = {Fault.PROGRAM: "program", Fault.DIRECTIVE: "directive"}
_DRAW = 1  # the seed: the same plan each time

Floats = NDArray[np.float64]


@dataclass(slots=True)
class _Found:
    """How the list stands, as far as its files tell."""

    done: int = 0
    refused: list[str] = field(default_factory=list)  # sentences
    told: list[str] = field(default_factory=list)
    times: Floats | None = None  # seconds of the attempts that succeeded


def check(config: Config, path: str, nodes: int | None, task_s: float | None) -> int:
    """Print what there is to say of the list; return 2 if a start would be refused, else 0.

    *path*: the tasks' PATH; *nodes*: the most to plan for; *task_s*: of a task. Raises FarmError.
    """
    tasklist = Path(config.tasklist)
    names = standing.names_of(tasklist)
    shell = config.shell or _SHELL
    looks = Looks(shell, path, config.variables, config.anyway, config.ignore_directives, config.each)
    meter = _Meter()
    try:
        seen = survey(tasklist, names.tfin, looks, meter.at)
        found = _stands(config, names, seen)
    except OSError as error:
        raise FarmError(f"cannot check {tasklist}: {error.filename or shell}: {error.strerror}") from None
    finally:
        meter.end()
    lines = [*_lines(tasklist, seen), *(f"{tasklist}: error: {text}" for text in found.refused)]
    lines += [f"{tasklist}: {text}" for text in _summary(seen, found)]
    lines += [f"{tasklist}: {text}" for text in _plan(config, seen, found, nodes, task_s)] if seen.tasks else []
    _print("".join(f"{as_line(line)}\n" for line in lines))
    return 2 if seen.errors() or found.refused else 0


# what is wrong with lines


def _lines(tasklist: Path, seen: Survey) -> list[str]:
    """Return a line for each place, errors first, and what to do behind each kind."""
    said: list[str] = []
    order = sorted(seen.tallies.items(), key=lambda item: (item[0] not in seen.refused, item[1].places[0].number))
    for fault, tally in order:
        kind = "error" if fault in seen.refused else "remark"
        said += [f"{tasklist}:{_where(place)}: {kind}: {place.said}" for place in tally.places]
        said += _rest(tasklist, fault, tally)
    return said


def _where(place: Place) -> str:
    return f"{place.number}-{place.last}" if place.last else str(place.number)


def _rest(tasklist: Path, fault: Fault, tally: Tally) -> list[str]:
    more = tally.count - len(tally.places)
    what = _NOUNS.get(fault, "line")
    beyond = f"and {'' if tally.exact else 'at least '}{more:,} more such {what}{'s' if more > 1 else ''}" if more else ""
    words = [word for word in (beyond, advice.LINES.get(fault, "")) if word]
    return [f"{tasklist}: {': '.join(words)}"] if words else []


def _summary(seen: Survey, found: _Found) -> list[str]:
    tasks = units.counted(seen.tasks, "task")
    if not seen.tasks:
        said = ["it has no tasks: nothing to do"]
    elif found.done:
        said = [f"{tasks}, {found.done:,} done already, {seen.tasks - found.done:,} to run"]
    else:
        said = [f"{tasks}, none of which is done"]
    errors, remarks = seen.errors() + len(found.refused), seen.remarks()
    verdict = f"{units.counted(errors, 'error')}: a start would be refused" if errors else "a start would not be refused"
    said += [*found.told, *(f"not looked at: {what}" for what in seen.not_looked_at)]
    return [*said, f"{verdict}; {units.counted(remarks, 'remark')}"]


# how it stands


def _stands(config: Config, names: Names, seen: Survey) -> _Found:
    """Return how the list stands. Raises OSError."""
    found = _Found()
    try:
        check_read(names)
    except FarmError as error:
        found.refused.append(str(error))
        return found
    if not names.tfin.is_file() or not any(path.exists() for path in (names.progress, names.fastrecovery, names.done)):
        return found
    try:
        stands = standing.read(Path(config.tasklist), names)
        found.told += claim.check_each(stands.checkpoint, config.tasklist, config.each, config.rerun)
        _remember(names, found)
    except FarmError as error:
        found.refused += [] if config.rerun else [str(error)]
        return found
    if stands.hand is Hand.RUNNING:
        found.told.append("a farm may be running it now: its lock is fresh")
    if config.rerun:
        return found
    if seen.differs_at is not None and seen.differs_at < names.tfin.stat().st_size:
        _edited(config, stands, found)
    else:
        found.done = int(np.count_nonzero(stands.done))
    return found


def _edited(config: Config, stands: Standing, found: _Found) -> None:
    done = units.counted(int(np.count_nonzero(stands.done)), "task")
    changed = wording.another_each(stands.each, config.each)
    if changed:
        found.told.append(f"{changed[0]} since it was dealt")
    was = f"it was edited since it was dealt, and {done} of it as it was then {'is' if done == '1 task' else 'are'} done"
    if config.edited:
        found.told.append(f"{was}: what is unchanged of them stays done")
    else:
        found.refused.append(f"{was}: start with --edited to keep what is unchanged of them, or --rerun to forget all")


def _remember(names: Names, found: _Found) -> None:
    """Note how long attempts took."""
    if names.joblog.is_file():
        rows = attempts.read(names.joblog).rows
        found.times = rows["seconds"][(rows["exit"] == 0) & (rows["signal"] == 0)]


# how long it takes


def _plan(config: Config, seen: Survey, found: _Found, nodes: int | None, task_s: float | None) -> list[str]:
    """Return what the schedule makes of it, on 1, 2, 4, ... nodes."""
    left = seen.tasks - found.done
    if not left:
        return []
    if task_s is not None:
        times, whose = np.full(left, task_s), f"{units.time(task_s)} a task, as --task-time says"
    elif found.times is not None and found.times.size:
        times = np.random.default_rng(_DRAW).choice(found.times, left)
        mean = units.time(float(found.times.mean()))
        whose = f"{mean} a task in the mean, as {units.counted(found.times.size, 'attempt')} of earlier runs took"
    else:
        asked = " for --nodes" if nodes is not None else ""
        return [f"how long it takes is not known{asked}: no attempt of it has succeeded here; give --task-time TIME"]
    slots, where = _slots(config)
    choices, played = plan.plans(times, slots, nodes or plan.DEFAULT_NODES)
    said = [f"{units.counted(left, 'task')}, {whose}; {units.counted(slots, 'slot')} on each node, {where}"]
    if played < left:
        said.append(f"a sample: the schedule plays the last {units.counted(played, 'task')}, before these all slots work")
    said.append(advice.PLANNED)
    said.append(f"{'nodes':>6} {'time':>9} {'node-hours':>11}   in the batch script, with a quarter more and a minute")
    for choice in choices:
        cost = units.hours(choice.node_hours * 3600)
        said.append(f"{choice.nodes:>6} {units.time(choice.seconds):>9} {cost:>11}   {choice.line}")
    best = advice.advise(advice.OF_A_PLAN, choices)
    return [*said, *(f"{one.line}: {one.why}" for one in best)]


def _slots(config: Config) -> tuple[int, str]:
    if config.threads is not None:
        return config.threads, "as --threads or THREADS says"
    return max(1, config.usable_cpus), "as many as this machine has CPUs for us (if the nodes have others, give -j N)"


# what is printed


class _Meter:
    """A line that tells how far it is, on a terminal."""

    def __init__(self) -> None:
        self._next = time.monotonic() + 2 * _LINE_EVERY_S
        self._shown = False

    def at(self, share: float) -> None:
        """*share* of the list has been read."""
        if time.monotonic() >= self._next and os.isatty(2):
            self._next, self._shown = time.monotonic() + _LINE_EVERY_S, True
            say_all(f"\rmpifarm: checking, {100 * share:.0f} % read ")

    def end(self) -> None:
        """Take the line away."""
        if self._shown:
            say_all("\r\033[K")


def _print(text: str) -> None:
    """Print on standard output. Raises FarmError if that takes no more."""
    view = memoryview(text.encode(errors="backslashreplace"))
    try:
        while view:
            view = view[os.write(1, view) :]
    except OSError as error:
        raise FarmError(f"--check: cannot write to standard output: {error.strerror}") from None
