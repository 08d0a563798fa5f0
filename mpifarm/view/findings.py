"""What an account comes to: the sentences, numbers and rows of a report, whatever it is drawn with.

The rule: here every number is made, and nothing is drawn. What others have written (commands, what tasks have printed,
names of nodes) becomes text without anything that a terminal or a browser would do something for; that it is escaped where
it is shown is up to whoever shows it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpifarm.view import advice, nodes, reasons, series, slottime, standing, units
from mpifarm.view.account import Account, Kind, State
from mpifarm.view.advice import Advice, Facts
from mpifarm.view.logbook import Mark
from mpifarm.view.nodes import Node
from mpifarm.view.reasons import Reason
from mpifarm.view.series import Busy, Histogram, Pace
from mpifarm.view.slottime import SlotTime
from mpifarm.view.standing import Hand

_MOST_SLOWEST = 20
_MOST_NODES = 20
_MOST_REASONS = 20
_MOST_MARKS = 40
_MOST_SHOWN = 240  # characters of a command

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Marked:
    """What befell the farm, where it stands on the axis of time worked."""

    worked_s: float
    clock: str
    what: str
    text: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Values of attempts, and how they are spread."""

    median: float
    usual: float  # 95 % are not above
    most: float
    histogram: Histogram


@dataclass(frozen=True, slots=True)
class Task:
    """A task as an example of something."""

    place: str  # tasks.txt:18
    seq: int
    command: str
    node: str
    seconds: float
    how: str  # its kind of end


@dataclass(frozen=True, slots=True)
class Failed:
    """A reason why tasks failed, with an example."""

    reason: Reason
    gist: str
    task: Task


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a report shows, in its order."""

    name: str
    verdict: str
    covers: str  # the starts and what befell them
    bad: str  # what could not be read; empty if all could
    numbers: list[tuple[str, str, str]]  # value, what it is, and more about it
    advice: list[Advice]
    busy: Busy | None  # None: no attempt is known
    marks: list[Marked]
    slots: SlotTime
    pace: Pace | None
    nodes: list[Node]  # the odd ones, where there are many
    node_count: int
    times: Spread | None
    memory: Spread | None
    reasons: list[Failed]
    reason_count: int
    slowest: list[Task]
    how: list[tuple[str, str]]


def find(account: Account) -> Findings:
    """Return what an account comes to."""
    rows = account.attempts.rows
    slots = slottime.balance(account)
    all_nodes = nodes.nodes(account) if rows.size else []
    good = account.of(Kind.SUCCEEDED)
    times = _spread(account, rows["seconds"]) if rows.size else None
    peaks = rows["rss_kib"].astype(np.float64)
    memory = _spread(account, peaks) if rows.size and peaks.any() else None
    why = reasons.grouped(account)
    examples = _tasks(account, [reason.example for reason in why[:_MOST_REASONS]])
    slowest = np.argsort(rows["seconds"], kind="stable")[::-1][:_MOST_SLOWEST].tolist()
    odd = [node for node in all_nodes if node.odd] if len(all_nodes) > _MOST_NODES else all_nodes
    facts = _facts(account, slots, all_nodes, why, good, times)
    return Findings(
        name=shown(account.tasklist.name),
        verdict=_verdict(account, why),
        covers=_covers(account),
        bad=_bad(account),
        numbers=_numbers(account, slots),
        advice=advice.advise(facts),
        busy=series.busy(account, slots.slots) if rows.size else None,
        marks=_marks(account) if rows.size else [],
        slots=slots,
        pace=series.pace(account) if rows.size else None,
        nodes=odd[:_MOST_NODES],
        node_count=len(all_nodes),
        times=times,
        memory=memory,
        reasons=[
            Failed(reason, shown(reason.gist), task) for reason, task in zip(why[:_MOST_REASONS], examples, strict=True)
        ],
        reason_count=len(why),
        slowest=_tasks(account, slowest),
        how=list(_how(account, slots, all_nodes)),
    )


def shown(text: str, most: int = _MOST_SHOWN) -> str:
    """Return *text* as one line, its control characters as escapes, and not longer than *most* characters."""
    line = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode() for letter in text[: most + 1]
    )
    return line if len(line) <= most else line[: most - 1] + "…"


def _verdict(account: Account, why: Sequence[Reason]) -> str:
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


def _covers(account: Account) -> str:
    """Return over how many starts that went, and who has the list now."""
    told, stretches = account.marks(Mark.STARTED), account.stretches
    parts = []
    if stretches:
        first, last = _clock(stretches[0].begin), _clock(stretches[-1].end)
        known = bool(told) and len(told) >= len(stretches)
        starts = units.counted(len(told), "start") if known else units.counted(len(stretches), "stretch", "es") + " of work"
        parts.append(f"{starts}, {first} to {last}")
    for mark, noun in ((Mark.LIMIT, "limit"), (Mark.LOST, "lost node"), (Mark.QUARANTINE, "quarantine"), (Mark.KILLED, "kill")):
        count = len(account.marks(mark))
        parts += [units.counted(count, noun)] * (count > 0)
    hand, holder = account.standing.hand, account.standing.holder
    whose = f" ({shown(str(holder))})" if holder else ""
    if hand is Hand.RUNNING:
        parts.append(f"the farm is running{whose}, and this is how it stands now")
    elif hand is Hand.GONE:
        parts.append(f"the farm{whose} has ended without a word")
    return "; ".join(parts)


def _bad(account: Account) -> str:
    """Return what was left out of the files, and what is not there."""
    names, parts = account.names, []
    if not account.attempts.rows.size and not names.joblog.is_file():
        parts.append(f"there is no {names.joblog.name}: how it went is not known")
    elif not account.logbook.exists:
        parts.append(f"there is no {names.log.name}: what was stopped with the farm counts as failed, and no reason is known")
    if account.attempts.bad:
        parts.append(f"{units.counted(account.attempts.bad, 'line')} of {names.joblog.name} cannot be read, and do not count")
    if account.standing.bad:
        parts.append(f"{units.counted(account.standing.bad, 'line')} of {names.progress.name} are damaged: they run again")
    history = int(np.count_nonzero(account.of(Kind.HISTORY)))
    if history:
        parts.append(f"{units.counted(history, 'attempt')} of tasks that are no longer in the list count as time spent only")
    return shown("; ".join(parts), 1000)


def _numbers(account: Account, slots: SlotTime) -> list[tuple[str, str, str]]:
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
        (units.time(worked), "wall time", f"within {units.time(passed)}" if passed > 1.01 * worked else "first start to last end"),
        (units.percent(slots.busy), "of slots busy", f"{max(slots.slots, default=0):,} slots"),
        (units.hours(cpu_s), "core-hours used", f"of {units.hours(slots.held_s)} slot-hours held"),
    ]


def _floor(done: int, total: int) -> str:
    """Return a share that is never 100 % before the end, nor 0 % after the first."""
    if done in (0, total):
        return "100 %" if done and done == total else "0 %"
    return f"{min(99.9, max(0.1, 100 * done / total)):.1f} %"


def _marks(account: Account) -> list[Marked]:
    """Return what befell the farm, and each start but the first."""
    found = [
        (stretch.begin, f"start {number}", stretch.started or f"after a pause of {units.time(stretch.begin - before.end)}")
        for number, (before, stretch) in enumerate(zip(account.stretches, account.stretches[1:], strict=False), start=2)
    ]
    others = account.marks(Mark.LIMIT, Mark.STOPPED, Mark.LOST, Mark.BACK, Mark.QUARANTINE, Mark.KILLED)
    found += [(event.at, event.mark.value, event.text) for event in others]
    found.sort()
    worked = series.worked(account, np.array([at for at, _, _ in found]))
    return [
        Marked(float(place), _clock(at), what, shown(text))
        for place, (at, what, text) in zip(worked, found[:_MOST_MARKS], strict=False)
    ]


def _spread(account: Account, values: Floats) -> Spread:
    good = values[account.of(Kind.SUCCEEDED)]
    if not good.size:
        good = values
    median, usual = np.quantile(good, (0.5, 0.95)).tolist()
    return Spread(median, usual, float(values.max()), series.histogram(account, values))


def _facts(
    account: Account, slots: SlotTime, all_nodes: Sequence[Node], why: Sequence[Reason], good: NDArray[np.bool_], times: Spread | None
) -> Facts:
    rows = account.attempts.rows[good]
    seconds = float(rows["seconds"].sum())
    tried_again, mended = _retried(account)
    return Facts(
        name=shown(account.tasklist.name),
        tasks=account.states.size,
        left=account.states.size - account.tasks(State.DONE),
        failed=account.tasks(State.FAILED),
        succeeded=rows.size,
        mean_s=seconds / max(rows.size, 1),
        usual_s=times.usual if times else 0.0,
        longest_s=float(rows["seconds"].max(initial=0)),
        nodes=len(all_nodes),
        slots=max((node.slots for node in all_nodes), default=0),
        cpus=float((rows["user_s"] + rows["system_s"]).sum()) / seconds if seconds else 0.0,
        peak_kib=int(rows["rss_kib"].max(initial=0)),
        usual_kib=int(np.quantile(rows["rss_kib"], 0.95)) if rows.size else 0,
        killed=sum(reason.tasks for reason in why if reason.how == "killed by SIGKILL"),
        retried=tried_again,
        mended=mended,
        failed_share=slots.share(slottime.FAILED),
        stopped_share=slots.share(slottime.STOPPED),
        tail_share=slots.share(slottime.TAIL),
        slow=tuple((shown(node.name), node.slower) for node in all_nodes if node.slow),
    )


def _retried(account: Account) -> tuple[int, int]:
    """Return how many tasks have failed and were tried again, and how many of them have succeeded then."""
    rows = account.attempts.rows
    failed = np.unique(rows["offset"][account.of(Kind.FAILED)])
    again = account.attempts.rows["attempt"] > 1
    tried = np.intersect1d(np.unique(rows["offset"][again]), failed)
    done = account.standing.offsets[account.states == State.DONE]
    return tried.size, int(np.count_nonzero(np.isin(tried, done)))


def _tasks(account: Account, places: Sequence[int]) -> list[Task]:
    """Return the tasks of the attempts at *places*."""
    rows = account.attempts.rows
    seqs = rows["seq"][list(places)].clip(0) if places else np.empty(0, dtype=np.int64)
    kept = (account.kinds[list(places)] != Kind.HISTORY) if places else np.empty(0, dtype=np.bool_)
    lines = standing.lines_of(account.tasklist, np.where(kept, seqs, 0))
    commands = account.attempts.commands(places)
    name = shown(account.tasklist.name)
    return [
        Task(
            f"{name}:{line}" if line else "not in the list",
            int(rows["seq"][place]),
            shown(command.decode(errors="backslashreplace")),
            shown(account.attempts.nodes[rows["node"][place]]),
            float(rows["seconds"][place]),
            slottime.OF_KIND[Kind(int(account.kinds[place]))].replace("tasks that ", "", 1),
        )
        for place, line, command in zip(places, lines, commands, strict=True)
    ]


def _how(account: Account, slots: SlotTime, all_nodes: Sequence[Node]) -> Iterator[tuple[str, str]]:
    """Yield how it was run, as far as the files tell."""
    checkpoint = account.standing.checkpoint
    who = checkpoint.identity if checkpoint else None
    if who:
        yield "task list", shown(who.tasklist)
        yield "directory", shown(who.directory)
        yield "--output", shown(who.output) if who.output else "standard output"
        yield "shell", shown(who.shell)
    yield "tasks", f"{account.states.size:,} in {account.names.tfin.name}" if account.states.size else "none"
    if checkpoint and checkpoint.list_crc is not None:
        yield "fingerprint", f"CRC-32 {checkpoint.list_crc:08x} of the first {checkpoint.offset:,} bytes of the .tfin file"
    for number, (stretch, count) in enumerate(zip(account.stretches[:_MOST_MARKS], slots.slots, strict=False), start=1):
        told = stretch.started or f"{units.counted(count, 'slot')} had tasks"
        length = units.time(stretch.end - stretch.begin)
        yield f"start {number}", shown(f"{_clock(stretch.begin)}, for {length}: {told}")
    if all_nodes:
        names = ", ".join(node.name for node in all_nodes[:_MOST_NODES])
        more = f" and {len(all_nodes) - _MOST_NODES:,} more" if len(all_nodes) > _MOST_NODES else ""
        yield "nodes", shown(f"{len(all_nodes):,}: {names}{more}", 2000)
    yield "attempts", f"{account.attempts.rows.size:,} in {account.names.joblog.name}"


def _clock(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        return "at no time"
