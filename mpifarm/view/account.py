"""The account of a list: from its files, over all starts, what became of every task and of every attempt.

The rule: the files are read and nothing is asked or written, so this is as good for a farm that runs as for one that was
killed. What is done is what the next start would take for done (`standing`); how it went tells the joblog (`attempts`); why
it failed, and what befell the farm, the log (`logbook`). Where they differ the first one stands: a task that the joblog
calls a success and progress does not will run again.

Edge cases make all this a bit tricky:
1. A line of the joblog whose Seq and Offset are not those of a task of the list (0 and -1, or another list's) is of a task
   that is not in it any more. It is history: its time was spent, and it is no task's.
2. An attempt that was stopped with the farm looks like a failed one in the joblog. The log has no `failed` of it.
3. The log tells of a start only since there is such an event. Before, a pause without any task tells of one: PAUSE_S is
   longer than a farm waits before it tries a task again. Where the log does tell, the longest pause thereabouts is it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpifarm.journal.names import Names
from mpifarm.view import attempts, logbook, standing
from mpifarm.view.attempts import Attempts
from mpifarm.view.logbook import Event, Failure, Logbook, Mark
from mpifarm.view.standing import Standing

PAUSE_S = 60.0
_START_S = 1800.0  # that may pass between the start of a farm and that of its first task
_LATE_S = 30.0  # after its first tasks a farm may say that it has started: when the last worker has come
_STAMP_S = 1.5  # by which a time of the log may differ from those of the joblog

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Kind(IntEnum):
    """What an attempt was."""

    SUCCEEDED = 0
    FAILED = 1
    STOPPED = 2  # with the farm: it runs again, uncharged
    REPEATED = 3  # a success that a later one has replaced
    HISTORY = 4  # of a task that is not in the list any more


class State(IntEnum):
    """What became of a task."""

    DONE = 0
    FAILED = 1
    STOPPED = 2  # it has run, and has to run again
    UNRUN = 3


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which tasks ran without a pause: from one start to the next."""

    begin: float  # Unix time, seconds
    end: float
    cut: bool  # it ended with work left
    started: str = ""  # what the log says of the start, if it does


@dataclass(frozen=True, slots=True)
class Account:
    """What became of a list."""

    tasklist: Path
    names: Names
    standing: Standing
    attempts: Attempts
    logbook: Logbook
    kinds: NDArray[np.int8]  # Kind, shape (attempts,)
    failures: dict[int, Failure]  # place of a failed attempt -> what the log has of it
    states: NDArray[np.int8]  # State, shape (tasks,)
    last: Numbers  # place of the last attempt of each task, -1 if there is none
    stretches: list[Stretch]
    stretch: NDArray[np.int32]  # of each attempt

    @property
    def ends(self) -> Floats:
        """When each attempt ended, Unix time."""
        ends: Floats = self.attempts.rows["start"] + self.attempts.rows["seconds"]
        return ends

    def tasks(self, state: State) -> int:
        """Return how many tasks are in a *state*."""
        return int(np.count_nonzero(self.states == state))

    def of(self, kind: Kind) -> Mask:
        """Return which attempts are of a *kind*."""
        mask: Mask = self.kinds == kind
        return mask

    def marks(self, *kinds: Mark) -> list[Event]:
        """Return what befell the farm."""
        return [event for event in self.logbook.events if event.mark in kinds]


def read(tasklist: Path) -> Account:
    """Read the files of *tasklist* in this directory. Raises FarmError where they are no run of it, and OSError."""
    names = standing.names_of(tasklist)
    found = standing.read(tasklist, names)
    tried = attempts.read(names.joblog) if names.joblog.is_file() else attempts.none(names.joblog)
    return make(tasklist, names, found, tried, logbook.read(names.log))


def make(tasklist: Path, names: Names, found: Standing, tried: Attempts, book: Logbook) -> Account:
    """Return the account of what was read."""
    place, known = tasks_of(found, tried)
    kinds, failures = _kinds(tried, book)
    last = np.full(found.offsets.size, -1, dtype=np.int64)
    last[place[known]] = np.flatnonzero(known)  # of many, the last one stays
    successes = np.flatnonzero(known & (kinds == Kind.SUCCEEDED))
    newest = np.full(found.offsets.size, -1, dtype=np.int64)
    newest[place[successes]] = successes
    kinds[successes[newest[place[successes]] != successes]] = Kind.REPEATED
    states = _states(found, last, kinds)
    kinds[~known] = Kind.HISTORY
    stretches, of_each = _stretches(tried, kinds, book)
    if stretches:
        stretches = _cut(stretches, _last_begun(place, known, of_each), bool((states >= State.STOPPED).any()))
    return Account(tasklist, names, found, tried, book, kinds, failures, states, last, stretches, of_each)


def tasks_of(found: Standing, tried: Attempts) -> tuple[Numbers, Mask]:
    """Return which task each attempt is of, and whether it is one of the list at all."""
    if not found.offsets.size:
        return np.zeros(tried.rows.size, dtype=np.int64), np.zeros(tried.rows.size, dtype=np.bool_)
    place = np.minimum(np.searchsorted(found.offsets, tried.rows["offset"]), found.offsets.size - 1)
    known = (found.offsets[place] == tried.rows["offset"]) & (found.seqs[place] == tried.rows["seq"])
    return place, known


def _kinds(tried: Attempts, book: Logbook) -> tuple[NDArray[np.int8], dict[int, Failure]]:
    """Return of which kind each attempt is, and what the log has of those that failed."""
    rows = tried.rows
    bad = np.flatnonzero((rows["exit"] != 0) | (rows["signal"] != 0))
    kinds = np.full(rows.size, Kind.SUCCEEDED, dtype=np.int8)
    kinds[bad] = Kind.STOPPED if book.exists else Kind.FAILED
    failures: dict[int, Failure] = {}
    milliseconds = np.rint(rows["seconds"][bad] * 1000).astype(np.int64).tolist()
    who = rows[["node", "slot", "attempt"]][bad].tolist()
    places = bad.tolist()
    for where, thousandths, (node, slot, attempt), command in zip(
        places, milliseconds, who, tried.commands(places), strict=True
    ):
        failure = book.failures.get(logbook.key(tried.nodes[node], slot, attempt, thousandths, command))
        if failure:
            failures[where] = failure
    kinds[list(failures)] = Kind.FAILED
    return kinds, failures


def _states(found: Standing, last: Numbers, kinds: NDArray[np.int8]) -> NDArray[np.int8]:
    states = np.full(last.size, State.UNRUN, dtype=np.int8)
    tried = last >= 0
    states[tried] = np.where(kinds[last[tried]] == Kind.FAILED, State.FAILED, State.STOPPED)
    states[found.done] = State.DONE
    return states


def _stretches(tried: Attempts, kinds: NDArray[np.int8], book: Logbook) -> tuple[list[Stretch], NDArray[np.int32]]:
    """Return the stretches of work, and in which of them each attempt was."""
    rows = tried.rows
    if not rows.size:
        return [], np.empty(0, dtype=np.int32)
    order = np.argsort(rows["start"], kind="stable")
    starts = rows["start"][order]
    ended = np.maximum.accumulate(starts + rows["seconds"][order])
    pauses = starts[1:] - ended[:-1]
    first = np.concatenate(([True], pauses > PAUSE_S))
    for at in [event.at for event in book.events if event.mark is Mark.STARTED][1:]:
        near = (starts[1:] >= at - _LATE_S) & (ended[:-1] <= at + _STAMP_S) & (pauses > 0)
        if near.any():
            first[1 + int(np.argmax(np.where(near, pauses, 0)))] = True
    stretch = np.empty(rows.size, dtype=np.int32)
    stretch[order] = np.cumsum(first) - 1
    begins = starts[first].tolist()
    lasts = ended[np.append(first[1:], True)].tolist()
    stopped = np.bincount(stretch, kinds == Kind.STOPPED, len(begins)) > 0
    limits = [event.at for event in book.events if event.mark in (Mark.LIMIT, Mark.STOPPED)]
    made, before = [], float("-inf")
    for begin, end, cut in zip(begins, lasts, stopped.tolist(), strict=True):
        event = _start_of(book, max(before, begin - _START_S), begin)
        limited = any(begin - _STAMP_S <= at <= end + _STAMP_S for at in limits)
        at = min(begin, max(event.at, before)) if event else begin
        made.append(Stretch(at, end, bool(cut) or limited, event.text.removeprefix("started: ") if event else ""))
        before = end
    return made, stretch


def _last_begun(place: Numbers, known: Mask, of_each: NDArray[np.int32]) -> int:
    """Return the last stretch in which a task was tried that had not been tried before."""
    stretch = of_each[known]
    if not stretch.size:
        return 0
    first = np.full(int(place[known].max()) + 1, np.iinfo(np.int32).max, dtype=np.int32)
    np.minimum.at(first, place[known], stretch)
    return int(first[place[known]].max())


def _cut(stretches: list[Stretch], last_begun: int, left: bool) -> list[Stretch]:
    """Return *stretches*, and all in which work was *left*, or begun only later, are cut."""
    last = len(stretches) - 1
    return [
        replace(stretch, cut=stretch.cut or number < last_begun or (number == last and left))
        for number, stretch in enumerate(stretches)
    ]


def _start_of(book: Logbook, after: float, begin: float) -> Event | None:
    """Return the last event of a start between *after* and the first task of a stretch."""
    starts = [event for event in book.events if event.mark is Mark.STARTED]
    return next((event for event in reversed(starts) if after - _STAMP_S <= event.at <= begin + _STAMP_S), None)
