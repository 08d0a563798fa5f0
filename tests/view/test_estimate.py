"""When a run will have ended: held against runs that are played to their end."""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest

from mpifarm.view.estimate import LEAST_ENDED, MOST_TAKEN, Array, End, Left, RunTimes


def lengths(kind: str, tasks: int, rng: np.random.Generator) -> Array:
    """Return run times in seconds."""
    return rng.uniform(1, 20, tasks) if kind == "uniform" else rng.lognormal(2, 1, tasks)


def half_way(kind: str, tasks: int, slots: int, seed: int) -> tuple[float, float, End | None]:
    """Play a run; return when it ended, when half of that was over, and what was thought of it then."""
    times = lengths(kind, tasks, np.random.default_rng(seed))
    free = [0.0] * slots
    starts = np.empty(tasks)
    for number, time in enumerate(times):
        starts[number] = free[0]
        heapq.heapreplace(free, free[0] + time)
    truth = float((starts + times).max())
    now = truth / 2
    known = RunTimes()
    ended = starts + times <= now
    for report in np.array_split(times[ended], 7):
        known.take(report)
    running = (starts <= now) & ~ended
    left = Left(int((starts > now).sum()), int(running.sum()), slots)
    return truth, now, known.end(left, now - starts[running])


def judged(kind: str, runs: int) -> tuple[float, float]:
    """Return in which share of the runs the truth was within 10 % of what was likely, and in which within the range."""
    near = held = 0
    for seed in range(runs):
        truth, now, end = half_way(kind, 4000, 32, seed)
        assert end
        near += abs(now + end.likely_s - truth) <= 0.1 * truth
        held += now + end.low_s <= truth <= now + end.high_s
    return near / runs, held / runs


@pytest.mark.parametrize("kind", ["uniform", "log-normal"])
def test_half_way_the_end_is_known_to_a_tenth(kind: str) -> None:
    near, held = judged(kind, 12)
    assert near >= 0.9
    assert held >= 0.7


@pytest.mark.long
@pytest.mark.parametrize("kind", ["uniform", "log-normal"])
def test_half_way_the_end_is_known_to_a_tenth_in_500_runs(kind: str) -> None:
    near, held = judged(kind, 250)
    print(f"{kind}: within 10 %: {near:.1%}, in the range: {held:.1%}")
    assert near >= 0.9
    assert held >= 0.85


def test_of_few_run_times_nothing_is_said_and_of_some_it_is_rough() -> None:
    known = RunTimes()
    left = Left(100, 4, 4)
    ages = np.full(4, 1.0)
    known.take(np.linspace(9, 11, LEAST_ENDED - 1))
    assert known.end(left, ages) is None
    known.take(np.array([10.0]))
    end = known.end(left, ages)
    assert end and end.rough
    known.take(np.linspace(9, 11, 100))
    end = known.end(left, ages)
    assert end and not end.rough
    assert end.low_s <= end.likely_s <= end.high_s
    assert end.likely_s == pytest.approx(1040 / 4, rel=0.1)


def test_short_tasks_that_have_ended_say_nothing_of_long_ones_that_all_slots_still_run() -> None:
    known = RunTimes()
    known.take(np.full(20, 1.0))
    assert known.end(Left(1000, 64, 64), np.full(64, 600.0)) is None


def test_what_has_run_for_long_already_does_not_end_sooner_than_what_has_just_begun() -> None:
    known = RunTimes()
    known.take(np.random.default_rng(3).uniform(90, 110, 1000))
    begun, old = (known.end(Left(0, 4, 4), np.full(4, age)) for age in (1.0, 80.0))
    assert begun and old
    assert begun.likely_s == pytest.approx(104, abs=8)
    assert old.likely_s == pytest.approx(24, abs=8)


def test_a_slot_that_idles_between_tasks_takes_its_time() -> None:
    known = RunTimes()
    known.take(np.full(1000, 0.001))
    end = known.end(Left(1000, 1, 1, idle_s=0.009), np.zeros(1))
    assert end and end.likely_s == pytest.approx(10, rel=0.1)
    assert end.per_s == pytest.approx(100, rel=0.1)


def test_a_million_waiting_tasks_on_a_hundred_thousand_slots_are_not_played_one_by_one() -> None:
    known = RunTimes()
    known.take(np.random.default_rng(3).uniform(1, 20, 1_000_000))
    end = known.end(Left(10_000_000, 100_000, 100_000), np.zeros(1))
    assert end and end.likely_s == pytest.approx(1050 + 15, rel=0.05)


def test_what_is_left_at_the_end_of_the_job_is_counted() -> None:
    end = End(90.0, 110.0, 100.0, False, 10.0)
    left = Left(996, 4, 4)
    assert left.after(100.0, end) == 0
    assert left.after(60.0, end) == 400
    assert left.after(99.99, end) == 1
    assert left.after(-5.0, end) == 1000


def test_memory_and_work_are_bounded() -> None:
    known = RunTimes()
    for _ in range(MOST_TAKEN + 5):
        known.take(np.ones(1))
    assert known.ended == MOST_TAKEN
    known.refill()
    known.take(np.ones(3))
    assert known.ended == MOST_TAKEN + 3
    assert known.mean_s == pytest.approx(1.0)


def test_a_median_is_right_to_a_few_percent() -> None:
    known = RunTimes()
    assert math.isnan(known.quantile_s(0.5))
    known.take(np.linspace(0, 10, 10_001))
    assert known.quantile_s(0.5) == pytest.approx(5, rel=0.05)
    assert known.quantile_s(1.0) == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("odd", [0.0, 1e-9, 1e9])
def test_odd_run_times_have_their_place(odd: float) -> None:
    known = RunTimes()
    known.take(np.full(50, odd))
    end = known.end(Left(10, 1, 1), np.zeros(1))
    assert end and math.isfinite(end.high_s)
    assert end.likely_s == pytest.approx(10.5 * odd, rel=0.2)
