"""What is said of nodes that are not fit, and what is not worth a line."""

from __future__ import annotations

import pytest

from mpifarm.ranks.suspicions import LASTS_S, Suspicions
from mpifarm.schedule.quarantine import Fitness, Judged

SUSPECTED, SICK, FIT = (Judged("n1", fitness, 12) for fitness in (Fitness.SUSPECTED, Fitness.SICK, Fitness.FIT))


def test_what_is_taken_back_in_a_moment_is_never_said() -> None:
    suspicions = Suspicions()
    for turn in range(100):
        assert not suspicions.take(SUSPECTED, turn * 1.0)
        assert list(suspicions.due(turn + 0.5)) == []
        assert not suspicions.take(FIT, turn + 0.9)
    assert list(suspicions.due(1000.0)) == []


def test_what_lasts_is_said_once_and_so_is_its_end() -> None:
    suspicions = Suspicions()
    suspicions.take(SUSPECTED, 5.0)
    assert list(suspicions.due(5.0 + LASTS_S - 0.1)) == []
    assert list(suspicions.due(5.0 + LASTS_S)) == [SUSPECTED]
    assert list(suspicions.due(500.0)) == []
    assert suspicions.take(FIT, 501.0)
    assert not suspicions.take(FIT, 502.0)


@pytest.mark.parametrize("was_said", [False, True])
def test_a_verdict_is_said_at_once_and_what_led_to_it_no_more(was_said: bool) -> None:
    suspicions = Suspicions()
    suspicions.take(SUSPECTED, 0.0)
    if was_said:
        assert list(suspicions.due(LASTS_S)) == [SUSPECTED]
    assert suspicions.take(SICK, LASTS_S)
    assert list(suspicions.due(1000.0)) == []
    assert suspicions.take(FIT, 1001.0)


def test_nodes_are_told_apart() -> None:
    suspicions = Suspicions()
    other = Judged("n2", Fitness.SUSPECTED, 12)
    suspicions.take(SUSPECTED, 0.0)
    suspicions.take(other, 1.0)
    suspicions.take(FIT, 2.0)
    assert list(suspicions.due(100.0)) == [other]
