"""--again with real ranks: what is named runs once more, also when the farm is killed over it, and nothing else does."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable

import pytest

from .farms import Farms, wait_until
from .test_resume import KILLED

TASKS = 300


@pytest.mark.short
def test_what_is_named_runs_once_more_and_counts_its_attempts_from_1(farms: Farms) -> None:
    offsets = farms.tasks("# numbers", "echo one $MPIFARM_ATTEMPT", "echo two $MPIFARM_ATTEMPT", "echo three")
    assert farms.run(2, "tasks.txt").code == 0
    ended = farms.run(2, "--threads", "1", "--again", "1-2", "tasks.txt")
    assert (ended.code, ended.out) == (0, b"one 1\ntwo 1\n")
    assert ended.said[0].endswith(
        "--again 1-2: 2 tasks that were done run again, the first of them task 1 (tasks.txt:2): echo one $MPIFARM_ATTEMPT"
    )
    assert sorted(farms.progress()) == offsets
    assert farms.attempted() == sorted([*offsets, *offsets[:2]])
    again = farms.run(2, "tasks.txt")
    assert (again.code, again.out) == (0, b"")
    assert "nothing was run: all 3 tasks were done by " in again.said[0]


def test_what_is_not_there_is_refused_and_nothing_is_touched(farms: Farms) -> None:
    farms.tasks("echo one", "echo two")
    assert farms.run(2, "tasks.txt").code == 0
    before = farms.snapshot()
    ended = farms.run(2, "--again", "3", "tasks.txt")
    assert (ended.code, ended.out) == (2, b"")
    assert ended.said == ["mpifarm: --again: 3 is not in the list: tasks.txt.tfin has 2 lines, numbered from 1"]
    assert farms.snapshot() == before


def test_what_fails_now_is_left_and_taken_back_when_it_succeeds(farms: Farms) -> None:
    offsets = farms.tasks("echo one", "[ ! -e broken ]")
    assert farms.run(0, "tasks.txt").code == 0
    (farms.directory / "broken").touch()
    assert farms.run(0, "--retries", "0", "--again", "2", "tasks.txt").code == 1
    assert farms.left() == [offsets[1]]
    (farms.directory / "broken").unlink()
    assert farms.run(0, "tasks.txt").code == 0
    (failed,) = [line for line in farms.log() if " failed for good: task 2 " in line]
    (taken_back,) = [line for line in farms.log() if " succeeded: task 2 " in line]
    assert f", had failed for good on {failed[:19]}: [ ! -e broken ]" in taken_back


def test_what_taskfarmer_has_done_runs_once_more(farms: Farms) -> None:
    for path in KILLED.iterdir():
        shutil.copy(path, farms.directory)
    before = farms.progress()
    tfin = (farms.directory / "tasks.txt.tfin").read_bytes()
    number = 1 + tfin[: before[0]].count(b"\n")
    ended = farms.run(3, "--threads", "8", "--again", str(number), "tasks.txt")
    assert ended.code == 1  # one of them always fails
    assert len(farms.progress()) == len(set(farms.progress())) == 47
    assert farms.attempted().count(before[0]) == 1
    assert not set(before[1:]) & set(farms.attempted())
    assert (farms.directory / "tasks.txt.tfin").read_bytes() == tfin


@pytest.mark.parametrize("moment", ["the lock is taken", "something is due", "it is done", "20 have run", "60 have run"])
def test_a_farm_that_is_killed_over_it_has_not_begun_or_goes_on(farms: Farms, moment: str) -> None:
    offsets = farms.tasks(*(f"echo {number} >> ran" for number in range(TASKS)))
    assert farms.run(0, "--threads", "2", "tasks.txt").code == 0
    progress, ran = farms.file("progress"), farms.directory / "ran"
    first = progress.stat().st_ino
    ran.write_text("")

    def is_done() -> bool:
        return progress.exists() and progress.stat().st_ino != first

    def have_run() -> int:
        return len(ran.read_text().split())

    reached: dict[str, Callable[[], object]] = {
        "the lock is taken": lambda: farms.file("lock").exists() or is_done(),
        "something is due": lambda: is_done() or list(farms.directory.glob("*.due")),
        "it is done": is_done,
        "20 have run": lambda: have_run() >= 20,
        "60 have run": lambda: have_run() >= 60,
    }
    farm = farms.start(0, "--threads", "2", "--again", "101-200", "tasks.txt")
    wait_until(reached[moment], moment)
    farm.signal(signal.SIGKILL)
    farm.wait()
    assert farms.run(0, "--threads", "2", "tasks.txt").code == 0
    again = {int(number) for number in ran.read_text().split()}
    assert again in (set(), set(range(100, 200)))
    assert again or not is_done()
    assert sorted(farms.progress()) == offsets
    assert farms.file("done").exists()
    assert [offset for offset in farms.attempted() if offset not in offsets[100:200]] == [*offsets[:100], *offsets[200:]]
    assert not [path.name for path in farms.directory.iterdir() if path.suffix == ".due" or "intent" in path.name]
