"""Flat? The curves against the length of the list and against the number of nodes, as a picture.

    python -m tests.bench.curves curves.png

Needs matplotlib: `pip install '.[report]'`. What is measured, and how, is in `lists` and `dealing`; here it is done at many
sizes. A part of the farm that looked at every task, or at every node, at the wrong moment would bend its curve upwards.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from mpifarm import FarmError

from . import dealing, lists
from .harness import Failed, Plan
from .peers import Peers

LENGTHS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
NODES = (1, 3, 10, 30, 100, 300, 1000, 3000)
_TASKS = 400_000  # dealt to any number of nodes


@dataclass(frozen=True, slots=True)
class Curve:
    """Medians of one figure, one for each size."""

    label: str
    sizes: Sequence[int]
    values: list[float]


def by_length(plan: Plan, peers: Peers) -> tuple[list[Curve], list[Curve]]:
    """Return seconds to the first task, new and 99 % done, beside wc and cp; and rank 0's peak memory in MiB."""
    sizes = sorted({max(1000, round(length * plan.scale)) for length in LENGTHS})
    seconds = [Curve(label, sizes, []) for label in ("a new list", "99 % of it done", "wc -l and cp of the list")]
    memory = [Curve(label, sizes, []) for label in ("a new list", "99 % of it done")]
    for size in sizes:
        part = _part(plan, f"length{size}")
        tasks = lists.make_list(part, "tasks", size)
        half_done = lists.half_done_run(part, tasks, size)
        new = [lists.first_task(tasks, peers, _new(part)) for _ in range(plan.rounds)]
        again = [lists.go_on(tasks, peers, half_done, half_done) for _ in range(plan.rounds)]
        copy = [lists.shell(f"wc -l {tasks} && cp {tasks} copy", peers, _new(part)) for _ in range(plan.rounds)]
        for curve, firsts in zip(seconds, (new, again, copy), strict=True):
            curve.values.append(median(first.wall_s for first in firsts))
        for curve, firsts in zip(memory, (new, again), strict=True):
            curve.values.append(median(first.peak_mib for first in firsts))
        print(f"{size:,} lines", file=sys.stderr)
    return seconds, memory


def by_nodes(plan: Plan, peers: Peers) -> list[Curve]:
    """Return rank 0's CPU time for a task, in microseconds, dealt in grants of 128."""
    part = _part(plan, "nodes")
    tasks = dealing.make_list(part, max(2000, round(_TASKS * plan.scale)))
    count = int(tasks.stem)
    curve = Curve(f"grants of {dealing.GRANT}", NODES, [])
    for nodes in NODES:
        runs = [dealing.deal("farm", nodes, dealing.GRANT, tasks, peers, _new(part)) for _ in range(plan.rounds)]
        curve.values.append(median(1e6 * one.cpu_s / count for one in runs))
        print(f"{nodes:,} nodes", file=sys.stderr)
    return [curve]


def draw(path: Path, panels: Sequence[tuple[str, str, list[Curve]]], note: str) -> None:
    """Draw *panels*, each a name of the sizes, one of the values, and curves. Raises FarmError without matplotlib."""
    try:
        matplotlib = importlib.import_module("matplotlib")
        matplotlib.use("Agg")
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError:
        raise FarmError("the picture needs matplotlib: pip install '.[report]'") from None
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.2 * len(panels), 3.6), squeeze=False)
    for axis, (sizes, values, curves) in zip(axes[0], panels, strict=True):
        _panel(axis, sizes, values, curves)
    figure.text(0.01, 0.01, note, fontsize=6, color="0.4")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(path, dpi=110)


def _panel(axis: Any, sizes: str, values: str, curves: list[Curve]) -> None:
    for curve in curves:
        axis.plot(curve.sizes, curve.values, marker="o", markersize=3, label=curve.label)
    axis.set_xscale("log")
    axis.set_ylim(0, 1.15 * max(max(curve.values) for curve in curves))
    axis.set_xlabel(sizes)
    axis.set_ylabel(values)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)


def _part(plan: Plan, name: str) -> Plan:
    directory = plan.directory / name
    directory.mkdir()
    return Plan(plan.rounds, plan.scale, directory)


def _new(plan: Plan) -> Path:
    return Path(tempfile.mkdtemp(dir=plan.directory))


def main() -> int:
    """Measure, and draw."""
    options = argparse.ArgumentParser(prog="python -m tests.bench.curves", description="Draw the curves.")
    options.add_argument("picture", type=Path, metavar="FILE", help=".png, .svg or .pdf")
    options.add_argument("--rounds", type=int, default=3, metavar="N", help="medians of so many [3]")
    options.add_argument("--scale", type=float, default=1.0, metavar="X", help="of the lengths [1]")
    told = options.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="mpifarm-curves-") as directory:
            plan, peers = Plan(told.rounds, told.scale, Path(directory)), Peers(Path(directory))
            seconds, memory = by_length(plan, peers)
            nodes = by_nodes(plan, peers)
            panels = [
                ("lines of the list", "seconds to the first task", seconds),
                ("lines of the list", "peak memory of rank 0, MiB", memory),
                ("nodes", "CPU of rank 0 for a task, us", nodes),
            ]
            draw(told.picture, panels, "; ".join(peers.machine()[:2]))
    except (FarmError, Failed) as error:
        print(f"curves: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
