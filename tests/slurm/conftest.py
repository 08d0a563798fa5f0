"""One Slurm for all tests; every job that a test submits ends with the test, whatever the test does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mpi.farms import Farms

from .cluster import Cluster, Jobs


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Return three nodes, n0 to n2, of four CPUs each, unless CPUS_PER_NODE says otherwise."""
    cluster = Cluster()
    yield cluster
    cluster.stop()


@pytest.fixture
def jobs(cluster: Cluster, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    """Jobs that are submitted from a directory of their own."""
    scratch = tmp_path_factory.mktemp("scratch")
    jobs = Jobs(cluster, Farms(tmp_path, scratch), scratch)
    yield jobs
    jobs.end()
