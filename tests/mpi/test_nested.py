"""MPI programs as tasks: a task sees nothing of the farm's own MPI job."""

from __future__ import annotations

import shlex
import sys

import pytest

from .farms import Farms, mpiexec

HELLO = "from mpi4py.MPI import COMM_WORLD as world; world.Barrier(); world.rank or print('size', world.size)"
PROGRAM = f"{shlex.quote(sys.executable)} -c {shlex.quote(HELLO)}"


@pytest.mark.short
@pytest.mark.parametrize("ranks", [pytest.param(0, marks=pytest.mark.long), 3])
def test_an_mpi_program_runs_as_a_task_with_and_without_its_own_mpiexec(farms: Farms, ranks: int) -> None:
    farms.tasks(PROGRAM, f"{shlex.join(mpiexec())} -n 2 {PROGRAM}")
    ended = farms.run(ranks, "--threads", "1", "--retries", "0", "--timeout", "40s", "tasks.txt")
    assert ended.code == 0, farms.file("log").read_text()
    assert sorted(ended.out.splitlines()) == [b"size 1", b"size 2"]


@pytest.mark.short
def test_a_task_sees_its_number_and_no_rank(farms: Farms) -> None:
    farms.tasks("env", "pwd; cat")
    ended = farms.run(3, "--threads", "2", "--retries", "0", "tasks.txt", environ={"OMP_NUM_THREADS": "7"})
    assert ended.code == 0
    lines = ended.out.decode().splitlines()
    variables = dict(line.split("=", 1) for line in lines if "=" in line)
    assert not [name for name in variables if name.startswith(("PMI", "OMPI_COMM_", "HYDI_", "PRTE_"))]
    assert variables["OMP_NUM_THREADS"] == "7"
    assert (variables["MPIFARM_TASK"], variables["MPIFARM_ATTEMPT"], variables["MPIFARM_THREADS"]) == ("0", "1", "2")
    assert str(farms.directory) in lines
