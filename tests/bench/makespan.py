"""How well the slots are filled: tasks of half a second, and of very different lengths, on 2 workers of 8 slots.

The ideal is what list scheduling reaches that costs nothing: each task goes to the first slot that is free, in the order of
the list, as the farm promises. It is computed from the lengths. A farm of the same ranks that runs one `true` is taken
away first, round by round: that is start-up, and has a line of its own. xargs shows what of the rest is the kernel's, which
has to start 16 processes at once. Log-normal lengths are what parameter studies look like: many short tasks, a few that
take ten times as long, and a tail in which prefetched work would wait behind them.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from .harness import Cost, Plan, run, take_turns
from .peers import XARGS, Peers
from .table import Goal, Row

WORKERS, SLOTS = 2, 8
MEAN_S = 0.5
SIGMA = 1.0


def rows(plan: Plan, peers: Peers) -> Iterator[Row]:
    """Measure."""
    count = plan.count(320, least=WORKERS * SLOTS)
    lengths = {"uniform": [MEAN_S] * count, "log-normal": log_normal(count)}
    lists = {name: _tasks(plan, name, of) for name, of in lengths.items()}
    one = plan.directory / "one.txt"
    one.write_text("true\n")
    contestants = {"start-up": partial(_farm, one, peers)}
    for name, path in lists.items():
        contestants[name] = partial(_farm, path, peers)
        if XARGS in peers.present:
            contestants[f"{name} xargs"] = partial(_xargs, path, peers)
    walls = {name: [cost.wall_s for cost in rounds] for name, rounds in take_turns(plan, contestants).items()}
    for name, of in lengths.items():
        what = f"{count} x sleep, {name}, {WORKERS} x {SLOTS} slots"
        spans = [wall - start for wall, start in zip(walls[name], walls["start-up"], strict=True)]
        ideal = [list_scheduling(of, WORKERS * SLOTS)] * plan.rounds
        yield Row(f"{what}, less start-up", "s", spans, "list scheduling", ideal, Goal(at_most=1.02))
        yield Row(f"{what}, less start-up", "s", spans, f"xargs -P{WORKERS * SLOTS}", walls.get(f"{name} xargs"))


def log_normal(count: int) -> list[float]:
    """Return *count* lengths of a log-normal distribution, the same ones always, MEAN_S on average."""
    draw = random.Random(1)
    raw = [draw.lognormvariate(0.0, SIGMA) for _ in range(count)]
    return [round(length * MEAN_S * count / sum(raw), 3) for length in raw]


def list_scheduling(lengths: Sequence[float], slots: int) -> float:
    """Return when the last of the tasks ends, if each goes to the first free slot and nothing costs anything."""
    free_at = [0.0] * slots
    for length in lengths:
        heapq.heappush(free_at, heapq.heappop(free_at) + length)
    return max(free_at)


def _tasks(plan: Plan, name: str, lengths: Sequence[float]) -> Path:
    path = plan.directory / f"{name}.txt"
    path.write_text("".join(f"sleep {length:.3f}\n" for length in lengths))
    return path


def _farm(tasks: Path, peers: Peers, directory: Path) -> Cost:
    return run(peers.farm(1 + WORKERS, SLOTS, tasks), directory, peers.environ)


def _xargs(tasks: Path, peers: Peers, directory: Path) -> Cost:
    return run(peers.xargs(WORKERS * SLOTS), directory, peers.environ, tasks)
