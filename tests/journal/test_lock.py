"""Who has a list: managers that touch their lock, note in it, hang, lose it, and give it back."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import Passing
from test_acquisition import ELSEWHERE, PATH, acquired, grow_old, held_by, lock_of

from mpifarm.journal.holder import this_process
from mpifarm.journal.lock import Lock, TakenOver
from mpifarm.journal.watch import STALE_S, TOUCH_S
from mpifarm.schedule.suspects import NOTHING, Dealt


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def is_held(lock: Lock) -> bool:
    try:
        lock.prove()
    except TakenOver:
        return False
    return True


def test_a_lock_is_signed_and_given_back() -> None:
    lock = acquired(this_process("77", 1))
    words = PATH.read_text().split()
    assert words[0] == "mpifarm"
    assert {f"pid={os.getpid()}", "job=77", "restart=1"} < set(words)
    assert os.listdir() == [str(PATH)]
    lock.release()
    assert os.listdir() == []


def test_who_loses_the_lock_before_he_was_sure_stops() -> None:
    held_by(ELSEWHERE, STALE_S + 1)
    passing = Passing()
    lock = lock_of(this_process(), passing)
    lock.acquire()
    PATH.unlink()
    with pytest.raises(TakenOver, match=r"lock\.tasks\.txt\.tfin is gone"):
        lock.settle()


def test_the_holder_touches_its_lock() -> None:
    passing = Passing()
    lock = acquired(passing=passing)
    grow_old(STALE_S + 1)
    old = PATH.stat().st_mtime
    lock.keep()
    assert PATH.stat().st_mtime == old
    passing.now += TOUCH_S
    lock.keep()
    assert PATH.stat().st_mtime > old + STALE_S


def test_a_manager_that_hung_finds_that_it_was_replaced_and_takes_nothing_away() -> None:
    hung = acquired(ELSEWHERE)
    grow_old(STALE_S + 1)
    other = acquired()
    with pytest.raises(TakenOver, match="another mpifarm has taken over this list"):
        hung.prove()
    hung.release()
    assert is_held(other)
    other.release()
    assert not is_held(other)


def test_a_look_that_took_long_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    passing = Passing()
    lock = acquired(passing=passing)
    look = os.stat

    def hang(*args: Any, **options: Any) -> os.stat_result:
        found = look(*args, **options)
        monkeypatch.undo()
        PATH.unlink()
        passing.now += STALE_S
        return found

    with monkeypatch.context() as patch, pytest.raises(TakenOver):
        patch.setattr(os, "stat", hang)
        lock.prove()


@pytest.mark.parametrize("again", [False, True])
def test_a_lock_that_is_taken_over_says_how_far_its_holder_had_dealt_and_so_does_the_new_one(again: bool) -> None:
    dealt = Dealt(1035, 2, 432, 432)
    first = acquired(ELSEWHERE)
    first.note(Dealt(999))
    first.note(dealt)
    assert PATH.read_text() == ELSEWHERE.text(dealt)
    grow_old(STALE_S + 1)
    second = acquired(replace(this_process(), pid=1))
    assert second.found == dealt
    grow_old(STALE_S + 1)
    if again:
        second.note(NOTHING)  # it has been written down
        grow_old(STALE_S + 1)
    third = acquired()
    assert third.found == (NOTHING if again else dealt)
    assert os.listdir() == [str(PATH)]


def test_a_lock_that_was_given_back_says_nothing() -> None:
    first = acquired(ELSEWHERE)
    first.note(Dealt(999))
    first.release()
    second = acquired()
    assert second.found == NOTHING
