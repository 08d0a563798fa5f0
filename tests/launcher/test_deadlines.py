"""Deadlines: in order, of attempts that still run alone, and never many more than these."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from mpifarm.launcher.deadlines import STALE, Deadlines
from mpifarm.launcher.slot import Slot


def running(count: int) -> list[Slot]:
    return [Slot(index, index + 1, pid=1000 + index, serial=index + 1) for index in range(count)]


def test_without_deadlines_nothing_is_ever_due() -> None:
    deadlines = Deadlines([])
    assert (deadlines.next_at, deadlines.pop(1e9)) == (math.inf, None)


@given(st.lists(st.floats(0, 100), max_size=20), st.floats(0, 100))
def test_what_is_due_comes_the_earliest_first(times: list[float], now: float) -> None:
    slots = running(len(times))
    deadlines = Deadlines(slots)
    for when, slot in zip(times, slots, strict=True):
        deadlines.add(when, slot)
    popped = []
    while due := deadlines.pop(now):
        popped.append(times[due.index])
    assert popped == sorted(when for when in times if when <= now)
    assert deadlines.next_at == min((when for when in times if when > now), default=math.inf)


def test_an_attempt_that_has_ended_and_one_that_came_after_it_are_left_alone() -> None:
    slots = running(3)
    deadlines = Deadlines(slots)
    for when, slot in enumerate(slots):
        deadlines.add(float(when), slot)
    slots[0].pid = 0  # it has ended
    slots[1].serial = 4  # the next one runs there
    assert deadlines.pop(5.0) is slots[2]
    assert deadlines.pop(5.0) is None


def test_the_deadlines_of_what_has_ended_are_cleared_out_and_no_other_is_lost() -> None:
    short, long = slots = running(2)
    deadlines = Deadlines(slots)
    deadlines.add(7200.0, long)
    kept = 0
    for serial in range(3, 10_000):
        short.serial = serial
        deadlines.add(3600.0, short)
        kept = max(kept, len(deadlines._heap))
    assert kept <= 4 * len(slots) + STALE
    assert [deadlines.pop(7200.0), deadlines.pop(7200.0), deadlines.pop(7200.0)] == [short, long, None]
