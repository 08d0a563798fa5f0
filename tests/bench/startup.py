"""What it costs to be there: one task, `true`, against an MPI program that starts, meets its other rank, and ends.

mpiexec, Python, numpy and MPI_Init take their time whatever the program does; what a farm adds is forking the helper,
reading the list, opening and syncing the files, and saying goodbye.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from .harness import Cost, Plan, run, take_turns
from .peers import HERE, Peers
from .table import By, Goal, Row


def rows(plan: Plan, peers_: Peers) -> Iterator[Row]:
    """Measure."""
    one = plan.directory / "single.txt"
    one.write_text("true\n")
    farm, bare = peers_.farm(2, 1, one), peers_.python(2, str(HERE / "bare.py"))
    costs = take_turns(plan, {"farm": partial(_run, farm, peers_), "bare": partial(_run, bare, peers_)})
    walls = {name: [cost.wall_s for cost in rounds] for name, rounds in costs.items()}
    cpu = {name: [cost.cpu_s for cost in rounds] for name, rounds in costs.items()}
    peer = "bare numpy, mpi4py"
    yield Row("one task, mpiexec -n 2", "s", walls["farm"], peer, walls["bare"], Goal(at_most=0.15), By.DIFFERENCE)
    yield Row("one task, mpiexec -n 2: CPU", "s", cpu["farm"], peer, cpu["bare"], None, By.DIFFERENCE)


def _run(command: list[str], peers_: Peers, directory: Path) -> Cost:
    return run(command, directory, peers_.environ)
