"""What a job loses: a node, a rank, a helper, the manager, srun. The farm goes on, or the next one finishes its list."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mpi.farms import Process, held, live_processes, wait_until

from .cluster import SCRIPTS, Cluster, Jobs

THREADS = 4
LOST_AFTER_S = 5
RESTART_S = 10  # how long after that the last task of what was lost may start
MANAGER_LOST_AFTER_S = 2
WORKERS_LEAVE_S = MANAGER_LOST_AFTER_S + 60 + 20  # a manager may hang for a minute; the rest is for a slow machine

NODES = ("-N", "3", "-c", str(THREADS), "--no-kill", "-K0", "-W0")
OPTIONS = ("--threads", str(THREADS), "--output", "out.txt")
FARM = (*OPTIONS, "--lost-after", str(LOST_AFTER_S), "tasks.txt")
LOSER = "n2"  # never the manager's node


@pytest.fixture
def loser(jobs: Jobs) -> Iterator[str]:
    """Return the node that a test may kill; afterwards it is there again."""
    yield LOSER
    cluster = jobs.cluster
    if not Path(f"/proc/{slurmd(cluster, LOSER)}").exists():
        subprocess.run(["slurmd", "-N", LOSER], env=cluster.environ, check=True)
    wait_until(lambda: node_state(cluster, LOSER) in ("idle", "alloc", "mix", "comp"), f"{LOSER} is back")


def slurmd(cluster: Cluster, node: str) -> int:
    return int((cluster.directory / "run" / f"slurmd.{node}.pid").read_text())


def node_state(cluster: Cluster, node: str) -> str:
    """Return what sinfo calls its state; with a * behind it, if it does not answer."""
    return cluster.ask("sinfo", "--noheader", f"--nodes={node}", "--format=%t").strip()


def living_on(jobs: Jobs, node: str) -> list[Process]:
    """Return the farm's processes on *node*: rank, helper, tasks."""
    return [process for process in live_processes(jobs.mark) if process.environ.get("SLURMD_NODENAME") == node]


def rank_on(jobs: Jobs, node: str) -> Process:
    ranks = jobs.ranks().values()
    (rank,) = [process for process in living_on(jobs, node) if process.pid in ranks]
    return rank


def helper_on(jobs: Jobs, node: str) -> Process:
    guardians = {process.pid for process in living_on(jobs, node) if process.guards}
    (helper,) = [process for process in living_on(jobs, node) if process.parent in guardians]
    return helper


def running_on(jobs: Jobs, node: str) -> set[int]:
    """Return the offsets of the tasks that run on *node*."""
    return {int(process.environ["MPIFARM_TASK"]) for process in living_on(jobs, node) if "MPIFARM_TASK" in process.environ}


def all_run(jobs: Jobs, node: str, workers: int = 2) -> set[int]:
    """Wait until the first tasks fill all workers; return the offsets of those on *node*."""
    wait_until(lambda: len(list(jobs.directory.glob("held.*"))) == workers * THREADS, "the first tasks run")
    tasks = running_on(jobs, node)
    assert len(tasks) == THREADS
    return tasks


def tasks_that_fill(jobs: Jobs, workers: int, others: int) -> list[int]:
    """Write a list that first fills *workers* with tasks that wait for the file go, and then has *others* short ones."""
    slots = workers * THREADS
    return jobs.farms.tasks(*map(held, range(slots)), *(f"echo {slots + number}" for number in range(others)))


def tasks_that_fill_two_workers(jobs: Jobs, others: int) -> list[int]:
    return tasks_that_fill(jobs, 2, others)


def go(jobs: Jobs) -> None:
    (jobs.directory / "go").touch()


def second_attempts(jobs: Jobs) -> dict[int, str]:
    """Return the tasks that were dealt again, and where that ended."""
    return {int(line["Offset"]): line["Host"] for line in jobs.farms.joblog() if line["Attempt"] != "1"}


def check_that_all_is_recorded_once(jobs: Jobs, offsets: list[int]) -> None:
    assert sorted(jobs.farms.progress()) == offsets
    assert jobs.farms.file("done").exists()
    assert not jobs.farms.file("lock").exists()
    printed = sorted(map(int, (jobs.directory / "out.txt").read_text().split()))
    assert printed == list(range(len(offsets)))


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_a_lost_node_costs_the_tasks_that_it_ran_and_no_other(jobs: Jobs, loser: str) -> None:
    offsets = tasks_that_fill(jobs, 3, 20)
    job = jobs.sbatch(*NODES[:4], str(SCRIPTS / "cpu.sbatch"), *FARM)  # its manager works
    lost = all_run(jobs, loser, workers=3)
    rank = rank_on(jobs, loser)
    lost_at = time.time()
    kill(slurmd(jobs.cluster, loser), rank.parent, rank.pid)  # the rank's parent is slurmstepd
    wait_until(lambda: not living_on(jobs, loser), "helper and tasks of the lost node are gone")
    go(jobs)
    ended = job.wait()
    assert ended.code == 0, ended.err
    check_that_all_is_recorded_once(jobs, offsets)
    again = second_attempts(jobs)
    assert again.keys() == lost
    assert set(again.values()) <= {"n0", "n1"}
    assert jobs.farms.attempted() == offsets
    started = max(float(line["Starttime"]) for line in jobs.farms.joblog())
    assert started < lost_at + LOST_AFTER_S + RESTART_S
    print(f"last restart {started - lost_at:.1f} s after the loss; the job ended {time.time() - lost_at:.1f} s after it")


# srun shows the exit code of the rank that was killed, whatever the others do.
@pytest.mark.parametrize(("victim", "code"), [(rank_on, 128 + signal.SIGKILL), (helper_on, 0)], ids=["rank", "helper"])
def test_a_killed_process_of_a_worker_costs_the_tasks_that_it_ran_and_no_other(
    jobs: Jobs, victim: Callable[[Jobs, str], Process], code: int
) -> None:
    offsets = tasks_that_fill_two_workers(jobs, 20)
    farm = jobs.farm(*NODES, arguments=FARM)
    lost = all_run(jobs, LOSER)
    kill(victim(jobs, LOSER).pid)
    wait_until(lambda: not running_on(jobs, LOSER), "the tasks of the lost process are gone")
    go(jobs)
    ended = farm.wait()
    assert ended.code == code, ended.err
    assert "Exited with exit code" not in ended.err  # srun says so of a rank that leaves with another code than 0
    check_that_all_is_recorded_once(jobs, offsets)
    assert second_attempts(jobs) == dict.fromkeys(lost, "n1")
    assert jobs.farms.attempted() == offsets


def test_late_reports_of_a_stopped_worker_are_dropped_and_it_works_again(jobs: Jobs) -> None:
    gate = "go.$MPIFARM_NODE.$MPIFARM_ATTEMPT"
    first = [
        f"touch held.{number}; until [ -e {gate} ]; do sleep 0.05; done; echo {number}" for number in range(2 * THREADS)
    ]
    offsets = jobs.farms.tasks(*first, *(f"echo {2 * THREADS + number}" for number in range(20)))
    others = offsets[2 * THREADS :]
    farm = jobs.farm(*NODES, arguments=FARM)
    lost = all_run(jobs, LOSER)
    os.kill(rank_on(jobs, LOSER).pid, signal.SIGSTOP)
    (jobs.directory / f"go.{LOSER}.1").touch()
    wait_until(lambda: not running_on(jobs, LOSER), "its tasks have ended, which it cannot report")
    wait_until(lambda: "is lost" in farm.err(), "it is taken for lost")
    (jobs.directory / "go.n1.1").touch()
    wait_until(lambda: running_on(jobs, "n1") == lost, "what it ran was dealt to the other worker")
    os.kill(rank_on(jobs, LOSER).pid, signal.SIGCONT)
    wait_until(lambda: set(others) <= set(jobs.farms.progress()), "it runs the rest, since the other worker is full")
    assert not lost & set(jobs.farms.progress())
    (jobs.directory / "go.n1.2").touch()
    ended = farm.wait()
    assert ended.code == 0, ended.err
    check_that_all_is_recorded_once(jobs, offsets)
    assert second_attempts(jobs) == dict.fromkeys(lost, "n1")
    assert jobs.farms.attempted() == offsets


def test_an_idle_worker_that_is_killed_at_the_end_holds_nobody_up(jobs: Jobs) -> None:
    """Its silence is too short to be noticed, and MPI_Finalize would wait for it."""
    task = "touch held.{0}; until [ -e go.$MPIFARM_NODE ]; do sleep 0.05; done; echo {0}"
    offsets = jobs.farms.tasks(*(task.format(number) for number in range(2 * THREADS)))
    farm = jobs.farm(*NODES, arguments=(*OPTIONS, "tasks.txt"))
    all_run(jobs, LOSER)
    (jobs.directory / f"go.{LOSER}").touch()
    wait_until(lambda: jobs.farms.progressed(THREADS), "one worker is idle")
    kill(rank_on(jobs, LOSER).pid)
    (jobs.directory / "go.n1").touch()
    ended = farm.wait()
    assert ended.code == 128 + signal.SIGKILL, ended.err
    assert "Exited with exit code" not in ended.err  # srun says so of a rank that leaves with another code than 0
    check_that_all_is_recorded_once(jobs, offsets)


def test_a_rank_that_never_starts_holds_nobody_up_for_ever(jobs: Jobs) -> None:
    """A node on which Python cannot be loaded, say: MPI_Init would wait for it as long as the job lasts."""
    tasks_that_fill_two_workers(jobs, 0)
    broken = f'[ "$SLURMD_NODENAME" = {LOSER} ] && exit 1; exec "$0" "$@"'
    farm = jobs.srun(f"--mpi={jobs.cluster.mpi}", *NODES, "sh", "-c", broken, "python", "-m", "mpifarm", *FARM)
    assert farm.wait().code != 0
    assert not list(jobs.directory.glob("held.*"))


def test_workers_leave_when_the_manager_is_killed_and_the_next_farm_finishes(jobs: Jobs) -> None:
    options = (*OPTIONS, "--lost-after", str(MANAGER_LOST_AFTER_S), "tasks.txt")
    offsets = tasks_that_fill_two_workers(jobs, 20)
    farm = jobs.farm(*NODES, arguments=options)
    all_run(jobs, LOSER)
    kill(jobs.ranks()[0])
    until = time.monotonic() + WORKERS_LEAVE_S
    while farm.processes() and time.monotonic() < until:
        time.sleep(0.2)
    assert farm.wait().code == 128 + signal.SIGKILL
    assert jobs.farms.progress() == []
    assert jobs.farms.file("lock").exists()
    go(jobs)
    ended = jobs.farm(*NODES, arguments=options).wait()
    assert ended.code == 0, ended.err
    check_that_all_is_recorded_once(jobs, offsets)


def test_a_farm_whose_srun_was_killed_is_finished_by_the_next_one_of_the_same_job(jobs: Jobs) -> None:
    offsets = tasks_that_fill_two_workers(jobs, 20)
    allocated = jobs.cluster.ask("salloc", "--no-shell", *NODES[:5])
    job = f"--jobid={allocated.split()[-1]}"
    farm = jobs.farm(job, *NODES, arguments=FARM)
    all_run(jobs, LOSER)
    kill(farm.pid)
    assert farm.wait().code == -signal.SIGKILL
    assert jobs.farms.progress() == []
    go(jobs)
    ended = jobs.farm(job, *NODES, arguments=FARM).wait()
    assert ended.code == 0, ended.err
    check_that_all_is_recorded_once(jobs, offsets)
