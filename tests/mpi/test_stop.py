"""Signals in mid-run: what runs is ended or waited for, nothing is lost, and the next start goes on."""

from __future__ import annotations

import re
import signal

import pytest

from .farms import Farm, Farms, held, wait_until


def start_and_hold(farms: Farms, ranks: int, *options: str) -> tuple[Farm, list[int]]:
    """Start a farm of one slot a worker on a list of four; return it, when two tasks run and wait, and the offsets."""
    offsets = farms.tasks(*(f"echo so far {number}; {held(number)}" for number in range(4)))
    farm = farms.start(ranks, "--threads", "1" if ranks > 2 else "2", *options, "tasks.txt")
    wait_until(lambda: all((farms.directory / f"held.{number}").exists() for number in range(2)), "two tasks run")
    return farm, offsets


def assert_next_start_finishes(farms: Farms, ranks: int, offsets: list[int]) -> None:
    (farms.directory / "go").touch()
    ended = farms.run(ranks, "--threads", "2", "--retries", "0", "tasks.txt")
    assert ended.code == 0
    assert sorted(farms.progress()) == offsets


@pytest.mark.parametrize(
    ("ranks", "number"), [(3, signal.SIGTERM), (3, signal.SIGINT), (0, signal.SIGINT), (0, signal.SIGHUP)]
)
def test_a_stop_interrupts_what_runs_and_charges_nobody(farms: Farms, ranks: int, number: int) -> None:
    """HUP is the one that a library takes for itself: UCX, in MPI_Init, for its debug log (UCX_DEBUG_SIGNO)."""
    farm, offsets = start_and_hold(farms, ranks, "--retries", "0")
    farm.signal(number)
    ended = farm.wait()
    assert ended.code == 3
    assert ended.out == b""
    assert farms.progress() == []
    assert farms.left() == offsets[:2]
    log = farms.log()
    assert not any("failed" in line for line in log)
    told = [
        re.fullmatch(r".* interrupted: task (\d) \(tasks\.txt:\1\), .*, had run \d+\.\d{3} s: echo .*", line)
        for line in log
    ]
    assert sorted(line[1] for line in told if line) == ["1", "2"]
    assert sorted(line for line in log if line.startswith("        ")) == ["        so far 0", "        so far 1"]
    assert not (farms.directory / "held.2").exists()
    assert not farms.file("lock").exists()
    assert_next_start_finishes(farms, ranks, offsets)


@pytest.mark.short
@pytest.mark.parametrize("ranks", [pytest.param(0, marks=pytest.mark.long), 3])
def test_a_drain_lets_what_runs_finish_and_starts_nothing_more(farms: Farms, ranks: int) -> None:
    farm, offsets = start_and_hold(farms, ranks)
    farm.signal(signal.SIGUSR2)
    wait_until(lambda: "SIGUSR2" in farm.err(), "the manager has taken the signal")
    (farms.directory / "go").touch()
    ended = farm.wait()
    assert ended.code == 3
    assert sorted(ended.out.splitlines()) == [b"0", b"1", b"so far 0", b"so far 1"]
    assert sorted(farms.progress()) == offsets[:2]
    assert farms.left() == []
    assert_next_start_finishes(farms, ranks, offsets)


def test_a_task_that_ignores_term_is_killed_when_the_farm_stops(farms: Farms) -> None:
    deaf, *rest = farms.tasks("[ -e go ] || { trap '' TERM; touch held; sleep 100; }", "echo next")
    farm = farms.start(2, "--threads", "1", "tasks.txt")
    wait_until((farms.directory / "held").exists, "the task runs")
    farm.signal(signal.SIGTERM)
    assert farm.wait().code == 3
    assert [line["Signal"] for line in farms.joblog()] == ["9"]
    assert farms.left() == [deaf]
    assert_next_start_finishes(farms, 2, [deaf, *rest])


# Longer than a task has between TERM and KILL if nobody says otherwise.
SAVES = "[ -e go ] || { trap 'sleep 7; touch saved; exit 5' TERM; touch held; while :; do sleep 0.1; done; }"


@pytest.mark.parametrize(("kill_after", "signal_of_task"), [("20", "0"), ("0.5", "9")])
def test_a_task_has_as_long_to_save_its_state_at_its_timeout_as_is_asked_for(
    farms: Farms, kill_after: str, signal_of_task: str
) -> None:
    farms.tasks(SAVES)
    ended = farms.run(2, "--retries", "0", "--timeout", "1", "--kill-after", kill_after, "tasks.txt")
    assert ended.code == 1
    assert [line["Signal"] for line in farms.joblog()] == [signal_of_task]
    assert (farms.directory / "saved").exists() == (kill_after == "20")


@pytest.mark.parametrize("ranks", [0, 3])
def test_a_task_has_as_long_to_save_its_state_when_the_farm_stops_as_is_asked_for(farms: Farms, ranks: int) -> None:
    saver, *rest = farms.tasks(SAVES, "echo next")
    farm = farms.start(ranks, "--threads", "1", "--kill-after", "20", "tasks.txt")
    wait_until((farms.directory / "held").exists, "the task runs")
    farm.signal(signal.SIGTERM)
    assert farm.wait().code == 3
    assert (farms.directory / "saved").exists()
    assert farms.left() == [saver]
    assert_next_start_finishes(farms, ranks, [saver, *rest])


@pytest.mark.parametrize("ranks", [0, 3])
def test_a_second_int_waits_for_nobody_however_long_he_may_take(farms: Farms, ranks: int) -> None:
    saver, *rest = farms.tasks(SAVES, "echo next")
    farm = farms.start(ranks, "--threads", "1", "--kill-after", "1h", "tasks.txt")
    wait_until((farms.directory / "held").exists, "the task runs")
    farm.signal(signal.SIGINT)
    wait_until(lambda: "SIGINT" in farm.err(), "the manager has taken the signal")
    farm.signal(signal.SIGINT)
    assert farm.wait().code == 3
    assert not (farms.directory / "saved").exists()
    assert farms.left() == [saver]
    assert_next_start_finishes(farms, ranks, [saver, *rest])


@pytest.mark.parametrize(("ranks", "options"), [(0, ()), (2, ()), (2, ("--kill-after", "1h"))])
def test_a_task_that_ignores_term_is_killed_before_the_end_of_the_job(
    farms: Farms, ranks: int, options: tuple[str, ...]
) -> None:
    deaf, *rest = farms.tasks("[ -e go ] || { trap '' TERM; touch held; while :; do sleep 0.1; done; }", "echo next")
    ended = farms.run(ranks, "--threads", "1", "--walltime", "8s", *options, "tasks.txt")
    assert ended.code == 3, ended.err
    assert (farms.directory / "held").exists()
    assert [line["Signal"] for line in farms.joblog()] == ["9"]
    order = ("starting nothing more", "ending what runs", "killing what has not ended", "interrupted by the end of the job")
    log = farms.file("log").read_text()
    assert sorted(order, key=log.index) == list(order), log
    assert farms.left() == [deaf]
    assert_next_start_finishes(farms, ranks, [deaf, *rest])


@pytest.mark.short
def test_a_worker_that_is_told_to_stop_hands_its_task_to_the_other(farms: Farms) -> None:
    farm, offsets = start_and_hold(farms, 3, "--retries", "0")
    farm.signal(signal.SIGTERM, 1)
    wait_until(lambda: len([p for p in farm.processes() if "MPIFARM_TASK" in p.environ]) <= 2, "its task has ended")
    (farms.directory / "go").touch()
    assert farm.wait().code == 0
    assert sorted(farms.progress()) == offsets
    attempts = sorted((int(line["Offset"]), line["Attempt"]) for line in farms.joblog())
    assert len(attempts) == 5
    assert len({line["Slot"] for line in farms.joblog() if line["Signal"] == "0"}) == 1


def test_the_last_worker_that_is_told_to_stop_leaves_work_for_the_next_start(farms: Farms) -> None:
    farm, offsets = start_and_hold(farms, 2, "--retries", "0")
    farm.signal(signal.SIGTERM, 1)
    assert farm.wait().code == 3
    assert farms.left() == offsets[:2]
    assert "failed" not in farms.file("log").read_text()
    assert_next_start_finishes(farms, 2, offsets)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_mpiexec_leaves_nothing_running_and_nothing_lost(farms: Farms, number: int) -> None:
    farm, offsets = start_and_hold(farms, 3)
    farm.signal(number, None)
    assert farm.wait().code != 0
    assert_next_start_finishes(farms, 3, offsets)
