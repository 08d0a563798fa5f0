"""The end of a job: its limit, wherever it is known from, and Slurm's signals. What they interrupt has not failed."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable

import pytest
from mpi.farms import Farm, held, wait_until

from .cluster import Jobs


def hold(jobs: Jobs, *before: str) -> tuple[Farm, list[int]]:
    """Start a farm of two slots on a list of four; return it, when two tasks run and wait, and the offsets."""
    offsets = jobs.farms.tasks(*("; ".join((*before, held(number))) for number in range(4)))
    farm = jobs.farm("-N", "3", "-c", "2", arguments=("--threads", "1", "tasks.txt"))
    wait_until(lambda: all((jobs.directory / f"held.{number}").exists() for number in range(2)), "two tasks run")
    return farm, offsets


def assert_next_start_finishes(jobs: Jobs, offsets: list[int]) -> None:
    (jobs.directory / "go").touch()
    ended = jobs.farm("-N", "3", "-c", "2", arguments=("--threads", "2", "--retries", "0", "tasks.txt")).wait()
    assert ended.code == 0, ended.err
    assert sorted(jobs.farms.progress()) == offsets


# the limit

SOON = ("--time-request", "5s", "tasks.txt")  # the job ends in ten seconds, so for five of them tasks are started


def with_squeue(jobs: Jobs, script: str) -> dict[str, str]:
    """Return an environment in which squeue is a shell script."""
    (jobs.directory / "bin").mkdir(exist_ok=True)
    (jobs.directory / "bin" / "squeue").write_text(f"#!/bin/sh\n{script}\n")
    (jobs.directory / "bin" / "squeue").chmod(0o755)
    return {"PATH": f"{jobs.directory}/bin:{jobs.environ()['PATH']}"}


@pytest.mark.parametrize("source", ["squeue", "SLURM_JOB_END_TIME", "--walltime"])
def test_what_cannot_finish_is_not_started_and_the_job_ends_early(jobs: Jobs, source: str) -> None:
    offsets = jobs.farms.tasks(*["[ -e go ] || sleep 0.5"] * 200)  # for 100 s
    options, arguments, environ = {
        "squeue": (("-t", "1"), ("--time-request", "55s", "tasks.txt"), {}),
        "SLURM_JOB_END_TIME": ((), SOON, {"SLURM_JOB_END_TIME": str(int(time.time()) + 10), **with_squeue(jobs, "exit 1")}),
        "--walltime": ((), ("--walltime", "10s", *SOON), {}),
    }[source]
    ended = jobs.farm("-N", "2", "-c", "1", *options, arguments=("--threads", "1", *arguments), environ=environ).wait()
    assert ended.code == 3, ended.err
    assert 0 < len(jobs.farms.progress()) < len(offsets)
    assert {line["Signal"] for line in jobs.farms.joblog()} == {"0"}  # nothing was interrupted
    assert jobs.farms.left() == []
    assert_next_start_finishes(jobs, offsets)


def test_a_limit_that_was_extended_since_the_job_began_is_known(jobs: Jobs) -> None:
    """Rank 0 waits for squeue no longer than for the other rank, which here waits for squeue."""
    offsets = jobs.farms.tasks("echo 1", "echo 2")
    real = shutil.which("squeue", path=jobs.environ()["PATH"])
    old = {"SLURM_JOB_END_TIME": str(int(time.time()))}  # so the farm would have to stop at once
    slow = "if [ $SLURM_PROCID = 1 ]; then until [ -e asked ]; do sleep 0.05; done; fi; exec python -m mpifarm tasks.txt"
    environ = {**old, **with_squeue(jobs, f'{real} "$@"; touch asked')}
    ended = jobs.srun(
        f"--mpi={jobs.cluster.mpi}", "-N", "2", "-c", "1", "-t", "5", "sh", "-c", slow, environ=environ
    ).wait()
    assert ended.code == 0, ended.err
    assert sorted(jobs.farms.progress()) == offsets
    assert any("as squeue says, and not" in line for line in ended.said)


def test_what_runs_may_run_on_until_it_is_told_to_end_and_then_killed(jobs: Jobs) -> None:
    deaf = "[ -e go ] || { trap 'touch termed' TERM; touch held.deaf; while :; do sleep 0.1; done; }"
    offsets = jobs.farms.tasks("echo first", held("late").replace("go", "late"), deaf, held("polite"), "touch never")
    arguments = ("--threads", "3", "--retries", "0", "--walltime", "9s", "--margin", "2s", "--time-request", "6s")
    farm = jobs.farm("-N", "2", "-c", "4", arguments=(*arguments, "tasks.txt"))
    wait_until((jobs.directory / "held.polite").exists, "the first has ended, and three run")
    wait_until(lambda: "starting nothing more" in farm.err(), "nothing more is started")
    (jobs.directory / "late").touch()
    ended = farm.wait()
    assert ended.code == 3, ended.err
    assert ended.out.split() == [b"first", b"late"]
    assert sorted(jobs.farms.progress()) == offsets[:2]
    assert (jobs.directory / "termed").exists()
    signals = {int(line["Offset"]): line["Signal"] for line in jobs.farms.joblog()}
    assert signals == dict(zip(offsets, ("0", "0", "9", "15"), strict=False))
    assert jobs.farms.left() == offsets[2:4]
    assert "failed" not in jobs.farms.file("log").read_text()
    assert not (jobs.directory / "never").exists()
    assert_next_start_finishes(jobs, offsets)


# signals

Stopper = Callable[[Jobs, Farm], None]


def scancel(*options: str) -> Stopper:
    """Return what signals the step's whole tree of processes: the proctrack of these nodes is linuxproc."""

    def stop(jobs: Jobs, farm: Farm) -> None:
        jobs.cluster.ask("scancel", *options, jobs.id_of(farm))

    return stop


def kill(number: int, *ranks: int) -> Stopper:
    """Return what signals ranks and nobody else, as scancel does where proctrack is cgroup."""

    def stop(jobs: Jobs, farm: Farm) -> None:
        pids = jobs.ranks()
        for rank in ranks:
            os.kill(pids[rank], number)

    return stop


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(scancel("--signal=TERM"), id="scancel --signal=TERM"),
        pytest.param(kill(signal.SIGTERM, 0), id="TERM to the manager"),
        pytest.param(kill(signal.SIGTERM, 0, 1, 2), id="TERM to every rank"),
        pytest.param(kill(signal.SIGTERM, 1, 2), id="TERM to every worker"),
    ],
)
def test_tasks_that_die_of_a_stop_have_not_failed(jobs: Jobs, stop: Stopper) -> None:
    farm, offsets = hold(jobs)
    stop(jobs, farm)
    ended = farm.wait()
    assert ended.code == 3, ended.err
    assert jobs.farms.progress() == []
    assert jobs.farms.left() == offsets[:2]
    assert "failed" not in jobs.farms.file("log").read_text()
    assert not jobs.farms.file("lock").exists()
    assert_next_start_finishes(jobs, offsets)


@pytest.mark.parametrize("before", ["true", "trap '' TERM"], ids=["polite", "deaf"])
def test_a_cancelled_job_has_ended_and_written_all_before_the_kill(jobs: Jobs, before: str) -> None:
    """The CONT and TERM of scancel reach everybody; KillWait later, five seconds here, comes the KILL."""
    farm, offsets = hold(jobs, before)
    jobs.cluster.ask("scancel", jobs.id_of(farm))
    farm.wait()
    assert jobs.farms.progress() == []
    assert "failed" not in (jobs.farms.file("log").read_text() if jobs.farms.file("log").exists() else "")
    if before == "true":
        assert jobs.farms.left() == offsets[:2]
        assert not jobs.farms.file("lock").exists()
    assert_next_start_finishes(jobs, offsets)


def test_usr1_ends_no_farm(jobs: Jobs) -> None:
    farm, offsets = hold(jobs)
    jobs.cluster.ask("scancel", "--signal=USR1", jobs.id_of(farm))
    wait_until((jobs.directory / "held.3").exists, "the tasks that have died of it gave way to the next two")
    (jobs.directory / "go").touch()
    ended = farm.wait()
    assert ended.code == 0, ended.err
    assert sorted(jobs.farms.progress()) == offsets


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(scancel("--signal=USR2"), id="scancel --signal=USR2"),
        pytest.param(kill(signal.SIGUSR2, 0), id="USR2 to the manager"),
    ],
)
def test_usr2_drains(jobs: Jobs, stop: Stopper) -> None:
    farm, offsets = hold(jobs, "trap '' USR2")
    stop(jobs, farm)
    wait_until(lambda: "SIGUSR2" in farm.err(), "the manager has taken the signal")
    (jobs.directory / "go").touch()
    ended = farm.wait()
    assert ended.code == 3, ended.err
    assert sorted(ended.out.split()) == [b"0", b"1"]
    assert sorted(jobs.farms.progress()) == offsets[:2]
    assert jobs.farms.left() == []
    assert_next_start_finishes(jobs, offsets)


def test_usr2_that_kills_tasks_has_failed_none(jobs: Jobs) -> None:
    farm, offsets = hold(jobs)
    jobs.cluster.ask("scancel", "--signal=USR2", jobs.id_of(farm))
    ended = farm.wait()
    assert ended.code == 3, ended.err
    assert jobs.farms.left() == offsets[:2]
    assert "failed" not in jobs.farms.file("log").read_text()
    assert_next_start_finishes(jobs, offsets)
