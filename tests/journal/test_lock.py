"""Who may run a list: managers alive, dead, hung, requeued, and several at once."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from test_files import full_at

from mpifarm import FarmError
from mpifarm.journal.holder import Holder, this_process
from mpifarm.journal.lock import STALE_S, TOUCH_S, Lock
from mpifarm.schedule.suspects import NOTHING, Dealt

PATH = Path("lock.tasks.txt.tfin")
ELSEWHERE = Holder("elsewhere", 4711, "123", job="77", restart=1)

CONTENDER = """
import sys
from pathlib import Path
from mpifarm import FarmError
from mpifarm.journal.holder import this_process
from mpifarm.journal.lock import TOUCH_S, Lock
lock = Lock(Path(sys.argv[1]), this_process())
sys.stdin.readline()
try:
    lock.acquire(0.0)
    acquired = True
except FarmError:
    acquired = False
print("tried", flush=True)
sys.stdin.readline()
print(acquired and lock.held(TOUCH_S + 1), flush=True)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def held_by(holder: Holder, age_s: float = 0.0) -> None:
    PATH.write_text(holder.text())
    grow_old(age_s)


def grow_old(age_s: float) -> None:
    then = PATH.stat().st_mtime - age_s
    os.utime(PATH, (then, then))


def taken(holder: Holder) -> bool:
    """Try to take the lock; whatever comes of it, nothing but the lock is left in the directory."""
    before = PATH.read_bytes()
    try:
        Lock(PATH, holder).acquire(0.0)
    except FarmError:
        assert PATH.read_bytes() == before
        return False
    finally:
        assert os.listdir() == [str(PATH)]
    assert PATH.read_text() == holder.text()
    return True


def test_a_lock_is_signed_and_given_back() -> None:
    lock = Lock(PATH, this_process("77", 1))
    lock.acquire(0.0)
    words = PATH.read_text().split()
    assert words[0] == "mpifarm"
    assert {f"pid={os.getpid()}", "job=77", "restart=1"} < set(words)
    assert os.listdir() == [str(PATH)]
    lock.release()
    assert os.listdir() == []


def test_a_second_manager_is_told_who_runs_the_list() -> None:
    held_by(ELSEWHERE)
    with pytest.raises(FarmError, match=r"process 4711 on elsewhere, Slurm job 77 \(restart 1\).*lock\.tasks"):
        Lock(PATH, this_process()).acquire(0.0)
    assert os.listdir() == [str(PATH)]


def test_a_living_manager_on_this_host_keeps_the_lock() -> None:
    held_by(this_process())
    assert not taken(replace(this_process(), pid=1))


def test_a_dead_manager_on_this_host_does_not() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    held_by(replace(this_process(), pid=process.pid))
    assert taken(this_process())


@pytest.mark.parametrize(
    ("job", "restart", "gets_it"), [("77", 2, True), ("77", 1, False), ("77", 0, False), ("78", 2, False)]
)
def test_an_earlier_start_of_this_slurm_job_is_dead(job: str, restart: int, gets_it: bool) -> None:
    held_by(ELSEWHERE)
    assert taken(this_process(job, restart)) is gets_it


@pytest.mark.parametrize(("age_s", "gets_it"), [(STALE_S / 2, False), (STALE_S + 1, True), (-3600, False)])
@pytest.mark.parametrize("text", [ELSEWHERE.text(), "", "\0" * 90, "mpifarm host=a pid=x born= job= restart=0\n"])
def test_a_lock_that_nobody_touches_is_taken_over(text: str, age_s: float, gets_it: bool) -> None:
    PATH.write_text(text)
    grow_old(age_s)
    assert taken(this_process()) is gets_it


def test_the_holder_touches_its_lock() -> None:
    lock = Lock(PATH, this_process())
    lock.acquire(0.0)
    grow_old(STALE_S + 1)
    assert lock.held(TOUCH_S + 1)
    assert not taken(ELSEWHERE)


def test_a_manager_that_hung_finds_that_it_was_replaced_and_takes_nothing_away() -> None:
    hung, other = Lock(PATH, ELSEWHERE), Lock(PATH, this_process())
    hung.acquire(0.0)
    grow_old(STALE_S + 1)
    other.acquire(0.0)
    assert not hung.held(STALE_S + 1)
    hung.release()
    assert other.held(TOUCH_S + 1)
    other.release()
    assert not other.held(2 * TOUCH_S + 2)


@pytest.mark.parametrize("again", [False, True])
def test_a_lock_that_is_taken_over_says_how_far_its_holder_had_dealt_and_so_does_the_new_one(again: bool) -> None:
    dealt = Dealt(1035, 2, 432, 432)
    first = Lock(PATH, ELSEWHERE)
    first.acquire(0.0)
    first.note(Dealt(999))
    first.note(dealt)
    assert PATH.read_text() == ELSEWHERE.text(dealt)
    grow_old(STALE_S + 1)
    second = Lock(PATH, replace(this_process(), pid=1))
    second.acquire(0.0)
    assert second.found == dealt
    grow_old(STALE_S + 1)
    if again:
        second.note(NOTHING)  # it has been written down
        grow_old(STALE_S + 1)
    third = Lock(PATH, this_process())
    third.acquire(0.0)
    assert third.found == (NOTHING if again else dealt)
    assert os.listdir() == [str(PATH)]


def test_a_lock_that_was_given_back_says_nothing() -> None:
    first = Lock(PATH, ELSEWHERE)
    first.acquire(0.0)
    first.note(Dealt(999))
    first.release()
    second = Lock(PATH, this_process())
    second.acquire(0.0)
    assert second.found == NOTHING


def test_what_a_lock_said_outlives_one_who_is_killed_while_he_takes_it_over() -> None:
    dealt = Dealt(1035)
    aside = PATH.with_name(f"{PATH}.elsewhere.4712.old")  # between two of his steps
    aside.write_text(ELSEWHERE.text(dealt))
    then = aside.stat().st_mtime - STALE_S - 1
    os.utime(aside, (then, then))
    lock = Lock(PATH, this_process())
    lock.acquire(0.0)
    assert lock.found == dealt
    assert PATH.read_text() == this_process().text(dealt)
    assert os.listdir() == [str(PATH)]


def test_a_directory_where_nothing_can_be_written_is_refused() -> None:
    with pytest.raises(FarmError, match="cannot write in the working directory"):
        Lock(Path("/proc/nowhere/lock"), this_process()).acquire(0.0)


def test_a_lock_that_cannot_be_signed_is_not_left_half_made() -> None:
    with full_at(0), pytest.raises(FarmError, match="cannot write in the working directory"):
        Lock(PATH, this_process()).acquire(0.0)
    assert os.listdir() == []


def test_of_several_managers_at_once_one_gets_the_lock_of_a_dead_one() -> None:
    held_by(ELSEWHERE, STALE_S + 1)
    command = [sys.executable, "-c", CONTENDER, str(PATH)]
    contenders = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for round_ends in ("tried", ""):
        for contender in contenders:
            assert contender.stdin
            contender.stdin.write("\n")
            contender.stdin.flush()
        answers = [contender.stdout.readline().strip() for contender in contenders if contender.stdout]
        assert not round_ends or answers == [round_ends] * 4
    assert sorted(answers) == ["False", "False", "False", "True"]
    for contender in contenders:
        contender.communicate()
    assert os.listdir() == [str(PATH)]
