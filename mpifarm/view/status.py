"""What people hear of a run while it runs, and when it ends: sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from mpifarm.journal.lines import Attempt, in_one_line
from mpifarm.launcher.frames import Killed
from mpifarm.schedule.answers import Counts, Outcome
from mpifarm.schedule.quarantine import Fitness, Judged
from mpifarm.words import count, done_of, duration

_MOST_TOLD = 3  # workers
_MOST_REASONS = 5  # that are told apart


def verdict(outcome: Outcome, counts: Counts, total: int, done_before: int, elapsed_s: float, log: Path) -> str:
    """Return the last line of a run."""
    done = done_before + counts.done
    if outcome is Outcome.ALL_SUCCEEDED:
        if total == 1:
            return f"the one task is done, in {duration(elapsed_s)}"
        return f"all {total} tasks are done, {counts.done} of them now, in {duration(elapsed_s)}"
    failed = f", {counts.failed} failed (see {log})" if counts.failed else ""
    them = "it" if counts.failed == 1 else "them"
    again = "start again to go on" if outcome is Outcome.WORK_LEFT else f"start again to try {them} again"
    return f"{done_of(done, total)}{failed}: {again}"


def why(failed: int, reasons: int) -> str:
    """Return how many tasks have failed, for how many *reasons* as far as that is known, as the end of a sentence."""
    if not failed:
        return ""
    known = f" ({count(reasons, 'reason')})" if 0 < reasons < _MOST_REASONS else ""
    return f", {failed:,} failed{known}"


def giving_up(limit: str, counts: Counts) -> str:
    """Return what is to be said when more tasks have failed than --max-fails *limit* allows."""
    running = f", and {count(counts.leased, 'task')} may end" if counts.leased else ""
    return f"--max-fails {limit}: {_have(counts.failed, 'task')} failed for good: nothing more is started{running}"


def gave_up(limit: str, counts: Counts, total: int, done_before: int, log: Path) -> str:
    """Return the last line of a run in which more tasks have failed than --max-fails *limit* allows."""
    done = done_before + counts.done
    left = total - done - counts.failed
    again = f", {counts.undecided} more at least once" if counts.undecided else ""
    failed = f"{_have(counts.failed, 'task')} failed for good{again} (see {log})"
    them = "it" if counts.failed + counts.undecided == 1 else "them"
    if not left:
        return f"{failed}, which is more than --max-fails {limit}; {_are(done)} done: mend {them}, and start again"
    not_run = f"{left - counts.undecided} were" if left - counts.undecided != 1 else "1 was"
    run = f"{_are(done)} done, {not_run} not run"
    return f"stopped by --max-fails {limit}: {failed}, {run}: mend {them}, and start again to go on"


def in_vain(done: int, total: int) -> str:
    """Return the last line of a run that the end of the job has ended before anything came of it."""
    return (
        f"{done_of(done, total)}: nothing was finished in this job, and nothing begun that an earlier one had not"
        " begun: starting again does not help, ask for a longer job"
    )


def no_worker(missing: Iterable[str], done: int, total: int) -> str:
    """Return the last line of a run in which nobody could run anything, and *missing* is why, for each worker."""
    told = list(dict.fromkeys(missing))
    why = "; ".join(told[:_MOST_TOLD]) + (f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else "")
    return f"{done_of(done, total)}, and no worker could run anything: {why}: mend that, or start elsewhere"


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


def _are(number: int) -> str:
    return f"{number} {'is' if number == 1 else 'are'}"


def _have(number: int, noun: str) -> str:
    return f"{count(number, noun)} {'has' if number == 1 else 'have'}"
