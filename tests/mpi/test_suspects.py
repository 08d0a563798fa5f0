"""Tasks that take their worker or the whole farm with them, over restarts; and jobs that are too short for their list."""

from __future__ import annotations

import signal

import pytest

from .farms import Farms, is_open_mpi, mpiexec

KILL_HELPER = "kill -9 $PPID; sleep 1"
GUARDIAN = "$(awk '/^PPid/ {print $2}' /proc/$PPID/status)"
KILL_RANK = f"kill -9 $(awk '/^PPid/ {{print $2}}' /proc/{GUARDIAN}/status); sleep 1"
ENOUGH = 8


def start_until(farms: Farms, code: int, ranks: int, *options: str) -> list[int]:
    """Start the farm again and again until it ends with *code*; return how it ended each time."""
    codes: list[int] = []
    while len(codes) < ENOUGH and (not codes or codes[-1] != code):
        codes.append(farms.run(ranks, *options, "tasks.txt").code)
    return codes


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_task_that_kills_its_helper_goes_last_then_fails_for_good_at_the_third_start(farms: Farms, ranks: int) -> None:
    poison, *others = farms.tasks(KILL_HELPER, *(f"echo {number}" for number in range(10)))
    assert start_until(farms, 1, ranks, "--threads", "1") == [3, 3, 1]
    assert farms.progress() == others
    assert farms.left() == [poison]
    assert "failed for good: task 1 (tasks.txt:1)" in farms.file("log").read_text()


def test_a_task_that_kills_the_farm_has_failed_for_good_at_the_fourth_start_and_is_named(farms: Farms) -> None:
    first, poison, *others = farms.tasks("echo first", KILL_RANK, *(f"echo {number}" for number in range(10)))
    killed = -signal.SIGKILL
    assert start_until(farms, 1, 0, "--threads", "2") == [killed, killed, killed, 1]
    assert sorted(farms.progress()) == [first, *others]
    assert farms.left() == [poison]
    verdict = "failed for good: task 2 (tasks.txt:2) was running when its worker or the farm died, 3 times"
    assert verdict in farms.file("log").read_text()
    # it is tried again by the next start, and by that alone
    assert start_until(farms, 1, 0, "--threads", "2") == [killed, 1]
    assert farms.left() == [poison]


def test_a_task_that_kills_its_rank_and_so_all_ranks_keeps_nothing_else_from_being_done(farms: Farms) -> None:
    if is_open_mpi(mpiexec()[0]):
        pytest.skip("Open MPI's mpiexec is told of it in another way each time")
    poison, *others = farms.tasks(KILL_RANK, *(f"echo {number}" for number in range(10)))
    codes = start_until(farms, 1, 3, "--threads", "1")
    assert codes[-1] == 1
    assert len(codes) == 4
    assert sorted(farms.progress()) == others
    assert farms.left() == [poison]


def test_the_suspects_of_a_killed_farm_are_acquitted_by_success(farms: Farms) -> None:
    once = "[ -e again ] || { touch again; " + KILL_RANK + "; }; echo $MPIFARM_TASK"
    offsets = farms.tasks(once, *(f"echo {number}" for number in range(10)))
    assert start_until(farms, 0, 0, "--threads", "1") == [-signal.SIGKILL, 0]
    assert farms.progress() == [*offsets[1:], offsets[0]]


def test_what_needs_a_directory_that_another_task_is_about_to_make_waits_for_it(farms: Farms) -> None:
    offsets = farms.tasks("sleep 3; mkdir out", *(f"echo {number} > out/{number}" for number in range(60)))
    assert farms.run(0, "--threads", "4", "tasks.txt").code == 0
    assert sorted(farms.progress()) == offsets
    assert sorted(int(path.read_text()) for path in (farms.directory / "out").iterdir()) == list(range(60))


def test_a_task_longer_than_the_job_is_named_and_the_second_job_says_that_a_third_does_not_help(farms: Farms) -> None:
    short, long = farms.tasks("echo short", "sleep 1000; echo never")
    options = ("--threads", "1", "--walltime", "6s", "--margin", "2s", "tasks.txt")
    first = farms.run(0, *options)
    assert first.code == 3
    named = "the end of the job has interrupted 1 task (see the log); the longest, task 2 (tasks.txt:2), had run "
    assert any(line.startswith(f"mpifarm: {named}") and line.endswith(": sleep 1000; echo never") for line in first.said)
    assert "interrupted by the end of the job: task 2 " in farms.file("log").read_text()
    second = farms.run(0, *options)
    assert second.code == 1
    assert second.said[-2].endswith("starting again does not help, ask for a longer job")
    assert second.said[-1] == "mpifarm: next: --walltime 00:05:00"
    assert ": the job was too short for any of them; " in second.said[-3]
    assert farms.progress() == [short]
    assert farms.left() == [long]


@pytest.mark.parametrize("option", ["--time-request", "--margin"])
def test_an_option_that_leaves_no_time_to_start_anything_is_refused_before_a_file_is_touched(
    farms: Farms, option: str
) -> None:
    farms.tasks("echo 1")
    before = farms.snapshot()
    ended = farms.run(2, "--walltime", "60m", option, "2h", "tasks.txt")
    assert ended.code == 2
    longer = f"{option} 2 h 0 min is longer than the job: 60 min are left: give less, or ask for a longer job"
    assert ended.said == [f"mpifarm: {longer}"]
    assert farms.snapshot() == before
