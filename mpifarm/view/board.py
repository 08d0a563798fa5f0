"""Where a run stands, in lines for people: see `situation`.

The rule: commands, what tasks have printed and names of nodes are anybody's text, and shown without anything that a
terminal would do something for. Many nodes make few lines: above MOST_NODES only the odd ones, and a
total.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from time import localtime, strftime

from mpifarm.texts import shown
from mpifarm.view import advice, crowd, snapshot, units
from mpifarm.view.facts import Gone
from mpifarm.view.situation import Situation
from mpifarm.view.snapshot import Node, Others, Snapshot
from mpifarm.view.units import counted, number
from mpifarm.words import duration

MOST_NODES = 20

_MOST_COMMAND = 80  # characters
_DAY_S = 86400.0
_HEADS = {snapshot.RUNNING: "RUNNING", snapshot.STOPPED: "STOPPED", snapshot.DONE: "DONE", snapshot.FAILED: "FAILED"}
_COLUMNS = ("slots", "busy", "done", "failed", "rate", "median", "heard")


def drawn(situation: Situation, lines: Mapping[int, int], now: float) -> list[str]:
    """Return the lines that tell a situation; *lines*: where in the list the tasks stand that are named, by Seq."""
    seen = situation.seen
    places = {seq: f"line {line}" for seq, line in lines.items()}
    told = [_head(seen, now), f"  tasks     {_tasks(seen)}"]
    if situation.whole:
        told += [*_end(seen, now), *_times(seen), *_slots(seen), *_nodes(seen)]
        told += [*_longest(seen, places, now), *_reasons(seen, places)]
    return told + [f"  {shown(remark)}" for remark in situation.remarks]


def _head(seen: Snapshot, now: float) -> str:
    run = seen.run
    job = f", job {shown(run.job)}" if run.job else ""
    manager = f", manager {shown(run.host)}" if run.host else ""
    silent = "" if seen.silent_s is None else duration(seen.silent_s)
    name = shown(seen.tasklist)
    if seen.state == snapshot.GONE:
        gone = Gone(shown(run.host), run.pid, shown(run.job), seen.silent_s or 0.0, shown(run.why))
        return "".join(f"{name}  GONE: {one.why}; {one.line}" for one in advice.advise(advice.WHEN_GONE, gone))
    head = f"{name}  {_HEADS[seen.state]}"
    if seen.state == snapshot.RUNNING:
        since = f" since {_clock(run.started, now)}" if run.started else ""
        heard = f" heard {silent} ago" if manager and silent else ""
        why = f"  ({shown(run.why)})" if run.why else ""
        return f"{head}{since}{job}{manager}{heard}{why}"
    ended = f" {_clock(run.ended, now)}" if run.ended else ""
    took = f", in {duration(run.ended - run.started)}" if run.ended and run.started else ""
    why = f", {shown(run.why)}" if run.why and seen.state != snapshot.DONE else ""
    return f"{head}{ended}{took}{job}{why}"


def _tasks(seen: Snapshot) -> str:
    tasks = seen.tasks
    words = [f"{number(tasks.done)} done", f"{number(tasks.failed)} failed"]
    more = {"running": tasks.running, "waiting": tasks.waiting, "blocked": tasks.blocked, "not run": tasks.not_run}
    words += [f"{number(count)} {what}" for what, count in more.items() if count]
    apart = []
    if seen.attempts.retried:
        apart.append(f"{counted(seen.attempts.retried, 'attempt')} retried")
    if seen.attempts.lost:
        apart.append(f"{number(seen.attempts.lost)} run again after a lost node")
    return f"{number(tasks.total)}:  {'   '.join(words)}" + (f"      {', '.join(apart)}" if apart else "")


def _end(seen: Snapshot, now: float) -> Iterator[str]:
    end, job_end = seen.end, seen.run.job_end
    if seen.state != snapshot.RUNNING or (end.earliest is None and job_end is None):
        return
    words = []
    if end.earliest is not None and end.latest is not None:
        first, last = _clock(end.earliest, now), _clock(end.latest, now)
        words.append(f"about {last} (rough)" if end.rough else first if first == last else f"{first}-{last}")
    if job_end is not None:
        fits = ""
        if end.latest is not None and end.earliest is not None:
            fits = (
                ": fits" if end.latest <= job_end else ": TOO EARLY" if end.earliest > job_end else ": it may be too early"
            )
        words.append(f"the job ends {_clock(job_end, now)}{fits}")
    yield f"  end       {'     '.join(words)}"


def _times(seen: Snapshot) -> Iterator[str]:
    seconds, memory = seen.seconds, seen.rss_kib
    if seconds.median is None or seconds.p95 is None or seconds.longest is None:
        return
    took = f"median {units.time(seconds.median)}   95 % {units.time(seconds.p95)}   longest {units.time(seconds.longest)}"
    used = ""
    if memory.median is not None and memory.peak is not None:
        used = f"        memory  median {units.memory(memory.median)}   peak {units.memory(memory.peak)}"
    if used and seen.memory_kib:
        used += f"   a node has {units.memory(seen.memory_kib)}"
    yield f"  time      {took}{used}"


def _slots(seen: Snapshot) -> Iterator[str]:
    if seen.slots.total:
        share = "" if seen.slots.share is None else f", {units.percent(seen.slots.share)} busy since the start"
        rate = f"   {_rate(seen.rate)}" if seen.rate and seen.state == snapshot.RUNNING else ""
        yield f"  slots     {number(seen.slots.total)}{share}{rate}"


def _nodes(seen: Snapshot) -> Iterator[str]:
    nodes = seen.nodes
    if not nodes:
        return
    every = len(nodes) + seen.others.nodes
    few = every <= MOST_NODES
    runs = seen.state == snapshot.RUNNING
    listed = sorted(nodes, key=lambda node: node.node) if few else [node for node in nodes if node.is_odd][:MOST_NODES]
    rows = [("node", *_COLUMNS, "")] + [_row(node, runs) for node in listed]
    if not few:
        rows.append(_total(f"all {number(every)}", seen.nodes, seen.others, runs))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS) + 1)]
    for name, *cells, note in rows:
        columns = "  ".join(cell.rjust(max(5, width)) for cell, width in zip(cells, widths[1:], strict=True))
        yield f"  {name.ljust(max(8, widths[0]))}  {columns}   {note}".rstrip()


def _row(node: Node, runs: bool) -> tuple[str, ...]:
    here = bool(node.slots) and runs
    cells = (
        shown(node.node, 40),
        number(node.slots) if node.slots else "-",
        number(node.busy) if here else "-",
        number(node.done),
        number(node.failed),
        _rate(node.rate) if here and node.rate is not None else "-",
        "-" if node.median is None else units.time(node.median),
        duration(node.silent_s) if here and node.silent_s is not None else "-",
    )
    notes = [f"slow: {node.slow:.1f} x the others"] if node.slow else []
    if node.note:
        notes.append(shown(node.note) + (f" {_clock(node.at, node.at)}" if node.at is not None else ""))
    return (*cells, ", ".join(notes))


def _total(name: str, nodes: Sequence[Node], others: Others, runs: bool) -> tuple[str, ...]:
    sums = crowd.sums(nodes)
    rate = (sums.rate or 0.0) + (others.rate or 0.0)
    slots, busy = sums.slots + others.slots, sums.busy + others.busy
    now = (number(busy), _rate(rate)) if runs else ("-", "-")
    counts = (number(sums.done + others.done), number(sums.failed + others.failed))
    return (name, number(slots), now[0], *counts, now[1], "-", "-", "")


def _longest(seen: Snapshot, places: Mapping[int, str], now: float) -> Iterator[str]:
    if not seen.longest or seen.state != snapshot.RUNNING:
        return
    yield "  running longest"
    rows = [
        (_age(max(0.0, now - one.since)), shown(one.node, 40), places.get(one.seq, f"task {one.seq}"), one.command)
        for one in seen.longest
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for age, node, place, command in rows:
        where = f"{age.rjust(widths[0])}  {node.ljust(widths[1])}  {place.ljust(widths[2])}"
        yield f"     {where}  {shown(command, _MOST_COMMAND)}"


def _reasons(seen: Snapshot, places: Mapping[int, str]) -> Iterator[str]:
    if not seen.reasons:
        return
    yield "  why tasks failed" if any(one.tasks for one in seen.reasons) else "  why attempts failed"
    for one in seen.reasons:
        said = f'  "{shown(one.last)}"' if one.last else ""
        where = ", ".join(places.get(seq, f"task {seq}") for seq in one.seqs)
        tries = f" ({counted(one.attempts, 'attempt')})" if one.attempts != one.tasks else ""
        how = (
            f"{number(one.tasks)} x {shown(one.how)}{tries}"
            if one.tasks
            else f"{counted(one.attempts, 'attempt')}, {one.how}"
        )
        yield f"     {shown(how)}{said}    {where}   {shown(one.command, _MOST_COMMAND)}"
    if seen.other_failures:
        yield f"     {counted(seen.other_failures, 'attempt')} for other reasons: see the log"


def _rate(rate: float | None) -> str:
    if rate is None:
        return "-"
    return f"{rate:.0f}/s" if rate >= 9.95 else f"{rate:.1f}/s" if rate >= 0.1 else f"{60 * rate:.1f}/min"


def _age(seconds: float) -> str:
    if not 60 <= seconds < 3600:
        return duration(seconds)
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _clock(at: float | None, now: float | None) -> str:
    """Return a Unix time as one of today, or with its day."""
    if at is None:
        return "-"
    try:
        near = now is None or abs(at - now) < _DAY_S / 2 or strftime("%F", localtime(at)) == strftime("%F", localtime(now))
        return strftime("%H:%M" if near else "%Y-%m-%d %H:%M", localtime(at))
    except (OverflowError, ValueError, OSError):
        return "at no time"
