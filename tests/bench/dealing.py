"""How fast the manager deals: through real MPI, progress and joblog written, to ranks that each play hundreds of nodes.

3,000 nodes of 128 threads have 384,000 slots; no machine for tests has. So their tasks end as soon as they are granted
(see `crowd`), and what is measured is rank 0 alone: the rate between the first end and the last word, and its CPU time for
a task, which says the same on a busy machine. In grants of 128 it is the work for a task that counts, in grants of 1 the
work for a message. Then the worst moment: all nodes report all their slots at once; it is over when all of that stands in
the progress file and every slot has been granted anew.

The limit is the same traffic with a rank 0 that only answers. The peer is mpi4py.futures, dealing calls of a function that
does nothing in chunks as large. And the manager is its own peer: ten times as many nodes are not to cost more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .harness import Plan, run, take_turns
from .peers import FUTURES, HERE, Peers
from .table import By, Goal, Row

GRANT = 128


@dataclass(frozen=True, slots=True)
class Dealt:
    """What a run has shown. Times are in seconds."""

    wall_s: float
    cpu_s: float = 0.0  # of rank 0
    peak_mib: float = 0.0  # of rank 0
    burst_s: float = 0.0


def rows(plan: Plan, peers: Peers) -> Iterator[Row]:
    """Measure."""
    many, few = plan.count(1_000_000, least=2000), plan.count(100_000, least=400)
    nodes, more_nodes = plan.count(300, least=60), plan.count(3000, least=300)
    slots = plan.count(400_000, least=more_nodes) // more_nodes
    burst = more_nodes * slots
    lists = {count: make_list(plan, count) for count in (many, many // 10, few, 2 * burst)}
    contestants = {
        "many": partial(deal, "farm", nodes, GRANT, lists[many], peers),
        "tenth": partial(deal, "farm", nodes, GRANT, lists[many // 10], peers),
        "nodes": partial(deal, "farm", more_nodes, GRANT, lists[many], peers),
        "few": partial(deal, "farm", nodes, 1, lists[few], peers),
        "burst": partial(deal, "burst", more_nodes, slots, lists[2 * burst], peers),
        "echo many": partial(_echo, nodes, GRANT, many, peers),
        "echo few": partial(_echo, nodes, 1, few, peers),
        "echo burst": partial(_echo, more_nodes, slots, burst, peers),
    }
    if FUTURES in peers.present:
        contestants["futures many"] = partial(_futures, many, GRANT, peers)
        contestants["futures few"] = partial(_futures, few, 1, peers)
    samples = take_turns(plan, contestants)
    for kind, count, grant, goal in (("many", many, GRANT, 300_000), ("few", few, 1, 20_000)):
        rate = {name: [count / one.wall_s for one in rounds] for name, rounds in samples.items()}
        what = f"{count:,} tasks to {nodes} nodes, grants of {grant}"
        yield Row(what, "tasks/s", rate[kind], "(goal)", None, Goal(at_least=goal), By.ITSELF)
        yield Row(what, "tasks/s", rate[kind], "answers alone", rate[f"echo {kind}"])
        yield Row(what, "tasks/s", rate[kind], FUTURES, rate.get(f"futures {kind}"))
        cpu, least = ([1e6 * one.cpu_s / count for one in samples[name]] for name in (kind, f"echo {kind}"))
        yield Row(f"{what}: CPU", "us/task", cpu, "answers alone", least)
    fewer, more = ([many / one.wall_s for one in samples[name]] for name in ("many", "nodes"))
    yield Row(f"{many:,} tasks to {more_nodes} nodes", "tasks/s", more, f"{nodes} nodes", fewer)
    peak, less = ([one.peak_mib for one in samples[name]] for name in ("many", "tenth"))
    yield Row(f"{many:,} tasks dealt: peak of rank 0", "MiB", peak, "a tenth of them", less)
    what = f"{burst:,} ends at once, {more_nodes} nodes"
    absorbed = [one.burst_s for one in samples["burst"]]
    yield Row(what, "s", absorbed, "(goal)", None, Goal(at_most=2), By.ITSELF)
    yield Row(what, "s", absorbed, "answers alone", [one.wall_s for one in samples["echo burst"]])


def make_list(plan: Plan, count: int) -> Path:
    path = plan.directory / f"{count}.txt"
    path.write_bytes(b"./simulate --case 0123456 --out results\n" * count)
    return path


def deal(kind: str, nodes: int, slots: int, tasks: Path, peers: Peers, directory: Path) -> Dealt:
    _crowd(directory, peers, kind, str(nodes), str(slots), "result", "--quiet", str(tasks))
    return _result(directory)


def _echo(nodes: int, slots: int, count: int, peers: Peers, directory: Path) -> Dealt:
    _crowd(directory, peers, "echo", str(nodes), str(slots), "result", str(count))
    return _result(directory)


def _crowd(directory: Path, peers: Peers, *arguments: str) -> None:
    run(peers.python(2, str(HERE / "crowd.py"), *arguments), directory, peers.environ)


def _result(directory: Path) -> Dealt:
    players = json.loads((directory / "result.nodes.json").read_text())
    return Dealt(**json.loads((directory / "result.json").read_text()), burst_s=players["burst_s"] or 0.0)


def _futures(count: int, chunk: int, peers: Peers, directory: Path) -> Dealt:
    run(peers.pool(2, str(count), str(chunk), "seconds"), directory, peers.environ)
    return Dealt(float((directory / "seconds").read_text()))
