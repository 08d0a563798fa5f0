"""Where ranks and tasks run: nodes by Slurm's names, CPUs, ranks that sit oddly; a launch that cannot work is refused."""

from __future__ import annotations

import os

import pytest
from mpi.farms import meeting

from .cluster import Jobs


def places(jobs: Jobs) -> set[tuple[str, int]]:
    """Return (node, slot) of every task that has succeeded."""
    words = [line.split()[1].rpartition("-") for line in jobs.farms.file("progress").read_text().splitlines()]
    return {(node, int(slot)) for node, _, slot in words}


@pytest.mark.parametrize(("nodes", "workers"), [(1, {"n0"}), (2, {"n1"}), (3, {"n1", "n2"})])
def test_one_rank_a_node_runs_the_list_and_calls_nodes_as_slurm_does(jobs: Jobs, nodes: int, workers: set[str]) -> None:
    slots = 2 * len(workers)
    offsets = jobs.farms.tasks(*meeting(slots), "echo $SLURMD_NODENAME $MPIFARM_NODE")
    ended = jobs.farm("-N", str(nodes), "-c", "4", environ={"THREADS": "2"}).wait()
    assert ended.code == 0, ended.err
    assert sorted(jobs.farms.progress()) == offsets
    assert places(jobs) == {(node, slot) for node in workers for slot in (1, 2)}
    slurm, ours = ended.out.split()
    assert slurm == ours


def test_three_ranks_on_one_node_share_its_slots(jobs: Jobs) -> None:
    jobs.farms.tasks(*meeting(4))
    ended = jobs.farm("-N", "1", "-n", "3", "-c", "1", environ={"THREADS": "2"}).wait()
    assert ended.code == 0, ended.err
    assert places(jobs) == {("n0", slot) for slot in (1, 2, 3, 4)}
    assert any("2 workers share node n0" in line and "--ntasks-per-node=1" in line for line in ended.said)


def test_two_ranks_a_node_work_and_are_told_of(jobs: Jobs) -> None:
    jobs.farms.tasks(*meeting(3))
    ended = jobs.farm("-N", "2", "--ntasks-per-node=2", "-c", "1", environ={"THREADS": "1"}).wait()
    assert ended.code == 0, ended.err
    assert places(jobs) == {("n0", 1), ("n1", 1), ("n1", 2)}
    assert any("2 workers share node n1" in line for line in ended.said)


@pytest.mark.parametrize(("cpus", "threads", "wanted"), [(4, "3", 3), (4, None, 4), (1, None, 1)])
def test_slots_are_threads_or_else_the_cpus_that_slurm_gives(
    jobs: Jobs, cpus: int, threads: str | None, wanted: int
) -> None:
    jobs.farms.tasks("echo $MPIFARM_THREADS")
    ended = jobs.farm("-N", "2", "-c", str(cpus), environ={"THREADS": threads} if threads else {}).wait()
    assert ended.code == 0, ended.err
    real = len(os.sched_getaffinity(0))  # the nodes' CPUs are made up, and a rank cannot use more than there are
    assert int(ended.out) == (wanted if threads else min(wanted, real))


def test_the_default_slots_of_a_node_are_divided_among_its_workers(jobs: Jobs) -> None:
    jobs.farms.tasks("echo $MPIFARM_THREADS")
    ended = jobs.farm("-N", "1", "-n", "3", "-c", "1").wait()
    assert ended.code == 0, ended.err
    assert int(ended.out) == max(1, min(3, len(os.sched_getaffinity(0))) // 2)


def test_nodes_without_a_rank_are_told_of(jobs: Jobs) -> None:
    jobs.farms.tasks("true")
    ended = jobs.sbatch("-N", "3", "--wrap", "srun -N 2 -n 2 python -m mpifarm --threads 1 tasks.txt").wait()
    assert ended.code == 0, ended.err
    assert any("the job has 3 nodes and 2 in use" in line for line in ended.said)


def test_the_node_of_a_manager_that_runs_nothing_is_told_of(jobs: Jobs) -> None:
    jobs.farms.tasks("true")
    idle = f"n0: manager, runs nothing here; to use its {len(os.sched_getaffinity(0))} CPUs, too: --manager-works"
    ended = jobs.farm("-N", "2", "-c", "4", environ={"THREADS": "1"}).wait()
    assert ended.code == 0, ended.err
    assert f"mpifarm: {idle}" in ended.said


def test_a_step_that_has_fewer_cpus_than_its_job_is_told_of(jobs: Jobs) -> None:
    """Slurm 22.05 does not hand -c of the job on to srun."""
    jobs.farms.tasks("echo $MPIFARM_THREADS")
    ended = jobs.sbatch(
        "-N", "2", "--ntasks-per-node=1", "-c", "4", "--wrap", "srun -c 1 python -m mpifarm tasks.txt"
    ).wait()
    assert ended.code == 0, ended.err
    assert "mpifarm: n1: 1 of 4 CPUs: srun -c 4" in ended.said


def test_a_job_that_has_one_cpu_of_a_node_since_nobody_asked_for_more_is_told_of(jobs: Jobs) -> None:
    jobs.farms.tasks("echo $MPIFARM_THREADS")
    ended = jobs.farm("-N", "2").wait()
    assert ended.code == 0, ended.err
    assert ended.out == b"1\n"
    node = os.cpu_count()  # the nodes' CPUs are made up: each worker sees those of the machine
    assert f"mpifarm: n1: 1 of {node} CPUs: srun -c {node}, and #SBATCH -c {node} in a batch script" in ended.said


@pytest.mark.parametrize("ranks", ["2", "3"])
@pytest.mark.parametrize("interface", ["none", "wrong"])
def test_an_interface_that_does_not_fit_is_refused_with_the_one_that_does(jobs: Jobs, interface: str, ranks: str) -> None:
    fits = jobs.cluster.mpi
    given = {"pmi2": "pmix", "pmix": "pmi2"}[fits] if interface == "wrong" else interface
    jobs.farms.tasks("touch ran")
    before = jobs.farms.snapshot()
    ended = jobs.srun(f"--mpi={given}", "-N", ranks, "python", "-m", "mpifarm", "tasks.txt").wait()
    assert ended.code == 2, ended.err
    (line,) = ended.said
    assert f"srun --mpi={fits}" in line
    assert jobs.farms.snapshot() == before


def test_one_rank_needs_no_interface(jobs: Jobs) -> None:
    jobs.farms.tasks("echo done")
    ended = jobs.srun("--mpi=none", "-N", "1", "-c", "2", "python", "-m", "mpifarm", "tasks.txt").wait()
    assert ended.code == 0, ended.err
    assert ended.out == b"done\n"
