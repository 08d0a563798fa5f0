"""The state machine: its laws as scenarios, and as properties of random histories."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simfarm import Farm, records

from mpifarm.schedule.answers import How, Outcome, Stop, Verdict
from mpifarm.schedule.quarantine import Fitness


def test_tasks_are_dealt_in_the_order_of_the_list_and_the_farm_finishes() -> None:
    farm = Farm(5, {1: "a", 2: "b"})
    while farm.outcome is None:
        farm.ask_all()
        for rank, held in farm.held.items():
            for offset in list(held):
                assert farm.end(rank, offset) is Verdict.SUCCEEDED
    assert farm.order == [0, 10, 20, 30, 40]
    assert farm.outcome is Outcome.ALL_SUCCEEDED


def test_an_empty_list_finishes_at_once() -> None:
    farm = Farm(0, {1: "a"})
    farm.tick()
    assert farm.outcome is Outcome.ALL_SUCCEEDED


@pytest.mark.parametrize("how", How)
def test_after_a_stop_nothing_is_granted_and_interrupted_tasks_are_left(how: How) -> None:
    farm = Farm(4, {1: "a", 2: "b"})
    farm.ask_all()
    farm.take(farm.schedule.stop_asked(how, farm.now))
    assert farm.stops == [Stop(1, how), Stop(2, how)]
    assert farm.end(1, 0, bad=True, stopped=True) is Verdict.INTERRUPTED
    assert farm.end(2, 10) is Verdict.SUCCEEDED
    farm.ask_all()
    assert farm.outcome is Outcome.WORK_LEFT
    assert farm.order == [0, 10]
    assert farm.schedule.unfinished() == [0]


def test_a_stop_when_all_is_done_is_no_work_left() -> None:
    farm = Farm(1, {1: "a"})
    farm.ask_all()
    farm.take(farm.schedule.stop_asked(How.DRAIN, farm.now))
    farm.end(1, 0)
    farm.tick()
    assert farm.outcome is Outcome.ALL_SUCCEEDED


def test_a_stronger_stop_is_passed_on_and_a_weaker_one_is_not() -> None:
    farm = Farm(1, {1: "a"})
    farm.ask_all()
    for how in (How.DRAIN, How.KILL, How.DRAIN, How.KILL, How.KILL_NOW):
        farm.take(farm.schedule.stop_asked(how, farm.now))
    assert [stop.how for stop in farm.stops] == [How.DRAIN, How.KILL, How.KILL_NOW]


def test_a_worker_that_joins_after_a_stop_is_stopped() -> None:
    farm = Farm(1, {1: "a"})
    farm.ask_all()
    farm.take(farm.schedule.stop_asked(How.DRAIN, farm.now))
    farm.join(2, "b")
    assert Stop(2, How.DRAIN) in farm.stops


def test_the_farm_finishes_when_all_workers_have_left() -> None:
    farm = Farm(3, {1: "a"})
    farm.ask_all()
    farm.schedule.worker_left(1)
    farm.end(1, 0)
    farm.tick()
    assert farm.outcome is Outcome.WORK_LEFT


def test_more_than_max_fails_failures_stop_the_dealing() -> None:
    farm = Farm(10, {1: "a"}, retries=0, max_fails=1)
    for offset in (0, 10):
        farm.ask_all()
        farm.end(1, offset, bad=True)
    farm.ask_all()
    assert farm.order == [0, 10]
    assert farm.outcome is Outcome.SOME_FAILED


def test_after_the_end_nothing_is_dealt_to_who_comes_back() -> None:
    farm = Farm(10, {1: "a"})
    farm.take(farm.schedule.worker_lost(1))
    del farm.held[1]
    farm.tick()
    assert farm.outcome is Outcome.WORK_LEFT
    farm.join(1, "a")
    farm.ask_all()
    assert farm.order == []


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 3), st.integers(1, 4))
def test_whatever_happens_each_task_ends_in_one_state(seed: int, retries: int, slots: int) -> None:
    random_ = random.Random(seed)
    farm = Farm(30, {1: "a", 2: "a", 3: "b"}, slots=slots, again=records(40, 41), retries=retries, lost_after_s=1000)
    spare = 4
    for _ in range(3000):
        rank = random_.choice(sorted(farm.held))
        happening = random_.random()
        if happening < 0.01 and len(farm.held) > 1:
            farm.take(farm.schedule.worker_lost(rank))
            del farm.held[rank]
            farm.join(spare, random_.choice("abc"))
            spare += 1
        elif happening < 0.6 and farm.held[rank]:
            offset = random_.choice(sorted(farm.held[rank]))
            farm.end(rank, offset, bad=random_.random() < 0.3, stopped=random_.random() < 0.1)
        elif happening < 0.65:
            assert farm.end(99, random_.randrange(0, 300, 10), attempt=1) is Verdict.STALE
        else:
            farm.ask(rank, ahead=random_.randrange(5))
            farm.tick(after_s=random_.random())
        if farm.outcome is not None:
            break
    sick = farm.schedule._judge._quarantine.fitness  # it may have been chance, but then it was never on all nodes
    assert farm.outcome is not None
    assert farm.outcome is not Outcome.WORK_LEFT or Fitness.SICK in map(sick, "abc")
    assert len(set(farm.succeeded)) == len(farm.succeeded)
    not_dealt = farm.schedule._queue._fresh_left  # with none left but those on a sick node
    assert not not_dealt or farm.outcome is Outcome.WORK_LEFT
    everything = [*range(0, 300 - 10 * not_dealt, 10), 390, 400]
    assert sorted([*farm.succeeded, *farm.schedule.unfinished()]) == everything
    assert farm.outcome is Outcome.WORK_LEFT or (farm.outcome is Outcome.ALL_SUCCEEDED) == (not farm.schedule.unfinished())
