"""What an account comes to: the sentences, numbers and rows of a report, whatever it is drawn with.

The rule: here every number is made, and nothing is drawn. What others have written (commands, what tasks have printed,
names of nodes) becomes text without anything that a terminal or a browser would do something for; that it is escaped where
it is shown is up to whoever shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpifarm import texts
from mpifarm.tasks import wording
from mpifarm.view import advice, headline, nodes, reasons, series, slottime, standing, units
from mpifarm.view.account import Account, Kind, State
from mpifarm.view.facts import Advice, Runs
from mpifarm.view.logbook import Mark
from mpifarm.view.nodes import Node
from mpifarm.view.reasons import Reason
from mpifarm.view.series import Busy, Histogram, Pace
from mpifarm.view.slottime import SlotTime

_MOST_SLOWEST = 20
_MOST_NODES = 20
_MOST_REASONS = 20
_MOST_MARKS = 40

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
class Share:
    """The memory of a node, the least where they differ, and how many slots share it."""

    node_kib: int
    slots: int

    @property
    def slot_kib(self) -> float:
        """What there is for a slot, if all have as much."""
        return self.node_kib / self.slots


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
    share: Share | None  # None: nobody tells how much memory a node has
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
    runs = _runs(account, slots, all_nodes, why, good, times)
    return Findings(
        name=texts.shown(account.tasklist.name),
        verdict=headline.verdict(account, why),
        covers=headline.covers(account),
        bad=headline.bad(account),
        numbers=headline.numbers(account, slots),
        advice=advice.advise(advice.NEXT_TIME, runs),
        busy=series.busy(account, slots.slots, slots.lost) if rows.size else None,
        marks=_marks(account) if rows.size else [],
        slots=slots,
        pace=series.pace(account) if rows.size else None,
        nodes=odd[:_MOST_NODES],
        node_count=len(all_nodes),
        times=times,
        memory=memory,
        share=Share(runs.node_kib, runs.slots) if runs.node_kib and runs.slots else None,
        reasons=[
            Failed(reason, texts.shown(reason.gist), task)
            for reason, task in zip(why[:_MOST_REASONS], examples, strict=True)
        ],
        reason_count=len(why),
        slowest=_tasks(account, slowest),
        how=list(_how(account, slots, all_nodes)),
    )


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
        Marked(float(place), units.clock(at), what, texts.shown(text))
        for place, (at, what, text) in zip(worked, found[:_MOST_MARKS], strict=False)
    ]


def _spread(account: Account, values: Floats) -> Spread:
    good = values[account.of(Kind.SUCCEEDED)]
    if not good.size:
        good = values
    median, usual = np.quantile(good, (0.5, 0.95)).tolist()
    return Spread(median, usual, float(values.max()), series.histogram(account, values))


def _runs(
    account: Account,
    slots: SlotTime,
    all_nodes: Sequence[Node],
    why: Sequence[Reason],
    good: NDArray[np.bool_],
    times: Spread | None,
) -> Runs:
    rows = account.attempts.rows[good]
    seconds = float(rows["seconds"].sum())
    tried_again, mended = _retried(account)
    killed = [reason for reason in why if reason.how == "killed by SIGKILL"]
    return Runs(
        name=texts.shown(account.tasklist.name),
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
        killed=sum(reason.tasks for reason in killed),
        killed_kib=max((reason.peak_kib for reason in killed), default=0),
        node_kib=account.logbook.node_kib,
        retried=tried_again,
        mended=mended,
        failed_share=slots.share(slottime.FAILED),
        stopped_share=slots.share(slottime.STOPPED),
        tail_share=slots.share(slottime.TAIL),
        slow=tuple((texts.shown(node.name), node.slower) for node in all_nodes if node.slower),
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
    lines = standing.lines_of(account.tasklist, np.where(kept, seqs, 0), account.standing.each)
    commands = account.attempts.commands(places)
    name = texts.shown(account.tasklist.name)
    return [
        Task(
            f"{name}:{line}" if line else "not in the list",
            int(rows["seq"][place]),
            texts.shown(command.decode(errors="backslashreplace")),
            texts.shown(account.attempts.nodes[rows["node"][place]]),
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
        yield "task list", texts.shown(who.tasklist)
        if who.each:
            yield "arguments", wording.option(who.each)
        yield "directory", texts.shown(who.directory)
        yield "--output", texts.shown(who.output) if who.output else "standard output"
        yield "shell", texts.shown(who.shell)
    yield "tasks", f"{account.states.size:,} in {texts.shown(account.names.tfin.name)}" if account.states.size else "none"
    if checkpoint and checkpoint.list_crc is not None:
        yield "fingerprint", f"CRC-32 {checkpoint.list_crc:08x} of the first {checkpoint.offset:,} bytes of the .tfin file"
    for number, (stretch, count) in enumerate(zip(account.stretches[:_MOST_MARKS], slots.slots, strict=False), start=1):
        told = stretch.started or f"{units.counted(count, 'slot')} had tasks"
        length = units.time(stretch.end - stretch.begin)
        yield f"start {number}", texts.shown(f"{units.clock(stretch.begin)}, for {length}: {told}")
    if all_nodes:
        names = ", ".join(node.name for node in all_nodes[:_MOST_NODES])
        more = f" and {len(all_nodes) - _MOST_NODES:,} more" if len(all_nodes) > _MOST_NODES else ""
        yield "nodes", texts.shown(f"{len(all_nodes):,}: {names}{more}", 2000)
    yield "attempts", f"{account.attempts.rows.size:,} in {texts.shown(account.names.joblog.name)}"
