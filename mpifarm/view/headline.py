"""The top of a report: how a list stands in one sentence, over which starts, what could not be read, and five numbers.

The rule: never 100 % before the last task is done, nor 0 % after the first. Of a farm that runs it is said that it does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mpifarm import texts
from mpifarm.view import series, units
from mpifarm.view.account import Account, Kind, State
from mpifarm.view.hand import Hand
from mpifarm.view.logbook import Mark
from mpifarm.view.reasons import Reason
from mpifarm.view.slottime import SlotTime


def verdict(account: Account, why: Sequence[Reason]) -> str:
    """Return in one sentence how the list stands."""
    total, done = account.states.size, account.tasks(State.DONE)
    failed, stopped, unrun = (account.tasks(state) for state in (State.FAILED, State.STOPPED, State.UNRUN))
    if not total:
        return "The list has no task."
    if done == total:
        return f"All {units.counted(total, 'task')} are done." if total > 1 else "The one task is done."
    parts = []
    if failed:
        among = sum(reason.tasks > 0 for reason in why)
        parts.append(f"{failed:,} failed" + (f" ({units.counted(among, 'reason')})" if among else ""))
    if account.standing.hand is Hand.RUNNING:
        parts.append(f"{stopped + unrun:,} are running or wait")
    else:
        parts += [f"{stopped:,} were stopped and have to run again"] * (stopped > 0)
        parts += [f"{unrun:,} have not run"] * (unrun > 0)
    so_far = " so far" if account.standing.hand is Hand.RUNNING else ""
    return f"{done:,} of {units.counted(total, 'task')} are done{so_far}: {', '.join(parts)}."


def covers(account: Account) -> str:
    """Return over how many starts that went, and who has the list now."""
    told, stretches = account.marks(Mark.STARTED), account.stretches
    parts = []
    if stretches:
        first, last = units.clock(stretches[0].begin), units.clock(stretches[-1].end)
        known = bool(told) and len(told) >= len(stretches)
        starts = units.counted(len(told), "start") if known else units.counted(len(stretches), "stretch", "es") + " of work"
        parts.append(f"{starts}, {first} to {last}")
    for mark, noun in (
        (Mark.LIMIT, "limit"),
        (Mark.LOST, "lost node"),
        (Mark.QUARANTINE, "quarantine"),
        (Mark.KILLED, "kill"),
    ):
        count = len(account.marks(mark))
        parts += [units.counted(count, noun)] * (count > 0)
    hand, holder = account.standing.hand, account.standing.holder
    whose = f" ({texts.shown(str(holder))})" if holder else ""
    if hand is Hand.RUNNING:
        parts.append(f"the farm is running{whose}, and this is how it stands now")
    elif hand is Hand.GONE:
        parts.append(f"the farm{whose} has ended without a word")
    return "; ".join(parts)


def bad(account: Account) -> str:
    """Return what was left out of the files, and what is not there."""
    names, parts = account.names, []
    if not account.attempts.rows.size and not names.joblog.is_file():
        parts.append(f"there is no {names.joblog.name}: how it went is not known")
    elif not account.logbook.exists:
        parts.append(
            f"there is no {names.log.name}: what was stopped with the farm counts as failed, and no reason is known"
        )
    if account.attempts.bad:
        parts.append(
            f"{units.counted(account.attempts.bad, 'line')} of {names.joblog.name} cannot be read, and do not count"
        )
    if account.standing.bad:
        parts.append(f"{units.counted(account.standing.bad, 'line')} of {names.progress.name} are damaged: they run again")
    history = int(np.count_nonzero(account.of(Kind.HISTORY)))
    if history:
        parts.append(
            f"{units.counted(history, 'attempt')} of tasks that are no longer in the list count as time spent only"
        )
    return texts.shown("; ".join(parts), 1000)


def numbers(account: Account, slots: SlotTime) -> list[tuple[str, str, str]]:
    """Return the five numbers: each, what it is of, and more about it."""
    rows = account.attempts.rows
    total, failed = account.states.size, account.tasks(State.FAILED)
    cpu_s = float((rows["user_s"] + rows["system_s"]).sum())
    done = account.tasks(State.DONE)
    tries = int(np.count_nonzero(account.of(Kind.FAILED)))
    passed = account.stretches[-1].end - account.stretches[0].begin if account.stretches else 0.0
    worked = series.span(account)
    return [
        (f"{done:,}", "done", f"of {total:,}, {_floor(done, total)}"),
        (f"{failed:,}", "failed", f"{units.counted(tries, 'failed attempt')}"),
        (
            units.time(worked),
            "wall time",
            f"within {units.time(passed)}" if passed > 1.01 * worked else "first start to last end",
        ),
        (units.percent(slots.busy), "of slots busy", units.counted(max(slots.slots, default=0), "slot")),
        (units.hours(cpu_s), "core-hours used", f"of {units.hours(slots.held_s)} slot-hours held"),
    ]


def _floor(done: int, total: int) -> str:
    """Return a share that is never 100 % before the end, nor 0 % after the first."""
    if done in (0, total):
        return "100 %" if done and done == total else "0 %"
    return f"{min(99.9, max(0.1, 100 * done / total)):.1f} %"
