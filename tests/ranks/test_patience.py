"""How long a stop waits for who reads standard output."""

from __future__ import annotations

from mpifarm.ranks.patience import READER_MOST_S, READER_S, Patience
from mpifarm.schedule.answers import How


def test_without_a_stop_and_in_a_drain_it_has_no_end() -> None:
    patience = Patience()
    assert not patience.is_over(None, 0, 1e6)
    assert not patience.is_over(How.DRAIN, 0, 2e6)
    assert not patience.is_over(How.KILL, 0, 3e6)
    assert patience.is_over(How.KILL, 0, 3e6 + READER_S)


def test_who_takes_nothing_gets_less_time_than_who_reads_on() -> None:
    patience = Patience()
    times = [step * READER_S / 2 for step in range(20)]
    over = [patience.is_over(How.KILL, int(now), now) for now in times]
    assert over.index(True) == next(place for place, now in enumerate(times) if now >= READER_MOST_S)


def test_a_stop_that_kills_at_once_waits_for_nobody() -> None:
    patience = Patience()
    assert not patience.is_over(How.KILL, 0, 1.0)
    assert patience.is_over(How.KILL_NOW, 5, 1.0)
