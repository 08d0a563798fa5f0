"""In which order what waits is dealt: the list, what comes back, retries, suspects."""

from __future__ import annotations

from simfarm import Farm, records, suspect

from mpifarm.schedule.answers import Outcome, Verdict
from mpifarm.schedule.retries import PATIENCE_S, PAUSES_S


def test_what_earlier_runs_left_goes_first() -> None:
    farm = Farm(2, {1: "a"}, slots=4, again=records(7, 9))
    farm.ask_all()
    assert farm.order == [60, 80, 0, 10]


def test_a_failed_task_is_tried_again_after_the_rest_of_the_list() -> None:
    farm = Farm(3, {1: "a"})
    farm.ask_all()
    assert farm.end(1, 0, bad=True) is Verdict.FAILED
    for offset in (10, 20, 0):
        farm.ask_all()
        assert list(farm.held[1]) == [offset]
        farm.end(1, offset)
    farm.tick()
    assert farm.outcome is Outcome.ALL_SUCCEEDED


def test_a_retry_goes_to_another_node_where_there_is_one() -> None:
    farm = Farm(1, {1: "a", 2: "a", 3: "b"})
    farm.ask(1)
    farm.tick()
    farm.end(1, 0, bad=True)
    farm.ask(1)
    farm.ask(2)
    farm.tick()
    assert not farm.held[1]
    assert not farm.held[2]
    farm.ask(3)
    farm.tick()
    assert farm.held[3] == {0: 2}


def test_a_retry_does_not_wait_for_ever_for_a_busy_node() -> None:
    farm = Farm(2, {1: "a", 2: "b"})
    farm.ask_all()
    farm.end(1, 0, bad=True)
    farm.ask(1)
    farm.tick()
    assert not farm.held[1]
    farm.tick(after_s=PAUSES_S[0])
    assert not farm.held[1]
    farm.tick(after_s=PATIENCE_S)
    assert farm.held[1] == {0: 2}


def test_a_retry_pauses_while_anything_else_runs_and_not_when_nothing_does() -> None:
    farm = Farm(3, {1: "a"}, slots=3)
    farm.ask_all()
    for offset in (0, 10):
        farm.end(1, offset, bad=True)
    farm.ask_all()
    farm.ask(1)
    farm.tick(after_s=PAUSES_S[0] - 0.01)
    assert list(farm.held[1]) == [20]
    farm.end(1, 20)
    farm.ask_all()
    assert farm.held[1] == {0: 2, 10: 2}


def test_a_lost_workers_tasks_go_in_front_uncharged() -> None:
    farm = Farm(4, {1: "a", 2: "b"}, slots=2, retries=0)
    farm.ask(1)
    farm.tick()
    farm.take(farm.schedule.worker_lost(1))
    del farm.held[1]
    farm.ask_all()
    assert farm.held[2] == {0: 2, 10: 2}
    assert [(lost.rank, lost.leases) for lost in farm.losses] == [(1, 2)]


def test_suspects_of_earlier_runs_go_behind_the_rest_of_the_list_and_its_retries() -> None:
    farm = Farm(2, {1: "a"}, again=records(9), suspects=[suspect(7, 1), suspect(8, 1)])
    order = []
    for bad in (False, True, False, False, False, False):
        farm.ask_all()
        (offset,) = farm.held[1]
        order.append(offset)
        farm.end(1, offset, bad)
        farm.tick(after_s=PAUSES_S[0])
    assert order == [80, 0, 10, 0, 60, 70]
    assert farm.outcome is Outcome.ALL_SUCCEEDED


def test_suspects_of_two_deaths_have_the_farm_to_themselves() -> None:
    farm = Farm(2, {1: "a", 2: "b"}, slots=2, suspects=[suspect(7, 2), suspect(8, 1), suspect(9, 2)])
    farm.ask_all()
    together = farm.held[1] | farm.held[2]
    assert sorted(together) == [0, 10, 70]
    for rank in (1, 2):
        for offset in list(farm.held[rank]):
            farm.ask_all()
            assert farm.schedule.tried == (1, 0, 70)
            farm.end(rank, offset)
    for offset in (60, 80):
        farm.ask_all()
        farm.ask_all()
        assert farm.schedule.tried == (2, offset, offset)
        (rank,) = (rank for rank in (1, 2) if farm.held[rank])
        assert list(farm.held[rank]) == [offset]
        assert len(farm.held[3 - rank]) == 0
        farm.end(rank, offset)
    farm.tick()
    assert farm.schedule.tried == (0, 0, 0)
    assert farm.outcome is Outcome.ALL_SUCCEEDED


def test_what_may_have_killed_a_worker_does_not_wait_behind_other_tasks() -> None:
    farm = Farm(30, {1: "a", 2: "b", 3: "c"})
    farm.ask(1, ahead=5)
    farm.tick()
    lost = list(farm.held[1])
    assert len(lost) > 2
    farm.take(farm.schedule.worker_lost(1))
    farm.ask(2, ahead=5)
    farm.ask(3, ahead=5)
    farm.tick()
    assert [*farm.held[2], *farm.held[3]] == lost[:2]
