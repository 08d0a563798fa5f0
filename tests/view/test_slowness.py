"""Which nodes are slow."""

from __future__ import annotations

import math

import pytest

from mpifarm.view.slowness import factors


@pytest.mark.parametrize(
    ("times", "slow"),
    [
        ([], []),
        ([1.0], [0]),
        ([1.0, 3.4], [0, 3.4]),
        ([1.0, 1.1, 3.8], [0, 0, 3.6]),
        ([1.0, 1.2, 1.4], [0, 0, 0]),
        ([1.0, math.nan, 3.0], [0, 0, 3.0]),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [0] * 5),  # they differ among each other as much
        ([1.0] * 99 + [2.0], [0] * 99 + [2.0]),
    ],
)
def test_a_node_is_slow_beside_the_others(times: list[float], slow: list[float]) -> None:
    assert [round(factor, 1) for factor in factors(times)] == slow
