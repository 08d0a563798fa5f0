"""Whatever is killed of a farm in Slurm, and whenever: nothing is lost, and nothing is recorded twice. See mpi/kills.py."""

from __future__ import annotations

import pytest
from mpi.kills import OPTIONS, Launch, Tally, Trial, seeds

from .cluster import Jobs

NODES = ("-N", "3", "-c", "2", "--no-kill", "-K0", "-W0")


@pytest.fixture(scope="module")
def tally() -> Tally:
    """Return the sum of the trials so far."""
    return Tally()


@pytest.mark.parametrize("seed", seeds())
def test_nothing_is_lost_and_nothing_recorded_twice(jobs: Jobs, tally: Tally, seed: int) -> None:
    launch = Launch(
        lambda environ: jobs.farm(*NODES, arguments=OPTIONS, environ=environ), outlives_worker=True, outlives_manager=True
    )
    tally.add(Trial(jobs.farms, launch, seed).run())
    print(f"seed {seed}, in all: {tally}")
