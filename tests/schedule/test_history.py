"""Tasks that take workers along: who is convicted, and who is not; and that nothing else is remembered."""

from __future__ import annotations

from simfarm import LENGTH, Farm, suspect

from mpifarm.schedule.answers import Outcome
from mpifarm.schedule.history import LOST_LIMIT


def test_a_task_on_three_lost_workers_in_turn_is_failed() -> None:
    farm = Farm(1, {rank: f"n{rank}" for rank in range(1, 5)})
    for rank in (1, 2, 3):
        farm.ask(rank)
        farm.tick()
        assert farm.held[rank] == {0: rank}
        farm.take(farm.schedule.worker_lost(rank))
    assert [lost.poisoned for lost in farm.losses] == [[], [], [0]]
    farm.tick()
    assert farm.outcome is Outcome.SOME_FAILED


def test_a_task_that_waited_behind_the_one_that_killed_its_worker_is_not_blamed() -> None:
    farm = Farm(3, {rank: f"n{rank}" for rank in range(1, 6)})
    for rank in range(1, 6):
        farm.ask(rank, ahead=2)  # one slot: the second and the third wait on the node
        farm.tick()
        if 0 in farm.held[rank]:
            farm.take(farm.schedule.worker_lost(rank))
    assert [offset for lost in farm.losses for offset in lost.poisoned] == [0]
    assert farm.schedule.unfinished() == sorted({0, *farm.held[LOST_LIMIT + 1], *farm.held[5]})


def test_a_poison_task_is_found_although_it_waited_on_its_first_node() -> None:
    farm = Farm(3, {rank: f"n{rank}" for rank in range(1, 7)})
    poison = LENGTH
    for rank in range(1, 7):
        farm.ask(rank, ahead=2)
        farm.tick()
        if poison in farm.held[rank]:
            farm.take(farm.schedule.worker_lost(rank))
    assert [offset for lost in farm.losses for offset in lost.poisoned] == [poison]


def test_a_task_that_takes_workers_along_convicts_nobody_beside_it() -> None:
    poison = 0
    farm = Farm(40, {rank: f"n{rank}" for rank in range(1, 6)}, slots=4)
    for _ in range(200):
        farm.ask_all()
        for rank in [rank for rank, held in farm.held.items() if poison in held]:
            farm.take(farm.schedule.worker_lost(rank))
            del farm.held[rank]
        for rank, held in farm.held.items():
            if held:
                farm.end(rank, next(iter(held)))
        if farm.outcome is not None:
            break
    assert [lost.poisoned for lost in farm.losses] == [[], [], [poison]]
    assert farm.outcome is Outcome.SOME_FAILED
    assert farm.schedule.unfinished() == [poison]
    assert farm.schedule.suspects() == [(poison, 3, True)]


def test_losses_are_counted_over_runs() -> None:
    farm = Farm(1, {1: "a", 2: "b"}, suspects=[suspect(7, 2)])
    farm.ask(1)
    farm.tick()
    farm.end(1, 0)
    farm.ask(1)
    farm.tick()
    assert farm.held[1] == {60: 1}
    farm.take(farm.schedule.worker_lost(1))
    assert [lost.poisoned for lost in farm.losses] == [[60]]
    assert farm.schedule.suspects() == [(60, 3, True)]


def test_one_that_is_convicted_is_not_run_and_the_farm_ends_with_a_failure() -> None:
    farm = Farm(1, {1: "a"}, suspects=[suspect(7, 3, convicted=True)])
    farm.ask_all()
    farm.end(1, 0)
    farm.tick()
    assert farm.order == [0]
    assert farm.outcome is Outcome.SOME_FAILED
    assert farm.schedule.unfinished() == [60]
    assert farm.schedule.failed(60) == (60, LENGTH, 7)
    assert farm.schedule.suspects() == [(60, 3, True)]


def test_memory_grows_with_what_is_in_flight_and_not_with_the_list() -> None:
    farm = Farm(10_000, {1: "a"}, slots=8)
    while farm.outcome is None:
        farm.ask_all()
        assert farm.schedule.counts.leased <= 8
        for offset in list(farm.held[1]):
            farm.end(1, offset)
    assert not farm.schedule._histories._known
    assert len(farm.succeeded) == 10_000
