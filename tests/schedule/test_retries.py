"""What has failed, until its next attempt: pauses while there is other work, another node first."""

from __future__ import annotations

import pytest

from mpifarm.schedule.retries import PATIENCE_S, PAUSES_S, Retries, Task


def task(number: int) -> Task:
    return (number * 10, 10, number)


def taken(retries: Retries, node: str, now: float, busy: bool = True, elsewhere: bool = True) -> list[int]:
    """Open a round; return the numbers of what *node* gets in it."""
    retries.open_round(now, busy)
    found = []
    while got := retries.take(node, lambda: elsewhere):
        found.append(got[2])
    return found


@pytest.mark.parametrize(("failures", "pause_s"), [(1, 1.0), (2, 10.0), (3, 10.0), (7, 10.0)])
def test_while_there_is_other_work_an_attempt_comes_a_pause_after_the_failure(failures: int, pause_s: float) -> None:
    retries = Retries()
    retries.add("a", task(1), failures, now=100.0)
    assert not retries.open_round(100.0 + pause_s - 0.001, busy=True)
    assert taken(retries, "b", 100.0 + pause_s - 0.001) == []
    assert retries.open_round(100.0 + pause_s, busy=True)
    assert taken(retries, "b", 100.0 + pause_s) == [1]
    assert len(retries) == 0


def test_when_nothing_else_is_there_all_go_at_once_although_the_first_ones_are_work_then() -> None:
    retries = Retries()
    for number in range(5):
        retries.add("a", task(number), 2, now=0.0)
    assert taken(retries, "b", 0.0, busy=False) == [0, 1, 2, 3, 4]


def test_what_is_due_first_goes_first() -> None:
    retries = Retries()
    retries.add("a", task(1), 2, now=0.0)
    retries.add("a", task(2), 1, now=5.0)
    retries.add("a", task(3), 1, now=4.0)
    assert taken(retries, "b", 20.0) == [3, 2, 1]


@pytest.mark.parametrize("busy", [True, False])
def test_the_own_node_gets_it_when_the_others_have_had_their_time(busy: bool) -> None:
    retries = Retries()
    retries.add("a", task(1), 1, now=0.0)
    due = PAUSES_S[0] if busy else 0.0
    assert taken(retries, "a", due + PATIENCE_S - 0.001, busy) == []
    assert taken(retries, "a", due + PATIENCE_S, busy) == [1]


def test_the_only_node_gets_it_when_it_is_due() -> None:
    retries = Retries()
    retries.add("a", task(1), 1, now=0.0)
    assert taken(retries, "a", PAUSES_S[0] - 0.001, elsewhere=False) == []
    assert taken(retries, "a", PAUSES_S[0], elsewhere=False) == [1]


def test_what_is_taken_out_is_not_dealt_and_the_rest_keeps_its_order() -> None:
    retries = Retries()
    for number in range(6):
        retries.add("ab"[number % 2], task(number), 1, now=float(-number))
    assert sorted(found[2] for found in retries.remove({10, 30, 50, 20, 990})) == [1, 2, 3, 5]
    assert sorted(waits[2] for waits in retries.tasks()) == [0, 4]
    assert taken(retries, "c", 10.0) == [4, 0]
