"""Nobody writes who does not hold the lock, under hundreds of seeds of managers that hang, die, and are taken over from."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import simlock

SEEDS, FEW = 1000, 100
CHUNK = 25


def failures(seeds: range) -> list[str]:
    """Run some seeds; return a line for each that failed, with the command that replays it."""
    failed = []
    for seed in seeds:
        try:
            simlock.run(seed)
        except Exception as error:  # whatever it is, the other seeds are worth knowing
            failed.append(f"python tests/simlock.py {seed}  # {type(error).__name__}: {error}")
    return failed


def test_no_seed_lets_two_managers_write(pytestconfig: pytest.Config) -> None:
    given = os.environ.get("MPIFARM_SEEDS")  # of the farm's simulation, which is five times as fast
    count = int(given) // 5 if given else SEEDS if pytestconfig.getoption("--all") else FEW
    chunks = [range(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        failed = [line for lines in pool.map(failures, chunks) for line in lines]
    assert not failed, "\n" + "\n".join(failed)
