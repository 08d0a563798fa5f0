"""Who gets a list: managers alive, dead, requeued, killed on the way to it, and several at once."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Passing
from test_files import full_at

from mpifarm import FarmError
from mpifarm.journal.acquisition import places
from mpifarm.journal.holder import Holder, this_process
from mpifarm.journal.lock import Lock
from mpifarm.journal.watch import LOOK_S, SETTLE_S, STALE_S
from mpifarm.schedule.suspects import Dealt

PATH = Path("lock.tasks.txt.tfin")
ELSEWHERE = Holder("elsewhere", 4711, "123", job="77", restart=1)

CONTENDER = """
import sys
from pathlib import Path
from mpifarm import FarmError
from mpifarm.journal.holder import this_process
from mpifarm.journal.lock import Lock
lock = Lock(Path(sys.argv[1]), this_process())
sys.stdin.readline()
try:
    lock.acquire()
    acquired = True
except FarmError:
    acquired = False
print("tried", flush=True)
sys.stdin.readline()
if acquired:
    lock.prove()
print(acquired, flush=True)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def held_by(holder: Holder, age_s: float = 0.0) -> None:
    PATH.write_text(holder.text())
    grow_old(age_s)


def grow_old(age_s: float, path: Path = PATH) -> None:
    then = path.stat().st_mtime - age_s
    os.utime(path, (then, then))


def lock_of(holder: Holder, passing: Passing | None = None) -> Lock:
    return Lock(PATH, holder, None, (passing or Passing()).waiting)


def acquired(holder: Holder | None = None, passing: Passing | None = None) -> Lock:
    """Take the lock, and wait until nobody else can think that he has it."""
    lock = lock_of(holder or this_process(), passing)
    lock.acquire()
    lock.settle()
    return lock


def taken(holder: Holder, passing: Passing) -> bool:
    """Try to take the lock; whatever comes of it, nothing but the lock is left in the directory."""
    before = PATH.read_bytes()
    try:
        acquired(holder, passing)
    except FarmError:
        assert PATH.read_bytes() == before
        return False
    finally:
        assert os.listdir() == [str(PATH)]
    assert PATH.read_text() == holder.text()
    return True


@pytest.mark.parametrize("holder", [ELSEWHERE, replace(ELSEWHERE, host=socket.gethostname())])
def test_a_second_manager_is_told_who_runs_the_list_when_that_one_touches_its_lock(holder: Holder) -> None:
    held_by(holder)
    passing = Passing(lambda: grow_old(-1))
    who = rf"process 4711 on {holder.host}, Slurm job 77 \(restart 1\)"
    with pytest.raises(FarmError, match=rf"is being run by {who}.*lock\.tasks"):
        lock_of(this_process(), passing).acquire()
    assert passing.now == 1000 + LOOK_S
    assert len(passing.said) == 1
    assert re.search(rf"{who}.*waiting 3[67] s at most", passing.said[0])
    assert os.listdir() == [str(PATH)]


@pytest.mark.parametrize("change", [lambda: PATH.write_text("x"), lambda: held_by(replace(ELSEWHERE, pid=1))])
def test_so_is_one_who_sees_it_change_hands(change: Callable[[], object]) -> None:
    held_by(ELSEWHERE, STALE_S + 1)
    with pytest.raises(FarmError, match=r"is being run by process 1 |not signed it"):
        lock_of(this_process(), Passing(change)).acquire()


def test_a_living_manager_on_this_host_keeps_the_lock_and_nobody_waits() -> None:
    held_by(this_process())
    passing = Passing()
    assert not taken(replace(this_process(), pid=1), passing)
    assert (passing.now, passing.said) == (1000, [])


def test_a_dead_manager_on_this_host_does_not_and_nobody_waits() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    held_by(replace(this_process(), pid=process.pid))
    passing = Passing()
    assert taken(this_process(), passing)
    assert (passing.now, passing.said) == (1000, [])


@pytest.mark.parametrize(("age_s", "watched_s"), [(STALE_S / 2, STALE_S / 2), (STALE_S + 1, SETTLE_S), (-7200, STALE_S)])
@pytest.mark.parametrize("text", [ELSEWHERE.text(), "", "\0" * 90, "mpifarm host=a pid=x born= job= restart=0\n"])
def test_a_lock_that_nobody_touches_is_taken_over_and_then_its_holder_is_given_time(
    text: str, age_s: float, watched_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    PATH.write_text(text)
    began = PATH.stat().st_mtime
    grow_old(age_s)
    passing = Passing()
    touch = os.utime
    monkeypatch.setattr(os, "utime", lambda file: touch(file, (began + passing.now - 1000,) * 2))
    assert taken(this_process(), passing)
    assert watched_s + SETTLE_S <= passing.now - 1000 <= watched_s + SETTLE_S + LOOK_S
    assert len(passing.said) == 1


def test_who_dies_before_he_was_sure_is_not_followed_at_once() -> None:
    held_by(ELSEWHERE, STALE_S + 1)
    dead = replace(this_process(), pid=2**22 + 1)
    lock_of(dead).acquire()
    passing = Passing()
    assert taken(this_process(), passing)
    assert passing.now > 1000 + SETTLE_S


def test_who_is_interrupted_while_he_waits_leaves_nothing() -> None:
    held_by(ELSEWHERE)
    before = PATH.read_bytes()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lock_of(this_process(), Passing(interrupt)).acquire()
    assert os.listdir() == [str(PATH)]
    assert PATH.read_bytes() == before


@pytest.mark.parametrize("name", [name for pair in places(PATH) for name in pair])
def test_what_a_lock_said_outlives_one_who_is_killed_while_he_takes_it_over(name: Path) -> None:
    dealt = Dealt(1035)
    name.write_text(ELSEWHERE.text(dealt))  # between two of his steps
    grow_old(STALE_S + 1, name)
    lock = acquired()
    assert lock.found == dealt
    assert PATH.read_text() == this_process().text(dealt)
    assert os.listdir() == [str(PATH)]


def test_a_lock_is_taken_without_a_look_at_the_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    held_by(replace(this_process(), pid=2**22 + 1))
    mine = this_process()
    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, lambda *_: pytest.fail("300,000 files may lie there"))
    acquired(mine).release()


def test_who_comes_while_many_are_about_to_take_the_lock_is_refused() -> None:
    for mine, _ in places(PATH):
        mine.write_text(ELSEWHERE.text())
    before = sorted(os.listdir())
    with pytest.raises(FarmError, match=r"others are about to take lock\.tasks\.txt\.tfin.*remove"):
        acquired()
    assert sorted(os.listdir()) == before


def test_what_many_have_left_who_were_killed_while_they_took_the_lock_keeps_nobody_out() -> None:
    for mine, aside in places(PATH):
        mine.write_text(replace(this_process(), pid=2**22 + 1).text(Dealt(1035)))
        aside.write_text(ELSEWHERE.text(Dealt(1035)))
        grow_old(STALE_S + 1, aside)
    assert acquired().found == Dealt(1035)
    assert os.listdir() == [str(PATH)]


def test_who_finds_that_another_one_thought_his_place_left_has_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def replaced(source: Path, target: Path) -> None:
        source.unlink()
        source.write_text(ELSEWHERE.text())
        link(source, target)

    monkeypatch.setattr(os, "link", replaced)
    with pytest.raises(FarmError, match="others are about to take"):
        acquired()


def test_a_directory_where_nothing_can_be_written_is_refused() -> None:
    with pytest.raises(FarmError, match="cannot write in the working directory"):
        Lock(Path("/proc/nowhere/lock"), this_process()).acquire()


def test_a_lock_that_cannot_be_signed_is_not_left_half_made() -> None:
    with full_at(0), pytest.raises(FarmError, match="cannot write in the working directory"):
        Lock(PATH, this_process()).acquire()
    assert os.listdir() == []


def test_of_several_managers_at_once_one_gets_the_lock_of_a_dead_one() -> None:
    held_by(replace(this_process(), pid=2**22 + 1))
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
