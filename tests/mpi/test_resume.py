"""A second start finishes what the first one left, whatever happened to it."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from .farms import Farms, held, wait_until

KILLED = Path(__file__).parents[1] / "data" / "taskfarmer-killed"


@pytest.mark.short
def test_a_second_start_runs_what_is_left_and_a_third_nothing(farms: Farms) -> None:
    offsets = farms.tasks("echo one", "[ -e mended ] && echo two", "echo three")
    options = ["--threads", "1", "--output", "all.out", "tasks.txt"]
    assert farms.run(2, "--retries", "0", *options).code == 1
    (farms.directory / "mended").touch()
    assert farms.run(2, *options).code == 0
    assert (farms.directory / "all.out").read_text() == "one\nthree\ntwo\n"
    assert farms.progress() == [offsets[0], offsets[2], offsets[1]]
    assert farms.attempted() == sorted([*offsets, offsets[1]])
    assert not farms.file("fastrecovery").exists()
    before = farms.snapshot()
    third = farms.run(2, *options)
    assert third.code == 0
    assert len(third.said) == 1
    assert farms.snapshot() == before


def test_a_list_that_has_grown_runs_its_new_lines_and_rerun_all_of_them(farms: Farms) -> None:
    farms.tasks("echo one", "echo two")
    assert farms.run(0, "--threads", "1", "tasks.txt").out == b"one\ntwo\n"
    offsets = farms.tasks("echo one", "echo two", "echo three")
    assert farms.run(0, "--threads", "1", "tasks.txt").out == b"three\n"
    assert farms.progress() == offsets
    ended = farms.run(2, "--threads", "1", "--rerun", "tasks.txt")
    assert (ended.code, ended.out) == (0, b"one\ntwo\nthree\n")
    assert farms.progress() == offsets


@pytest.mark.short
def test_a_run_that_taskfarmer_left_half_done_is_finished(farms: Farms) -> None:
    for path in KILLED.iterdir():
        shutil.copy(path, farms.directory)
    before, tfin = farms.progress(), (farms.directory / "tasks.txt.tfin").read_bytes()
    ended = farms.run(3, "--threads", "8", "tasks.txt")
    assert ended.code == 1
    assert ended.out.count(b"\n") == 13
    assert (farms.directory / "tasks.txt.tfin").read_bytes() == tfin
    after = farms.progress()
    assert after[: len(before)] == before
    assert len(after) == len(set(after)) == 47
    assert farms.attempted() == sorted([*after[len(before) :], 432, 432, 432])
    assert {line["Exitval"] for line in farms.joblog() if line["Offset"] == "432"} == {"3"}
    assert farms.left() == [432]


def test_a_farm_whose_launcher_is_killed_twice_loses_and_repeats_nothing(farms: Farms) -> None:
    offsets = farms.tasks(*(f"sleep 0.05; echo block {number}; echo end {number}" for number in range(200)))
    options = ["--threads", "1", "--output", "all.out", "tasks.txt"]
    for _ in range(2):
        goal = len(farms.progress()) + 20
        farm = farms.start(3, *options)
        wait_until(partial(farms.progressed, goal), "some more tasks are done")
        farm.signal(signal.SIGKILL, None)
        farm.wait()
    assert len(farms.progress()) < 200
    assert farms.run(3, *options).code == 0
    assert len(farms.progress()) == 200
    assert sorted(farms.progress()) == offsets
    blocks = (farms.directory / "all.out").read_text().split("block ")[1:]
    assert sorted(blocks) == sorted(f"{number}\nend {number}\n" for number in range(200))


@pytest.mark.short
@pytest.mark.parametrize(
    ("ranks", "victim"),
    [(3, 0), pytest.param(3, 1, marks=pytest.mark.long), pytest.param(0, 0, marks=pytest.mark.long)],
    ids=["manager", "worker", "alone"],
)
def test_a_rank_that_is_killed_leaves_no_task_running_and_no_result_lost(farms: Farms, ranks: int, victim: int) -> None:
    offsets = farms.tasks("echo before", *(held(number) for number in range(2)), "echo after")
    options = ["--threads", "2", "--output", "all.out", "tasks.txt"]
    farm = farms.start(ranks, *options)
    wait_until(
        lambda: farms.progress() and all((farms.directory / f"held.{n}").exists() for n in range(2)), "two held tasks run"
    )
    farm.signal(signal.SIGKILL, victim)
    assert farm.wait().code not in (0, 1, 2, 3)
    (farms.directory / "go").touch()
    assert farms.run(ranks, *options).code == 0
    assert sorted(farms.progress()) == offsets
    assert sorted((farms.directory / "all.out").read_text().splitlines()) == ["0", "1", "after", "before"]


@pytest.mark.short
def test_a_stopped_worker_is_lost_and_its_task_is_done_by_another(farms: Farms) -> None:
    offsets = farms.tasks(held(0), held(1))
    farm = farms.start(3, "--threads", "1", "--lost-after", "1s", "tasks.txt")
    wait_until(lambda: all((farms.directory / f"held.{number}").exists() for number in range(2)), "two tasks run")
    stopped = farm.rank(1)
    os.kill(stopped, signal.SIGSTOP)
    (farms.directory / "go").touch()
    wait_until(lambda: farms.file("done").exists(), "the list is done")
    with suppress(ProcessLookupError):  # mpiexec may have ended it by now
        os.kill(stopped, signal.SIGCONT)
    farm.wait()  # the exit code is the launcher's: it knows of a rank that has not said goodbye
    assert sorted(farms.progress()) == offsets
