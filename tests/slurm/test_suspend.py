"""A job that is suspended, by gang scheduling or preemption: whoever was away with it is neither silent nor late."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest
from mpi.farms import held, live_processes, wait_until

from .cluster import SCRIPTS, Job, Jobs

LOST_AFTER_S = 5
AWAY_S = LOST_AFTER_S + 65  # more than --lost-after and a minute
TIMEOUT_S = AWAY_S - 10  # that no task takes while it is awake
OPTIONS = ("--threads", "2", "--lost-after", str(LOST_AFTER_S), "--timeout", str(TIMEOUT_S), "--output", "out.txt")
SLOTS = 6  # of three nodes: the manager works, too
TASKS = SLOTS + 2


def states(jobs: Jobs) -> set[str]:
    """Return the states of the farm's processes, as the kernel calls them: T is stopped."""
    stats = [Path(f"/proc/{process.pid}/stat") for process in live_processes(jobs.mark)]
    found = set()
    for stat in stats:
        with suppress(FileNotFoundError, ProcessLookupError):  # a process of the script that has ended meanwhile
            found.add(stat.read_text().rpartition(")")[2].split()[0])
    return found


def suspend(jobs: Jobs, job: Job) -> None:
    try:
        jobs.cluster.ask("scontrol", "suspend", job.id)
    except AssertionError as refused:
        pytest.skip(f"this Slurm does not suspend: {refused}")
    wait_until(lambda: states(jobs) == {"T"}, "rank, helper and task of every node stand still")


def test_a_suspended_job_goes_on_where_it_was(jobs: Jobs) -> None:
    offsets = jobs.farms.tasks(*(f"echo {number} >> ran; {held(number)}" for number in range(TASKS)))
    job = jobs.sbatch("-N", "3", "-c", "2", "-t", "1", str(SCRIPTS / "cpu.sbatch"), *OPTIONS, "tasks.txt")
    wait_until(lambda: len(list(jobs.directory.glob("held.*"))) == SLOTS, "the first tasks run")
    suspend(jobs, job)
    time.sleep(AWAY_S)  # that it lasts is the scenario
    jobs.cluster.ask("scontrol", "resume", job.id)
    (jobs.directory / "go").touch()
    ended = job.wait()
    assert ended.code == 0, ended.err
    assert sorted((jobs.directory / "ran").read_text().split()) == [str(number) for number in range(TASKS)]
    assert sorted(jobs.farms.progress()) == offsets
    assert jobs.farms.attempted() == offsets
    assert sorted((jobs.directory / "out.txt").read_text().split()) == [str(number) for number in range(TASKS)]
