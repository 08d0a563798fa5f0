"""What stands in a figure beside its marks."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mpifarm.view.figures import _labels


def test_marks_that_are_near_each_other_have_one_label() -> None:
    assert list(_labels([], 1.0)) == []
    assert list(_labels([5.0], 1.0)) == [(5.0, "1")]
    assert list(_labels([5.0, 8.0, 8.5, 9.5, 20.0, 20.0], 1.0)) == [(5.0, "1"), (8.75, "2-4"), (20.0, "5-6")]


@given(st.lists(st.floats(0, 100), max_size=40).map(sorted), st.floats(0.1, 10))
def test_no_two_labels_are_nearer_than_that_and_each_mark_has_one(moments: list[float], apart: float) -> None:
    labels = list(_labels(moments, apart))
    spans = [[int(number) for number in words.split("-")] for _, words in labels]
    assert [number for span in spans for number in range(span[0], span[-1] + 1)] == list(range(1, len(moments) + 1))
    for span, following in pairwise(spans):
        assert moments[following[0] - 1] - moments[span[-1] - 1] > apart
