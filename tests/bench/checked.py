"""`--check` of a million lines, and its plan for 1, 2 and 4 ranks beside the farms that then run.

The lines are of four kinds, as people write them: a program and its arguments, quotes and redirections, a pipe in another
directory, command substitutions and loops. `sh -n` reads the same list as one script, which tells less. The plan is made
from the lengths of the tasks; the span of the real farm is that of its joblog, so that start-up is left out of both.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from mpifarm.view import attempts, plan

from .harness import Cost, Plan, run, take_turns
from .makespan import log_normal
from .peers import Peers
from .table import By, Goal, Row

_KINDS = (
    "./fit.sh {0} --alpha {1}",
    "./sim --name=run{0} --x 'a b' > out/{0}.log 2>&1",
    "cd run{0} && python3 go.py --in ../data/{0}.csv | gzip > {0}.gz",
    "X={0} ./b $(printf %05d {0})",
)
_SLOTS = 4


def rows(plans: Plan, peers: Peers) -> Iterator[Row]:
    """Measure."""
    count = plans.count(1_000_000, least=1000)
    tasks = plans.directory / "tasks.txt"
    tasks.write_text("".join(_KINDS[n % 4].format(n, n % 17) + "\n" for n in range(count)))
    contestants = {"check": partial(_check, tasks, peers), "sh": partial(_sh, tasks, peers)}
    walls = {name: [cost.wall_s for cost in rounds] for name, rounds in take_turns(plans, contestants).items()}
    what = f"--check of {count:,} lines"
    yield Row(what, "s", walls["check"], "(goal)", None, Goal(at_most=10), By.ITSELF)
    yield Row(what, "s", walls["check"], "sh -n of the list", walls["sh"], None, By.DIFFERENCE)
    for ranks in (1, 2, 4):
        lengths = log_normal(plans.count(320, least=32))
        planned, _ = plan.plan(np.array(lengths), ranks, _SLOTS)
        sleeps = plans.directory / f"sleeps-{ranks}.txt"
        sleeps.write_text("".join(f"sleep {length:.3f}\n" for length in lengths))
        spans = take_turns(plans, {"farm": partial(_span, sleeps, ranks, peers)})["farm"]
        what = f"{len(lengths)} x sleep, log-normal, {ranks} x {_SLOTS} slots, rank 0 works"
        yield Row(what, "s", spans, "the plan of --check", [planned.seconds] * plans.rounds, Goal(at_most=1.05))


def _check(tasks: Path, peers: Peers, directory: Path) -> Cost:
    return run([sys.executable, "-m", "mpifarm", "--check", str(tasks)], directory, peers.environ)


def _sh(tasks: Path, peers: Peers, directory: Path) -> Cost:
    return run(["sh", "-n", str(tasks)], directory, peers.environ)


def _span(tasks: Path, ranks: int, peers: Peers, directory: Path) -> float:
    run([*peers.farm(ranks, _SLOTS, tasks), "--manager-works"], directory, peers.environ)
    ran = attempts.read(directory / f"joblog.{tasks.name}.tfin").rows
    return float((ran["start"] + ran["seconds"]).max() - ran["start"].min())
