"""The schedule, played: against list scheduling, and scaled."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.view import plan


def list_scheduling(lengths: Sequence[float], slots: int) -> float:
    free_at = [0.0] * slots
    for length in lengths:
        heapq.heappush(free_at, heapq.heappop(free_at) + length)
    return max(free_at)


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 4), st.integers(1, 5))
def test_it_takes_what_list_scheduling_takes(lengths: list[int], nodes: int, slots: int) -> None:
    choice, played = plan.plan(np.array(lengths, dtype=np.float64), nodes, slots)
    assert played == len(lengths)
    assert choice.seconds == list_scheduling(lengths, nodes * slots)


def test_of_a_long_list_the_end_is_played_and_the_rest_is_whole_rounds() -> None:
    times = np.full(1_000_001, 7.0)
    choice, played = plan.plan(times, 2, 3)
    assert choice.seconds == pytest.approx(-(-1_000_001 // 6) * 7.0)
    assert plan.PLAYED <= played < plan.PLAYED + 6
    uneven = np.random.default_rng(1).lognormal(3, 1, 60_000)
    choice, _ = plan.plan(uneven, 4, 16)
    assert choice.seconds == pytest.approx(list_scheduling(uneven.tolist(), 64), rel=0.02)


@pytest.mark.parametrize(
    ("most", "tried"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8]), (9, [1, 2, 4, 8, 9])]
)
def test_the_numbers_of_nodes_that_are_tried(most: int, tried: list[int]) -> None:
    assert plan.counts(most) == tried
