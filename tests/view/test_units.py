"""Numbers as people read them, where many of them stand below each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.view import units


@given(st.floats(0.0005, 1e6), st.floats(1.02, 1.5), st.integers(2, 36))
def test_no_two_edges_of_bins_look_alike(least: float, factor: float, count: int) -> None:
    edges = least * factor ** np.arange(count)
    assert len({units.time_edge(edge) for edge in edges if edge < 1e6}) == np.count_nonzero(edges < 1e6)
    sizes = 1000 * edges[edges < 1e6]
    assert len({units.memory_edge(size) for size in sizes}) == sizes.size


@given(st.floats(1, 1e7), st.integers(2, 24))
def test_no_two_moments_of_a_table_look_alike(span_s: float, rows: int) -> None:
    moments = [span_s * row / rows for row in range(rows)]
    assert len({units.elapsed(moment, span_s) for moment in moments}) == rows


@pytest.mark.parametrize(
    ("moment", "span", "words"),
    [(0, 60, "0 s"), (12.93, 60, "12.9 s"), (91, 312, "1:31"), (0, 312, "0:00"), (93_780, 100_000, "26:03:00")],
)
def test_a_moment_of_a_span(moment: float, span: float, words: str) -> None:
    assert units.elapsed(moment, span) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.00126, "0.00126 s"), (0.01, "0.01 s"), (3.981, "3.98 s"), (158.4, "158 s"), (41_000, "11.4 h"), (1e6, "11.6 d")],
)
def test_an_edge_of_run_times(seconds: float, words: str) -> None:
    assert units.time_edge(seconds) == words
