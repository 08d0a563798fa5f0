"""What it costs to see where a run stands: for rank 0 while it runs, and for whoever asks afterwards.

Rank 0 deals the same tasks to the same nodes (`crowd`) with and without all that looks: the status file, the lines, the
estimate. In batches, as reports of short tasks come, and with one task in each message, which is the dearest; that run is
itself one of about 10,000 tasks a second, of which 0.5 % are 0.5 us a task.

Then the questions: `--status` of such a run of a million tasks that is done, the others of a million attempts of which a
hundredth have failed (`report.make_run`). Beside each stands what it cannot do without: a bare python, that imports numpy
(for --status not even that), and `cat` of the files that it reads.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from .dealing import GRANT, deal, make_list
from .harness import Cost, Plan, run, take_turns
from .peers import Peers
from .report import make_run
from .table import By, Goal, Row

_MOST_US = 0.5  # a task: 0.5 % of 10,000 tasks/s
_ASKED = {
    "--failed": (["joblog", "progress", "fastrecovery"], 2.0),
    "--show 5": (["joblog", "progress", "log"], 2.0),
    "--joblog": (["joblog", "progress"], 2.0),
}


def rows(plan: Plan, peers: Peers) -> Iterator[Row]:
    """Measure."""
    yield from _while_it_runs(plan, peers)
    yield from _afterwards(plan, peers)


def _while_it_runs(plan: Plan, peers: Peers) -> Iterator[Row]:
    nodes = plan.count(300, least=60)
    for grant, full in ((GRANT, 1_000_000), (1, 200_000)):
        tasks = make_list(plan, plan.count(full, least=2000))
        count = int(tasks.stem)
        contestants = {kind: partial(deal, kind, nodes, grant, tasks, peers) for kind in ("farm", "blind")}
        samples = take_turns(plan, contestants)
        cpu = {kind: [1e6 * one.cpu_s / count for one in rounds] for kind, rounds in samples.items()}
        what = f"{count:,} tasks to {nodes} nodes, grants of {grant}: CPU of rank 0"
        goal = Goal(at_most=_MOST_US)
        yield Row(what, "us/task", cpu["farm"], "no status file, no lines", cpu["blind"], goal, By.DIFFERENCE)


def _afterwards(plan: Plan, peers: Peers) -> Iterator[Row]:
    count = plan.count(1_000_000, least=1000)
    make_run(plan.directory, count)
    finished = plan.directory / "finished"
    finished.mkdir()
    tasks = finished / "tasks.txt"
    tasks.write_text("true\n" * count)
    run([*peers.python(2, str(Path(__file__).parent / "crowd.py")), "farm", "60", "128", "r", "--quiet", "tasks.txt"],
        finished, peers.environ)  # fmt: skip
    mpifarm = [sys.executable, "-m", "mpifarm"]
    yield from _asked(plan, peers, "--status", finished, [*mpifarm, "--status"], ["status"], 0.15)
    for option, (kinds, most_s) in _ASKED.items():
        yield from _asked(plan, peers, option, plan.directory, [*mpifarm, *option.split()], kinds, most_s)


def _asked(
    plan: Plan, peers: Peers, option: str, where: Path, command: list[str], kinds: list[str], most_s: float
) -> Iterator[Row]:
    files = [*(f"{kind}.tasks.txt.tfin" for kind in kinds), "tasks.txt", "tasks.txt.tfin"]
    bare = [sys.executable, "-c", "pass" if option == "--status" else "import numpy"]

    def measure(what: list[str], _: Path) -> Cost:
        return run(what, where, peers.environ)

    contestants = {
        "ours": partial(measure, [*command, "tasks.txt"]),
        "cat": partial(measure, ["cat", *(files if option != "--status" else files[:1])]),
        "bare": partial(measure, bare),
    }
    samples = take_turns(plan, contestants)
    count = (where / "tasks.txt").read_bytes().count(b"\n")
    what = f"{option} of {count:,} tasks"
    walls = {name: [cost.wall_s for cost in rounds] for name, rounds in samples.items()}
    least = [cat + bare for cat, bare in zip(walls["cat"], walls["bare"], strict=True)]
    yield Row(what, "s", walls["ours"], "(goal)", None, Goal(at_most=most_s), By.ITSELF)
    yield Row(what, "s", walls["ours"], "python, and cat of its files", least, None, By.DIFFERENCE)
    yield Row(f"{what}: CPU", "s", [cost.cpu_s for cost in samples["ours"]], "(none)", None, None, By.ITSELF)
