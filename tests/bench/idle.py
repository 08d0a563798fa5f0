"""What a farm costs while long tasks run: 8 x `sleep` on 2 workers, and the CPU time of every rank and helper meanwhile.

The CPUs belong to the tasks. The peer is mpi4py.futures, the one MPI farm that does not spin: its dealer looks for messages
between naps of a millisecond. Measured from when all tasks run to shortly before the first one ends, so that start and end
of the farm do not count; the farm's naps grow with the time in which nothing happens, so less than the goals' 20 s shows
more than they ask for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from .harness import Member, Plan, Running, running, take_turns, wait_for
from .peers import FUTURES, Peers
from .table import By, Goal, Row

WORKERS, TASKS = 2, 8
_LAST_PART = 0.1  # of the sleep, not looked at

Shares = dict[str, float]  # of a core, in per cent, by the name of the process


def rows(plan: Plan, peers: Peers) -> Iterator[Row]:
    """Measure."""
    sleep_s = max(1.0, 20 * plan.scale)
    tasks = plan.directory / "sleeps.txt"
    tasks.write_text(f"sleep {sleep_s}\n" * TASKS)
    farm = peers.farm(1 + WORKERS, TASKS // WORKERS, tasks)
    contestants = {"farm": partial(_shares, farm, TASKS, sleep_s, peers)}
    if FUTURES in peers.present:  # as many ranks; each of its workers runs one task at a time
        pool = peers.pool(1 + WORKERS, str(tasks))
        contestants["pool"] = partial(_shares, pool, WORKERS, sleep_s, peers)
    samples = take_turns(plan, contestants)
    theirs = [max(shares.values()) for shares in samples["pool"]] if "pool" in samples else None
    for name in sorted(samples["farm"][0]):
        ours = [shares[name] for shares in samples["farm"]]
        what, peer = f"{TASKS} x sleep {sleep_s:g}: {name}", f"{FUTURES}, its busiest"
        yield Row(what, "% of a core", ours, peer, theirs, Goal(at_most=0.5), By.ITSELF)


def _shares(command: list[str], asleep: int, sleep_s: float, peers: Peers, directory: Path) -> Shares:
    with running(command, directory, peers.environ) as program:
        members = wait_for(lambda: _ranks_if(program, asleep), "all tasks run")
        began = time.monotonic()
        before = [member.cpu_s() for member in members]
        time.sleep(sleep_s * (1 - _LAST_PART))
        after = [member.cpu_s() for member in members]
        elapsed_s = time.monotonic() - began
        return {
            member.name: 100 * (end - start) / elapsed_s for member, start, end in zip(members, before, after, strict=True)
        }


def _ranks_if(program: Running, asleep: int) -> list[Member]:
    """Return the ranks and helpers of *program*, as soon as so many tasks are asleep."""
    family = program.family()
    sleeping = [member for member in family if member.name == "sleep"]
    return [member for member in family if member.rank is not None] if len(sleeping) >= asleep else []
