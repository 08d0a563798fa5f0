"""Two real managers of one list: one that is alive keeps it, and one that was away finds out before it touches anything."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mpifarm.journal.holder import Holder, this_process
from mpifarm.journal.watch import STALE_S

from .farms import Ended, Farm, Farms, held, wait_until

OPTIONS = ("--threads", "2", "--retries", "0", "--output", "all.out", "tasks.txt")
ELSEWHERE = Holder("elsewhere", 4711, "123", "77", 0, "another-boot", "1.2")
UNSHARED = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
STOPS = """\
import os, signal
really_open = os.open
def stop_before_appending(path, flags, *more, **options):
    if flags & os.O_APPEND and str(path).startswith("progress.") and os.path.exists(path):
        os.kill(os.getpid(), signal.SIGSTOP)
    return really_open(path, flags, *more, **options)
os.open = stop_before_appending
"""  # as sitecustomize.py: all has been read and judged by then, and nothing has been cut


def start_and_hold(farms: Farms, count: int, **options: object) -> tuple[Farm, list[int]]:
    """Start a farm of two tasks that wait for a file named go, and some more."""
    offsets = farms.tasks(*(held(number) for number in range(count)))
    farm = farms.start(0, *OPTIONS, **options)  # type: ignore[arg-type]
    wait_until((farms.directory / "held.1").exists, "two tasks run")
    return farm, offsets


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def grow_old(path: Path, age_s: float = STALE_S + 1) -> None:
    then = path.stat().st_mtime - age_s
    os.utime(path, (then, then))


def assert_whole(farms: Farms, offsets: list[int], blocks: list[str]) -> None:
    """Every task is recorded once, and has one block."""
    assert sorted(farms.progress()) == offsets
    assert sorted((farms.directory / "all.out").read_text().splitlines()) == sorted(blocks)
    assert farms.file("done").exists()
    assert not list(farms.directory.glob("lock.*"))


def assert_robbed(ended: Ended) -> None:
    assert ended.code == 3
    assert any("another mpifarm has taken over" in line for line in ended.said), ended.err


@pytest.mark.short
def test_a_job_that_is_started_again_does_not_take_the_list_from_its_earlier_start_that_still_runs(farms: Farms) -> None:
    first, offsets = start_and_hold(farms, 5, environ={"SLURM_JOB_ID": "5"})
    second = farms.run(0, *OPTIONS, environ={"SLURM_JOB_ID": "5", "SLURM_RESTART_COUNT": "1"})
    assert (second.code, len(second.said)) == (2, 1)
    assert "is being run by process" in second.said[0]
    (farms.directory / "go").touch()
    assert first.wait().code == 0
    assert_whole(farms, offsets, [str(number) for number in range(5)])


def test_nor_does_one_in_another_namespace_of_processes_on_a_host_of_the_same_name(farms: Farms) -> None:
    if os.geteuid() or subprocess.run([*UNSHARED, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs the right to make a namespace of processes")
    first, offsets = start_and_hold(farms, 5)
    second = farms.start(0, *OPTIONS, by=UNSHARED).wait()
    assert (second.code, len(second.said)) == (2, 2), second.err
    assert "nobody here knows whether that is alive: waiting" in second.said[0]
    assert "is being run by process" in second.said[1]
    (farms.directory / "go").touch()
    assert first.wait().code == 0
    assert_whole(farms, offsets, [str(number) for number in range(5)])


@pytest.fixture
def stopped_before_the_cut(farms: Farms, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Farm, list[int]]]:
    """A manager that has read what an earlier run left, a torn block with it, and is stopped before it cuts that off."""
    hook = tmp_path_factory.mktemp("hook")
    (hook / "sitecustomize.py").write_text(STOPS)
    offsets = farms.tasks("echo 0", "[ -e go ] && echo 1", "[ -e go ] && echo 2")
    assert farms.run(0, *OPTIONS).code == 1
    (farms.directory / "go").touch()
    with (farms.directory / "all.out").open("a") as file:
        file.write("torn")
    path = os.pathsep.join(filter(None, (str(hook), os.environ.get("PYTHONPATH"))))
    farm = farms.start(0, *OPTIONS, environ={"PYTHONPATH": path})
    wait_until(lambda: is_stopped(farm.pid), "it is stopped")
    yield farm, offsets
    farm.kill()


def test_a_manager_that_hung_before_it_cut_finds_that_it_was_replaced_and_cuts_nothing(
    farms: Farms, stopped_before_the_cut: tuple[Farm, list[int]]
) -> None:
    hung, offsets = stopped_before_the_cut
    for lock in farms.directory.glob("lock.*"):
        grow_old(lock)
    assert farms.run(0, *OPTIONS).code == 0
    assert_whole(farms, offsets, ["0", "1", "2"])
    before = farms.snapshot()
    os.kill(hung.pid, signal.SIGCONT)
    assert_gone(hung.wait())
    assert farms.snapshot() == before


def assert_gone(ended: Ended) -> None:
    assert ended.code == 3
    assert len(ended.said) == 1
    assert "lock.tasks.txt.tfin is gone" in ended.said[0]


def test_a_manager_that_was_stopped_while_it_ran_writes_nothing_more(farms: Farms) -> None:
    hung, offsets = start_and_hold(farms, 3)
    os.kill(hung.pid, signal.SIGSTOP)
    wait_until(lambda: is_stopped(hung.pid), "it is stopped")
    for lock in farms.directory.glob("lock.*"):
        grow_old(lock)
    second = farms.start(0, *OPTIONS)
    wait_until((farms.directory / "held.2").exists, "the second one runs")
    os.kill(hung.pid, signal.SIGCONT)
    assert_robbed(hung.wait())
    (farms.directory / "go").touch()
    assert second.wait().code == 0
    assert_whole(farms, offsets, ["0", "1", "2"])


def test_a_job_whose_predecessor_was_killed_on_another_node_waits_and_goes_on(farms: Farms) -> None:
    offsets = farms.tasks("echo 0")
    farms.file("lock").write_text(ELSEWHERE.text())
    grow_old(farms.file("lock"), STALE_S - 5)
    ended = farms.run(0, *OPTIONS)
    assert ended.code == 0, ended.err
    assert "process 4711 on elsewhere, Slurm job 77 (restart 0), and nobody here knows" in ended.said[0]
    assert_whole(farms, offsets, ["0"])


@pytest.mark.short
@pytest.mark.parametrize("ranks", [0, pytest.param(2, marks=pytest.mark.long)])
def test_an_interrupt_ends_the_wait(farms: Farms, ranks: int) -> None:
    farms.tasks("echo 0")
    farms.file("lock").write_text(ELSEWHERE.text())
    before = farms.snapshot()
    farm = farms.start(ranks, *OPTIONS)
    wait_until(lambda: "nobody here knows" in farm.err(), "it waits")
    farm.signal(signal.SIGINT)
    ended = farm.wait()
    assert ended.code == 3, ended.err
    assert ended.said[1:] == ["mpifarm: SIGINT: stopping; nothing was run"]
    assert farms.snapshot() == before


@pytest.mark.parametrize("harm", ["progress", "all.out"])
def test_what_is_deleted_under_a_running_farm_is_missed_before_the_list_is_called_done(farms: Farms, harm: str) -> None:
    farm, _ = start_and_hold(farms, 3)
    (farms.file("progress") if harm == "progress" else farms.directory / harm).unlink()
    (farms.directory / "go").touch()
    ended = farm.wait()
    assert ended.code == 3
    assert any("No such file or directory" in line and harm in line for line in ended.said)
    assert not farms.file("done").exists()


def test_the_lock_of_a_process_that_is_gone_is_taken_at_once(farms: Farms) -> None:
    offsets = farms.tasks("echo 0")
    farms.file("lock").write_text(replace(this_process(), pid=2**22 + 1).text())
    ended = farms.run(0, *OPTIONS)
    assert ended.code == 0
    assert not any("nobody here knows" in line for line in ended.said)
    assert_whole(farms, offsets, ["0"])
