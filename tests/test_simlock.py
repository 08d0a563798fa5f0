"""Nobody writes who does not hold the lock, under hundreds of seeds of managers that hang, die, and are taken over from."""

from __future__ import annotations

import os

import pytest
from simseeds import hunt

SEEDS, FEW = 1000, 30


def test_no_seed_lets_two_managers_write(pytestconfig: pytest.Config) -> None:
    given = os.environ.get("MPIFARM_SEEDS")  # of the farm's simulation, which is five times as fast
    count = int(given) // 5 if given else SEEDS if pytestconfig.getoption("--all") else FEW
    failed = list(hunt(0, count, "simlock"))
    assert not failed, "\n" + "\n".join(failed)
