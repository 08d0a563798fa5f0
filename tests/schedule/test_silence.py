"""Who is lost because nothing is heard of it, and who is not."""

from __future__ import annotations

import pytest
from simfarm import Farm, records

from mpifarm.schedule.answers import How, Outcome
from mpifarm.schedule.schedule import Schedule
from mpifarm.schedule.silence import STOP_PATIENCE_S, Silence
from mpifarm.settings import KILL_AFTER_S


def test_a_silent_worker_is_lost_and_a_talking_one_is_not() -> None:
    farm = Farm(4, {1: "a", 2: "b"}, lost_after_s=10)
    farm.ask_all()
    for _ in range(24):
        farm.schedule.heard_of(2, farm.now)
        farm.tick(after_s=0.5)
    assert [lost.rank for lost in farm.losses] == [1]


def test_a_manager_that_was_away_itself_takes_nobody_for_lost() -> None:
    farm = Farm(4, {1: "a", 2: "b"}, lost_after_s=10)
    farm.ask_all()
    farm.tick(after_s=1)
    farm.tick(after_s=60)
    farm.tick(after_s=1)
    assert not farm.losses


def test_a_rank_that_never_joins_is_lost_and_the_farm_without_workers_finishes() -> None:
    farm = Farm(4, {})
    farm.schedule = Schedule(farm._fresh, 4, records(), [1], silence=Silence(10, KILL_AFTER_S))
    for _ in range(25):
        farm.tick(after_s=0.5)
    assert [lost.rank for lost in farm.losses] == [1]
    assert farm.outcome is Outcome.WORK_LEFT


def test_a_manager_whose_every_turn_is_slow_finds_the_silent_all_the_same() -> None:
    farm = Farm(4, {1: "a", 2: "b"}, lost_after_s=10)
    farm.ask_all()
    for _ in range(20):
        farm.schedule.heard_of(2, farm.now)
        farm.tick(after_s=5.0)
    assert [lost.rank for lost in farm.losses] == [1]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_worker_that_does_not_answer_a_stop_holds_up_nobody_be_it_rank_0(rank: int) -> None:
    farm = Farm(1, {rank: "a"})
    farm.ask_all()
    farm.take(farm.schedule.stop_asked(How.KILL, farm.now))
    while farm.outcome is None and farm.now < 100:
        farm.tick(after_s=0.5)
    assert farm.outcome is Outcome.WORK_LEFT
    assert farm.now < KILL_AFTER_S + STOP_PATIENCE_S + 5
    assert farm.schedule.suspects() == [], "it had too little time, perhaps: that is nobody's fault"


def test_a_second_stop_gives_no_more_time() -> None:
    farm = Farm(1, {1: "a"})
    farm.ask_all()
    for how in (How.KILL, How.KILL_NOW):
        farm.take(farm.schedule.stop_asked(how, farm.now))
        for _ in range(20):
            farm.tick(after_s=0.5)
    assert farm.outcome is Outcome.WORK_LEFT


def test_tasks_that_may_take_long_to_end_are_waited_for_until_somebody_wants_them_killed() -> None:
    farm = Farm(1, {1: "a"}, kill_after_s=600, lost_after_s=10_000)
    farm.ask_all()
    farm.take(farm.schedule.stop_asked(How.KILL, farm.now))
    while farm.now < 600 + STOP_PATIENCE_S - 5:
        farm.tick(after_s=1)
    assert farm.outcome is None
    farm = Farm(1, {1: "a"}, kill_after_s=600, lost_after_s=10_000)
    farm.ask_all()
    for how in (How.KILL, How.KILL_NOW):
        farm.take(farm.schedule.stop_asked(how, farm.now))
    while farm.outcome is None and farm.now < 100:
        farm.tick(after_s=0.5)
    assert farm.outcome is Outcome.WORK_LEFT


def test_rank_0_is_never_silent() -> None:
    farm = Farm(1, {0: "a"}, lost_after_s=10)
    farm.ask_all()
    for _ in range(100):
        farm.tick(after_s=0.5)
    assert not farm.losses
