"""What the end of an attempt means for its task."""

from __future__ import annotations

import pytest
from simfarm import Farm, suspect

from mpifarm.schedule.answers import How, Outcome, Verdict


def test_a_task_that_fails_every_time_has_retries_plus_one_attempts_then_it_is_failed() -> None:
    farm = Farm(1, {1: "a"}, retries=2)
    verdicts = []
    for attempt in (1, 2, 3):
        farm.ask_all()
        assert farm.held[1] == {0: attempt}
        verdicts.append(farm.end(1, 0, bad=True))
    farm.tick()
    assert verdicts == [Verdict.FAILED, Verdict.FAILED, Verdict.FAILED_FOR_GOOD]
    assert farm.outcome is Outcome.SOME_FAILED
    assert farm.schedule.unfinished() == [0]


@pytest.mark.parametrize("bad", [True, False])
def test_a_suspect_that_ends_by_itself_is_cleared_and_an_interrupted_one_is_not(bad: bool) -> None:
    farm = Farm(0, {1: "a"}, slots=2, suspects=[suspect(7, 1), suspect(8, 1)])
    farm.ask_all()
    farm.end(1, 60, bad)
    farm.take(farm.schedule.stop_asked(How.KILL, farm.now))
    farm.end(1, 70, stopped=True)
    assert farm.schedule.suspects() == [(70, 1, False)]


@pytest.mark.parametrize("stopped", [True, False])
def test_an_end_of_its_own_clears_a_task(stopped: bool) -> None:
    farm = Farm(1, {rank: f"n{rank}" for rank in range(1, 6)})
    for rank in (1, 2):
        farm.ask(rank)
        farm.tick()
        farm.take(farm.schedule.worker_lost(rank))
    farm.ask(3)
    farm.tick()
    farm.end(3, 0, bad=True, stopped=stopped)
    farm.ask(4)
    farm.tick(after_s=10.0)
    farm.take(farm.schedule.worker_lost(4))
    assert [lost.poisoned for lost in farm.losses] == [[], [], []]
