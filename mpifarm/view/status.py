"""What people hear of a run while it runs, and when it ends: sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mpifarm.journal.lines import Attempt, in_one_line
from mpifarm.launcher.frames import Killed
from mpifarm.schedule.answers import Counts
from mpifarm.schedule.quarantine import Fitness, Judged
from mpifarm.view import advice, units
from mpifarm.view.facts import End, Room, Stop
from mpifarm.words import count, duration

_MOST_TOLD = 3  # workers
_MOST_REASONS = 5  # that are told apart


def ended(end: End, now: int, reasons: int) -> str:
    """Return the last line of a run, in which *now* tasks have succeeded, and others failed for so many *reasons*."""
    took = duration(end.ran_s)
    if end.done == end.total and end.stop is Stop.NOTHING:
        if end.total == 1:
            return f"the one task is done, in {took}"
        return f"all {end.total:,} tasks are done, {now:,} of them now, in {took}"
    words = [f"{end.done:,} of {end.total:,} done"]
    if end.failed:
        known = f" ({count(reasons, 'reason')})" if 0 < reasons < _MOST_REASONS else ""
        words.append(f"{end.failed:,} failed{known}")
    if end.left:
        some = "" if end.undecided == end.left else f"{end.undecided:,} of them "
        undecided = f" ({some}failed once, at least)" if end.undecided else ""
        words.append(f"{end.left:,} left{undecided}")
    stop = f": {end.stop.value.format(end.by)}" if end.stop.value else ""
    return f"{', '.join(words)}, in {took}{stop}"


def memory(room: Room, fit: int) -> str:
    """Return what tasks take of the memory of their node, which has room for *fit* of them."""
    peak, whole = units.memory(room.peak_kib), units.memory(room.node_kib)
    called_for = "".join(f"; {one.said}" for one in advice.advise(advice.OF_MEMORY, room))
    return f"peak {peak} a task; a node of {whole} has room for {fit:,}, and {room.slots:,} run at a time{called_for}"


def giving_up(limit: str, counts: Counts) -> str:
    """Return what is to be said when more tasks have failed than --max-fails *limit* allows."""
    running = f", and {count(counts.leased, 'task')} may end" if counts.leased else ""
    return f"--max-fails {limit}: {_have(counts.failed, 'task')} failed for good: nothing more is started{running}"


def missing(workers: Iterable[str]) -> str:
    """Return what has become of the *workers* of a run in which nobody could run anything."""
    told = list(dict.fromkeys(workers))
    return "; ".join(told[:_MOST_TOLD]) + (f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else "")


def cut_off(tasks: int, longest: Attempt, place: str) -> str:
    """Return what is to be said of as many *tasks* that the end of the job has ended, the *longest* of them at *place*."""
    command = in_one_line(longest.command).decode(errors="replace")
    ran = f"task {longest.seq} ({place}), had run {duration(longest.seconds)}: {command}"
    return f"the end of the job has interrupted {count(tasks, 'task')} (see the log); the longest, {ran}"


def unread_yet(tasks: int) -> str:
    """Return what is to be said while what so many *tasks* have printed is not read."""
    return f"nobody reads standard output: what {count(tasks, 'task')} had printed waits, and is not recorded before"


def unread(tasks: int) -> str:
    """Return what is to be said of so many *tasks* that are done, and of which what they have printed was not read."""
    return (
        f"standard output was not read: what {count(tasks, 'task')} had printed is lost, or cut at its end:"
        " they are not recorded, and will run again"
    )


def judgement(judged: Judged) -> str:
    """Return what is to be said when it changes what is thought of a node."""
    if judged.fitness is Fitness.FIT:
        if not judged.failures:
            return f"node {judged.node} gets tasks again: one has succeeded there"
        return f"node {judged.node} gets tasks again: what failed there fails elsewhere, too, or nobody else is left"
    if judged.fitness is Fitness.SUSPECTED:
        return (
            f"node {judged.node}: the last {judged.failures} attempts there have all failed:"
            " those tasks are tried elsewhere, uncharged; until then it gets another one now and then"
        )
    return (
        f"node {judged.node} is in quarantine: what failed there succeeds elsewhere;"
        " it gets a task now and then, uncharged, until one succeeds there"
    )


def left_behind(attempt: Attempt, place: str) -> str:
    """Return what is to be said of a task, at *place* in the list, that has succeeded, and left processes behind."""
    processes = count(attempt.left, "process", "es")
    command = in_one_line(attempt.command).decode(errors="replace")
    return (
        f"task {attempt.seq} ({place}) has ended with 0, and {processes} of it went on in the background:"
        f" it counts as done, whatever comes of them, and they are killed when the farm ends: {command}"
    )


def killed(killed: Killed, place: Callable[[int], str]) -> str:
    """Return what is to be said of what tasks had left running until the end; nothing if there was nothing.

    *place* tells where a task stands, by its seq.
    """
    if not killed.processes:
        return ""
    left_by = ", ".join(f"task {seq} ({place(seq)})" for seq in killed.tasks)
    tasks = f" (left by {left_by})" if left_by else ""
    return f"{count(killed.processes, 'process', 'es')} that went on in the background{tasks} had not ended: killed"


def _have(number: int, noun: str) -> str:
    return f"{count(number, noun)} {'has' if number == 1 else 'have'}"
