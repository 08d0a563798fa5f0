"""Whatever is killed, and whenever: nothing is lost, and nothing is recorded twice.

A trial takes some ten kills. MPIFARM_KILLS=100 asks for trials with as many kills in all under each launcher.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

from .farms import Farms, is_open_mpi, mpiexec
from .kills import OPTIONS, Launch, Tally, Trial, seeds

ULFM = ("--with-ft", "ulfm")
RECOVERY = ("--enable-recovery",)


@pytest.fixture(scope="module")
def tallies() -> defaultdict[tuple[str, ...], Tally]:
    """Return the sums of the trials so far, by launcher."""
    return defaultdict(Tally)


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("options", [(), RECOVERY, ULFM], ids=["plain", "recovery", "ulfm"])
def test_nothing_is_lost_and_nothing_recorded_twice(
    farms: Farms, tallies: defaultdict[tuple[str, ...], Tally], options: tuple[str, ...], seed: int
) -> None:
    if options and not is_open_mpi(mpiexec()[0]):
        pytest.skip("an option of Open MPI's mpiexec")
    launch = Launch(
        lambda environ: farms.start(3, *OPTIONS, environ=environ, launch=options),
        outlives_worker=bool(options),
        outlives_manager=options == RECOVERY,
    )
    tallies[options].add(Trial(farms, launch, seed).run())
    print(f"seed {seed}, in all: {tallies[options]}")
