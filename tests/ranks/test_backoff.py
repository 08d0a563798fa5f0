"""How long to sleep."""

from __future__ import annotations

from mpifarm.ranks import backoff
from mpifarm.ranks.backoff import Backoff


def test_the_sleep_is_a_small_part_of_the_idle_time_and_bounded() -> None:
    idle = Backoff(0.0, 0.001)
    waits = [idle.wait_s(now) for now in (0.0, 0.1, 1.0, 1000.0)]
    assert waits == [0.001, 0.1 / backoff.IDLE_PART, 1.0 / backoff.IDLE_PART, backoff.LONGEST_WAIT_S]
    idle.reset(1000.0)
    assert idle.wait_s(1000.0) == 0.001
