"""More than --max-fails tasks fail: it is found out early, others go on meanwhile, and nothing is started after that."""

from __future__ import annotations

import pytest
from simfarm import LENGTH, Farm, suspect

from mpifarm.schedule.answers import How, Outcome, Stop, Verdict
from mpifarm.schedule.quarantine import ROUNDS, Fitness


def seqs(farm: Farm) -> list[int]:
    """Return what was dealt, in its order."""
    return [1 + offset // LENGTH for offset in farm.order]


def all_fail(farm: Farm, ahead: int = 0) -> None:
    """Let everything fail until the farm ends."""
    for _ in range(1000):
        for rank in farm.held:
            farm.ask(rank, ahead)
        farm.tick(after_s=0.001)
        if farm.outcome is not None:
            return
        for rank, held in farm.held.items():
            for offset in list(held)[: farm.slots]:
                farm.end(rank, offset, bad=True)


@pytest.mark.parametrize("max_fails", [0, 1, 5, 20])
@pytest.mark.parametrize("retries", [0, 1, 2, 5])
@pytest.mark.parametrize(("nodes", "slots"), [("a", 1), ("a", 4), ("aab", 2), ("abc", 4)])
def test_a_list_in_which_everything_fails_ends_soon(max_fails: int, retries: int, nodes: str, slots: int) -> None:
    farm = Farm(1000, dict(enumerate(nodes, 1)), slots, retries=retries, max_fails=max_fails)
    all_fail(farm)
    assert farm.outcome is Outcome.SOME_FAILED
    assert {stop.how for stop in farm.stops} == {How.DRAIN}
    counts = farm.schedule.counts
    assert counts.failed > max_fails
    all_slots = len(nodes) * slots
    assert counts.failed + counts.undecided <= max_fails + 1 + all_slots * (retries + 1)
    assert counts.failed_attempts == len(farm.order)


def test_what_was_queued_before_it_was_in_question_is_all_that_a_quick_list_runs_more() -> None:
    ahead = 50
    farm = Farm(1000, {1: "a"}, slots=2, max_fails=3)
    all_fail(farm, ahead)
    assert len(set(farm.order)) <= ahead + 2 + 4 + 2 * 3


def test_while_it_is_open_nothing_is_queued_behind_the_slots() -> None:
    ahead = 50
    farm = Farm(1000, {1: "a"}, slots=2, max_fails=0)
    farm.ask(1, ahead)
    farm.tick()
    first, *others = list(farm.held[1])
    assert len(others) == ahead + 1
    farm.end(1, first, bad=True)
    farm.ask(1, ahead)
    farm.tick()
    assert list(farm.held[1]) == others, "there is no slot for it yet"
    for offset in others[:-1]:
        farm.end(1, offset)
    farm.ask(1, ahead)
    farm.tick()
    assert list(farm.held[1]) == [others[-1], first]
    farm.end(1, first)
    farm.ask(1, ahead)
    farm.tick()
    assert len(farm.held[1]) == 2 + ahead, "it is decided"


def test_while_it_is_open_a_free_slot_has_other_work() -> None:
    farm = Farm(10, {1: "a"}, slots=2, max_fails=0)
    farm.ask_all()
    farm.end(1, 0, bad=True)
    farm.ask_all()
    assert seqs(farm) == [1, 2, 1]
    farm.end(1, 10)
    farm.ask_all()
    farm.end(1, 20)
    farm.ask_all()
    assert seqs(farm) == [1, 2, 1, 3, 4]


def test_when_it_is_decided_pauses_and_order_are_as_ever() -> None:
    farm = Farm(10, {1: "a"}, max_fails=1)
    for offset in (0, 10):
        farm.ask_all()
        farm.end(1, offset, bad=True)
    farm.ask_all()
    farm.end(1, 0)
    farm.ask_all()
    assert seqs(farm) == [1, 2, 1, 3], "only one has failed now, and that is allowed"
    farm.end(1, 20)
    farm.ask_all()
    assert farm.schedule.counts.undecided == 1
    assert seqs(farm)[-1] == 4


def test_a_slot_that_is_free_elsewhere_is_preferred() -> None:
    farm = Farm(10, {1: "a", 2: "b"}, slots=2, max_fails=0)
    farm.ask_all()
    first = next(iter(farm.held[1]))
    farm.end(1, first, bad=True)
    farm.end(2, next(iter(farm.held[2])))
    farm.ask_all()
    assert first in farm.held[2]


def test_if_no_slot_is_free_elsewhere_it_goes_to_its_own_node_at_once() -> None:
    farm = Farm(10, {1: "a", 2: "b"}, slots=2, max_fails=0)
    farm.ask_all()
    first, second = farm.held[1]
    farm.end(1, first, bad=True)
    farm.end(1, second)
    farm.ask(1)
    farm.tick()
    assert first in farm.held[1]


def test_a_node_on_which_everything_fails_does_not_decide_alone() -> None:
    farm = Farm(100, {1: "a", 2: "b"}, slots=2, max_fails=2)
    farm.ask_all()
    for _ in range(ROUNDS):  # b is busy for hours
        for offset in list(farm.held[1]):
            assert farm.end(1, offset, bad=True) is Verdict.FAILED
        farm.ask(1)
        farm.tick(after_s=0.01)
    assert farm.schedule._judge._quarantine.fitness("a") is Fitness.SUSPECTED
    assert not farm.schedule.gave_up
    assert farm.schedule.counts.undecided == 0, "its failures are nobody's"
    assert len(set(farm.order)) == len(farm.order)


def test_it_is_no_less_decided_if_more_fail_while_the_rest_runs_to_its_end() -> None:
    farm = Farm(100, {1: "a", 2: "b"}, slots=3, retries=0, max_fails=7)
    for _ in range(2):
        farm.ask_all()
        for offset in list(farm.held[1]):
            farm.end(1, offset, bad=True)
    farm.ask_all()
    first, *others = list(farm.held[2])
    held = list(farm.held[1])
    farm.end(2, first, bad=True)
    farm.end(1, held[0], bad=True)
    farm.tick()
    assert farm.stops == [Stop(1, How.DRAIN), Stop(2, How.DRAIN)]
    for offset in held[1:]:  # by now all of the last on a have failed, as on a sick node
        farm.end(1, offset, bad=True)
    farm.tick()
    for offset in others:
        farm.end(2, offset)
    farm.tick()
    assert farm.schedule.counts.failed == 10
    assert farm.outcome is Outcome.SOME_FAILED


def test_if_nothing_is_left_it_ends_the_same_way() -> None:
    farm = Farm(2, {1: "a"}, slots=2, retries=0, max_fails=0)
    farm.ask_all()
    farm.end(1, 0, bad=True)
    farm.end(1, 10)
    farm.tick()
    assert farm.schedule.gave_up
    assert farm.outcome is Outcome.SOME_FAILED


def test_who_was_convicted_before_counts() -> None:
    farm = Farm(2, {1: "a"}, suspects=[suspect(9, 3, convicted=True)], max_fails=0)
    farm.ask_all()
    assert farm.order == []
    assert farm.outcome is Outcome.SOME_FAILED


def test_a_task_that_succeeds_is_not_in_question_any_more() -> None:
    farm = Farm(3, {1: "a"}, max_fails=0)
    for bad in (True, False):
        farm.ask_all()
        farm.end(1, 0, bad=bad)
    assert farm.schedule.counts.undecided == 0
    for offset in (10, 20):
        farm.ask_all()
        farm.end(1, offset)
    farm.tick()
    assert farm.outcome is Outcome.ALL_SUCCEEDED
