"""Who is there and has what: credit, leases, and reports that match none."""

from __future__ import annotations

import pytest
from simfarm import Farm

from mpifarm.schedule.answers import Outcome, Verdict


def test_leases_never_exceed_credit_while_grants_are_on_their_way() -> None:
    farm = Farm(100, {1: "a"}, slots=2)
    farm.schedule.credit_changed(1, seen=0, credit=2)
    farm.tick()
    farm.schedule.credit_changed(1, seen=0, credit=2)  # said before the grant arrived
    farm.tick()
    assert len(farm.held[1]) == 2


def test_a_late_report_of_a_lost_worker_is_dropped() -> None:
    farm = Farm(1, {1: "a", 2: "b"})
    farm.ask(1)
    farm.tick()
    farm.take(farm.schedule.worker_lost(1))
    assert farm.end(1, 0) is Verdict.STALE
    farm.ask(2)
    farm.tick()
    assert farm.end(1, 0) is Verdict.STALE
    assert farm.end(2, 0) is Verdict.SUCCEEDED
    assert farm.schedule.counts.stale == 2


@pytest.mark.parametrize(
    ("offsets", "attempts"), [([0, 10, 20], [1, 2, 1]), ([0, 99, 10, 20], [1] * 4), ([0, 10, 20, 0], [1] * 4)]
)
def test_a_stale_end_among_many_good_ones_takes_none_of_them_with_it(offsets: list[int], attempts: list[int]) -> None:
    farm = Farm(3, {1: "a"}, slots=3)
    farm.ask_all()
    good = [False] * len(offsets)
    ends = farm.schedule.attempts_ended(1, offsets, attempts, good, good, 0.0)
    farm.schedule.check()
    assert ends.verdicts.count(Verdict.STALE) == farm.schedule.counts.stale == 1
    assert ends.verdicts.count(Verdict.SUCCEEDED) == farm.schedule.counts.done == len(offsets) - 1


def test_a_report_from_before_a_rank_joined_anew_is_dropped() -> None:
    farm = Farm(1, {1: "a"})
    farm.ask_all()
    farm.join(1, "a")
    farm.ask_all()
    assert farm.held[1] == {0: 2}
    assert farm.end(1, 0, attempt=1) is Verdict.STALE


def test_a_duplicate_report_is_dropped() -> None:
    farm = Farm(1, {1: "a"})
    farm.ask_all()
    assert farm.end(1, 0) is Verdict.SUCCEEDED
    assert farm.end(1, 0, attempt=1) is Verdict.STALE


def test_a_worker_that_leaves_is_granted_nothing_more_and_what_it_gives_back_goes_elsewhere() -> None:
    farm = Farm(3, {1: "a", 2: "b"})
    farm.ask_all()
    farm.schedule.worker_left(1)
    assert farm.end(1, 0, bad=True, stopped=True) is Verdict.INTERRUPTED
    farm.ask_all()
    assert not farm.held[1]
    for _ in range(3):
        for offset in list(farm.held[2]):
            farm.end(2, offset)
        farm.ask_all()
    assert farm.outcome is Outcome.ALL_SUCCEEDED
