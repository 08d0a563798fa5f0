"""How many tasks each rank is given."""

from __future__ import annotations

from simfarm import Farm


def test_a_few_tasks_are_spread_over_all_free_slots() -> None:
    farm = Farm(8, {1: "a", 2: "b"}, slots=8)
    farm.ask_all()
    assert [len(held) for held in farm.held.values()] == [4, 4]


def test_what_a_rank_holds_beyond_its_slots_is_at_most_half_its_share() -> None:
    farm = Farm(100, {1: "a", 2: "b"}, slots=2)
    farm.ask(1, ahead=1000)
    farm.ask(2)
    farm.tick()
    assert len(farm.held[2]) == 2
    assert 2 < len(farm.held[1]) <= 2 + 100 // 4


def test_no_slot_is_idle_while_others_ask_for_more() -> None:
    farm = Farm(5, {1: "a", 2: "b"}, slots=2)
    for rank in (1, 2):
        farm.ask(rank, ahead=1000)
    farm.tick()
    assert min(len(held) for held in farm.held.values()) == 2


def test_what_has_ended_and_is_not_told_of_yet_holds_no_slot() -> None:
    farm = Farm(2, {1: "a"}, slots=1)
    farm.ask_all()
    (first,) = farm.held[1]
    farm.schedule.credit_changed(1, seen=1, credit=1)
    farm.tick()
    assert len(farm.held[1]) == 1, "it waits for the end of the first"
    farm.schedule.credit_changed(1, seen=1, credit=1, doubted=1)
    farm.tick()
    assert len(farm.held[1]) == 2
    farm.end(1, first)
    farm.schedule.credit_changed(1, seen=2, credit=0, doubted=0)
    farm.tick()
    assert len(farm.held[1]) == 1
