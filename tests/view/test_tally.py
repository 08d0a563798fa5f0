"""Run times and memory, counted on a logarithmic scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.ranks import wire
from mpifarm.view.tally import LEAST_S, RELATIVE, Histogram, Tally

TIMES = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)


@given(TIMES, st.floats(0, 1))
def test_a_quantile_is_that_of_the_values_but_for_the_width_of_a_bin(times: list[float], share: float) -> None:
    histogram = Histogram(LEAST_S)
    for part in (times[::2], times[1::2]):
        histogram.add(np.array(part, dtype=np.float64))
    exact = sorted(times)[max(1, math.ceil(share * len(times))) - 1]
    told = histogram.quantile(share)
    assert abs(told - exact) <= max(RELATIVE * exact, (1 + RELATIVE) * LEAST_S if exact <= LEAST_S else 0) + 1e-9
    assert (histogram.count, histogram.largest) == (len(times), max(times))
    assert min(times) <= told <= max(times)


@given(st.lists(st.one_of(st.just(math.nan), st.just(-1.0), st.just(math.inf), st.floats(1e9, 1e300)), max_size=5))
def test_what_no_clock_shows_stops_nobody(times: list[float]) -> None:
    histogram = Histogram(LEAST_S)
    histogram.add(np.array(times, dtype=np.float64))
    assert histogram.count == len(times)


def test_nothing_has_no_median() -> None:
    assert math.isnan(Histogram(LEAST_S).quantile(0.5))


def test_each_node_has_its_own_median_and_what_is_put_aside_is_counted_in_the_end() -> None:
    tally = Tally(wire.ENDED)
    for node, seconds, count in ((0, 1.0, 20), (2, 4.0, 30), (1, 9.0, 3)):
        for _ in range(count):
            ended = np.zeros(1, dtype=wire.ENDED)
            ended["seconds"], ended["rss_kib"] = seconds, 1000 * (node + 1)
            tally.add([node], [1], ended)
    assert not tally.seconds.count
    tally.settle()
    assert tally.seconds.count == tally.rss_kib.count == 53
    assert tally.counts()[:3] == [20, 3, 30]
    first, few, last = tally.medians(least=8)
    assert (first, last) == (pytest.approx(1.0, rel=0.2), pytest.approx(4.0, rel=0.2))
    assert math.isnan(few)


def test_memory_does_not_grow_with_the_tasks() -> None:
    tally = Tally(wire.ENDED)
    for _ in range(3):
        tally.add([0, 1], [4000, 6000], np.zeros(10_000, dtype=wire.ENDED))
        assert not tally._aside
