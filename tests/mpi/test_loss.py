"""A rank or a helper that is killed, or stopped: what it ran is dealt again, and nothing is recorded twice."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

import pytest

from mpifarm.ranks.worker import MANAGER_SLOW_TIMES

from .farms import Farm, Farms, held, is_open_mpi, mpiexec, wait_until

AT_ONCE = "100s"  # --lost-after; who notices a loss within DEADLINE_S was told of it
ULFM = ("--with-ft", "ulfm")
SURVIVING = [
    pytest.param(("--enable-recovery",), "3s", id="by silence"),
    pytest.param(ULFM, AT_ONCE, id="by ulfm"),
]


def start(farms: Farms, launch: tuple[str, ...], lost_after: str) -> Farm:
    """Start two workers of two slots under an mpiexec of Open MPI with the options *launch*."""
    if launch and not is_open_mpi(mpiexec()[0]):
        pytest.skip(f"MPICH's mpiexec has no {launch[0]}: it ends all ranks when one is killed")
    options = ("--threads", "2", "--lost-after", lost_after, "--output", "all.out")
    return farms.start(3, *options, "tasks.txt", launch=launch)


def wait_until_held(farms: Farms, count: int) -> None:
    wait_until(lambda: len(list(farms.directory.glob("held.*"))) == count, f"{count} tasks run")


def tasks_of(farm: Farm, rank: int) -> set[int]:
    """Return the offsets of the tasks that run below the helper of *rank*."""
    helpers = {process.pid for process in farm.processes() if process.rank == rank}
    return {int(p.environ["MPIFARM_TASK"]) for p in farm.processes() if p.parent in helpers and "MPIFARM_TASK" in p.environ}


def check_that_all_is_recorded_once(farms: Farms, offsets: list[int]) -> None:
    assert sorted(farms.progress()) == offsets
    assert farms.file("done").exists()
    assert sorted(map(int, (farms.directory / "all.out").read_text().split())) == list(range(len(offsets)))


@pytest.mark.parametrize(("launch", "lost_after"), SURVIVING)
def test_what_a_killed_worker_ran_is_dealt_to_the_other(farms: Farms, launch: tuple[str, ...], lost_after: str) -> None:
    offsets = farms.tasks(*map(held, range(4)), *(f"echo {number}" for number in range(4, 20)))
    farm = start(farms, launch, lost_after)
    wait_until_held(farms, 4)
    lost = tasks_of(farm, 2)
    assert len(lost) == 2
    farm.signal(signal.SIGKILL, 2)
    wait_until(lambda: not tasks_of(farm, 2), "its tasks are gone")
    (farms.directory / "go").touch()
    assert farm.wait().code == 0
    check_that_all_is_recorded_once(farms, offsets)
    assert farms.attempted() == offsets
    assert {int(line["Offset"]) for line in farms.joblog() if line["Attempt"] == "2"} == lost


def test_workers_leave_at_once_with_their_tasks_when_ulfm_says_that_the_manager_is_dead(farms: Farms) -> None:
    offsets = farms.tasks(*map(held, range(4)), *(f"echo {number}" for number in range(4, 20)))
    farm = start(farms, ULFM, AT_ONCE)
    wait_until_held(farms, 4)
    farm.signal(signal.SIGKILL, 0)
    assert farm.wait().code != 0
    assert farms.progress() == []
    (farms.directory / "go").touch()
    assert start(farms, ULFM, AT_ONCE).wait().code == 0
    check_that_all_is_recorded_once(farms, offsets)


@pytest.mark.parametrize("ranks", [0, 2])
def test_what_finished_tasks_have_left_in_the_background_ends_with_a_killed_helper(farms: Farms, ranks: int) -> None:
    detached = 'python3 -c \'import os; os.setsid(); os.execlp("sleep", "sleep", "1000")\' &'
    offsets = farms.tasks("sleep 1000 & echo 0", f"{detached} echo 1", held(2))
    options = ("--threads", "1", "--output", "all.out", "tasks.txt")
    farm = farms.start(ranks, *options)
    wait_until_held(farms, 1)
    tasks = [process for process in farm.processes() if "MPIFARM_TASK" in process.environ]
    (helper,) = {task.parent for task in tasks} - {task.pid for task in tasks}
    os.kill(helper, signal.SIGKILL)
    assert farm.wait().code == 3
    assert farms.progress() == offsets[:2]
    (farms.directory / "go").touch()
    assert farms.run(ranks, *options).code == 0
    check_that_all_is_recorded_once(farms, offsets)


def test_a_manager_that_was_stopped_for_long_takes_nobody_for_dead_and_nobody_it(farms: Farms) -> None:
    offsets = farms.tasks(*map(held, range(4)), *(f"sleep 0.1; echo {number}" for number in range(4, 40)))
    farm = start(farms, (), "1s")
    wait_until_held(farms, 4)
    farm.signal(signal.SIGSTOP, 0)
    (farms.directory / "go").touch()
    time.sleep(4)  # four times --lost-after
    farm.signal(signal.SIGCONT, 0)
    assert farm.wait().code == 0
    check_that_all_is_recorded_once(farms, offsets)
    assert farms.attempted() == offsets
    assert {line["Attempt"] for line in farms.joblog()} == {"1"}


def test_a_farm_that_was_suspended_as_a_whole_goes_on_where_it_was(farms: Farms) -> None:
    offsets = farms.tasks(*map(held, range(4)), *(f"echo {number}" for number in range(4, 20)))
    farm = start(farms, (), "1s")
    wait_until_held(farms, 4)
    suspended = [process.pid for process in farm.processes()]
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for pid in suspended:
            with suppress(ProcessLookupError):  # a sleep of a task that was about to end
                os.kill(pid, number)
        if number is signal.SIGSTOP:
            time.sleep(1.0 + MANAGER_SLOW_TIMES + 2.0)  # longer than both sides may be silent
    (farms.directory / "go").touch()
    ended = farm.wait()
    assert ended.code == 0
    check_that_all_is_recorded_once(farms, offsets)
    assert farms.attempted() == offsets
    assert {line["Attempt"] for line in farms.joblog()} == {"1"}
    assert not [line for line in ended.said if "lost" in line or "silent" in line]


def test_a_worker_that_was_stopped_for_too_long_comes_back_and_what_it_did_is_not_recorded_twice(farms: Farms) -> None:
    gate = "$MPIFARM_SLOT.$MPIFARM_ATTEMPT"
    task = f"touch held.{{0}}.{gate}; until [ -e go.{gate} ]; do sleep 0.05; done; echo {{0}}"
    offsets = farms.tasks(*(task.format(number) for number in range(2)), *(f"echo {number}" for number in range(2, 20)))
    options = ("--threads", "1", "--lost-after", "2s", "--output", "all.out", "tasks.txt")
    farm = farms.start(3, *options)
    wait_until_held(farms, 2)
    (stopped,) = (int(path.name.split(".")[1]) for path in farms.directory.glob("held.*.2.1"))
    farm.signal(signal.SIGSTOP, 2)
    (farms.directory / "go.2.1").touch()
    wait_until(lambda: not tasks_of(farm, 2), "its task has ended, which it cannot report")
    wait_until(lambda: "is lost" in farm.err(), "it is taken for lost")
    (farms.directory / "go.1.1").touch()
    again = farms.directory / f"held.{stopped}.1.2"
    wait_until(again.exists, "its task is dealt to the other")
    farm.signal(signal.SIGCONT, 2)
    wait_until(lambda: farms.progressed(19), "it runs the rest, since the other worker is full")
    assert offsets[stopped] not in farms.progress()
    (farms.directory / "go.1.2").touch()
    assert farm.wait().code == 0
    check_that_all_is_recorded_once(farms, offsets)
    assert farms.attempted() == offsets
    assert {line["Slot"] for line in farms.joblog() if int(line["Offset"]) in offsets[2:]} == {"2"}


@pytest.mark.parametrize(("ranks", "code"), [(0, 3), (3, 0)])
def test_a_helper_that_is_killed_before_mpi_has_started_costs_its_worker_alone(farms: Farms, ranks: int, code: int) -> None:
    offsets = farms.tasks(*(f"echo {number}" for number in range(8)))
    options = ("--threads", "1", "--output", "all.out", "tasks.txt")
    farm = farms.start(ranks, *options)
    helpers: list[int] = []

    def found() -> bool:
        farming = {process.pid: process for process in farm.processes() if process.farms}
        guardians = {pid for pid, process in farming.items() if process.parent in farming}
        below = {pid: process for pid, process in farming.items() if process.parent in guardians}
        helpers.extend(pid for pid, process in below.items() if process.rank in (None, 1))
        return bool(helpers)

    wait_until(found, "the worker has a helper")
    os.kill(helpers[0], signal.SIGKILL)
    assert farm.wait().code == code
    if code:
        assert farms.run(ranks, *options).code == 0
    check_that_all_is_recorded_once(farms, offsets)
