"""The promises of the journal and the schedule, under thousands of seeds of everything that can go wrong."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import simulation

SEEDS = int(os.environ.get("MPIFARM_SEEDS", "1000"))  # for a night: MPIFARM_SEEDS=1000000
CHUNK = 100


def failures(first: int) -> list[str]:
    """Run a chunk of seeds; return a line for each that failed, with the command that replays it."""
    failed = []
    for seed in range(first, min(first + CHUNK, SEEDS)):
        try:
            simulation.run(seed)
        except Exception as error:  # whatever it is, the other seeds are worth knowing
            failed.append(f"python tests/simulation.py {seed}  # {type(error).__name__}: {error}")
    return failed


def test_no_seed_loses_or_doubles_a_task() -> None:
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        failed = [line for lines in pool.map(failures, range(0, SEEDS, CHUNK)) for line in lines]
    assert not failed, "\n" + "\n".join(failed)
