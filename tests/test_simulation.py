"""The promises of the journal and the schedule, under thousands of seeds of everything that can go wrong."""

from __future__ import annotations

import os

import pytest
from simseeds import hunt

SEEDS, FEW = 1000, 100  # for a night: python tests/simseeds.py 0 1000000


def test_no_seed_loses_or_doubles_a_task(pytestconfig: pytest.Config) -> None:
    count = int(os.environ.get("MPIFARM_SEEDS", SEEDS if pytestconfig.getoption("--all") else FEW))
    failed = list(hunt(0, count))
    assert not failed, "\n" + "\n".join(failed)
