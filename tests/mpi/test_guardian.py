"""Whoever of rank, helper and guardian is killed, or stopped: the farm ends, and no process of it is left."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from .farms import Farm, Farms, Process, wait_until

OPTIONS = ("--threads", "2", "--output", "all.out", "tasks.txt")


def start(farms: Farms, ranks: int) -> tuple[Farm, list[int], list[Process]]:
    """Start a farm; return it when two tasks run and wait on every worker, with all offsets, and its own processes."""
    workers = max(1, ranks - 1)
    task = "echo {0} >> ran; touch held.{0}; [ -e go ] || sleep 600; echo {0}; echo {0} >> ended"
    offsets = farms.tasks(*(task.format(number) for number in range(2 * workers)), "echo last")
    farm = farms.start(ranks, *OPTIONS)
    wait_until(lambda: len(list(farms.directory.glob("held.*"))) == 2 * workers, "all slots are taken")
    return farm, offsets, [process for process in farm.processes() if process.farms]


def kind(process: Process, ours: list[Process]) -> str:
    if process.guards:
        return "guardian"
    guardians = {other.pid for other in ours if other.guards}
    return "helper" if process.parent in guardians else "rank"


def kill_together(ours: list[Process], *kinds: str) -> None:
    """Stop them before they are killed: so none sees another's end."""
    victims = [process.pid for process in ours if kind(process, ours) in kinds]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in victims:
            with suppress(ProcessLookupError):  # mpiexec was faster
                os.kill(pid, number)


def check_that_the_next_start_finishes(farms: Farms, ranks: int, offsets: list[int]) -> None:
    """And that nothing of the first one goes on beside it."""
    (farms.directory / "go").touch()
    assert farms.run(ranks, *OPTIONS).code == 0
    assert sorted(farms.progress()) == offsets
    ended = (farms.directory / "ended").read_text().split()
    assert sorted(ended) == sorted(set(ended)), "a task has ended twice"


@pytest.mark.short
@pytest.mark.parametrize("ranks", [pytest.param(0, marks=pytest.mark.long), 3])
def test_the_tasks_die_when_all_pythons_of_a_farm_are_killed_together(farms: Farms, ranks: int) -> None:
    farm, offsets, ours = start(farms, ranks)
    assert {process.name for process in ours if process.guards} == {"mpifarm-guard"}
    kill_together(ours, "rank", "helper")
    assert farm.wait().code != 0
    assert not (farms.directory / "ended").exists()
    check_that_the_next_start_finishes(farms, ranks, offsets)


@pytest.mark.parametrize("kinds", [("guardian", "helper"), ("guardian", "rank"), ("rank",)])
@pytest.mark.parametrize("ranks", [0, 2])
def test_who_is_left_of_the_others_ends_the_tasks(farms: Farms, ranks: int, kinds: tuple[str, ...]) -> None:
    farm, offsets, ours = start(farms, ranks)
    kill_together(ours, *kinds)
    code = farm.wait().code
    assert code == 3 if "rank" not in kinds else code
    assert not (farms.directory / "ended").exists()
    check_that_the_next_start_finishes(farms, ranks, offsets)


@pytest.mark.parametrize("number", [0, signal.SIGTERM])
@pytest.mark.parametrize("ranks", [0, 2])
def test_without_its_guardian_a_farm_goes_on_and_stops_as_ever(farms: Farms, ranks: int, number: int) -> None:
    offsets = farms.tasks("touch held; until [ -e go ]; do sleep 0.05; done; sleep 600 & echo 0", "echo 1")
    farm = farms.start(ranks, *OPTIONS)
    wait_until((farms.directory / "held").exists, "the task runs")
    kill_together([process for process in farm.processes() if process.farms], "guardian")
    if number:
        farm.signal(number)
    else:
        (farms.directory / "go").touch()
    ended = farm.wait()
    assert ended.code == (3 if number else 0)
    assert "Exception" not in ended.err and "Traceback" not in ended.err
    assert set(farms.progress()) >= set(offsets[1:] if number else offsets)


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_stopped_guardian_keeps_no_farm_from_its_end(farms: Farms, ranks: int) -> None:
    farms.tasks("touch held; until [ -e go ]; do sleep 0.05; done; echo 0")
    farm = farms.start(ranks, *OPTIONS)
    wait_until((farms.directory / "held").exists, "the task runs")
    for process in farm.processes():
        if process.guards:
            os.kill(process.pid, signal.SIGSTOP)
    (farms.directory / "go").touch()
    assert farm.wait().code == 0


@pytest.mark.short
def test_who_reads_what_a_farm_prints_sees_its_end(farms: Farms) -> None:
    """`| cat` ends when all have closed the pipe; a guardian is no writer."""
    farms.tasks("sleep 600 & echo 0", "echo 1")
    ended = farms.start(0, "--threads", "1", "tasks.txt", by=("sh", "-c", '"$0" "$@" 2>&1 | cat')).wait()
    assert ended.code == 0
    assert b"all 2 tasks are done" in ended.out


STOPS = [
    pytest.param((), (signal.SIGTERM,), id="TERM"),
    pytest.param((), (signal.SIGINT, signal.SIGINT), id="INT INT"),
    pytest.param(("--walltime", "8"), (), id="walltime"),
]


@pytest.mark.parametrize("ranks", [0, 2])
@pytest.mark.parametrize(("options", "signals"), STOPS)
def test_a_stop_ends_a_farm_whose_helper_was_stopped_by_a_task(
    farms: Farms, ranks: int, options: tuple[str, ...], signals: tuple[int, ...]
) -> None:
    first, stopper = farms.tasks("echo 0", "[ -e go ] || { sleep 0.5; touch held; kill -STOP $PPID; sleep 600; }; echo 1")
    farm = farms.start(ranks, "--threads", "1", *options, "tasks.txt")
    wait_until((farms.directory / "held").exists, "the task runs")
    for number in signals:
        farm.signal(number)
    ended = farm.wait()
    assert ended.code == 3, ended.err
    assert farms.progress() == [first]
    assert farms.left() == [stopper]
    assert "does not answer: it was killed with its tasks" in ended.err
    (farms.directory / "go").touch()
    assert farms.run(ranks, "--threads", "1", "tasks.txt").code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_rank_whose_mpi_does_not_start(farms: Farms, number: int) -> None:
    farms.tasks("echo 0")
    late = "[ ${PMI_RANK:-$OMPI_COMM_WORLD_RANK} = 0 ] || exec sleep 600"
    farm = farms.start(2, "tasks.txt", before=late)
    wait_until(lambda: any(process.guards for process in farm.processes()), "rank 0 has a guardian")
    (rank,) = {p.parent for p in farm.processes() if p.guards}
    wait_until(lambda: heeds(rank, number), "it has handlers of its own")
    os.kill(rank, number)
    ended = farm.wait()
    assert ended.code != 0
    assert "does not end after a signal" in ended.err
    assert sorted(farms.snapshot()) == ["tasks.txt"]


def heeds(pid: int, number: int) -> bool:
    """Whether a process has taken the list of signals that the farm takes: USR2 is among them."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (caught,) = [int(line.split()[1], 16) for line in status if line.startswith("SigCgt")]
    return all(caught >> (wanted - 1) & 1 for wanted in (number, signal.SIGUSR2))
