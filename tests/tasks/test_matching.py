"""The matching of keys: as long as the quadratic one, whatever the sequences are."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lists import longest

from mpifarm.tasks import matching

FEW, SOME, MANY = (st.lists(st.integers(0, most), max_size=40) for most in (1, 5, 60))
SEQUENCES = FEW | SOME | MANY


def matched(a: list[int], b: list[int]) -> list[tuple[int, int]]:
    """Return the pairs that are matched; they are true."""
    first, second = matching.longest_common(np.array(a, dtype=np.int64), np.array(b, dtype=np.int64))
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    assert all(a[one] == b[other] for one, other in pairs)
    assert all(one < next_one and other < next_other for (one, other), (next_one, next_other) in pairwise(pairs))
    return pairs


@given(SEQUENCES, SEQUENCES)
def test_few_pairs_are_matched_exactly(a: list[int], b: list[int]) -> None:
    assert len(matched(a, b)) == longest(a, b)


@given(SEQUENCES, SEQUENCES)
def test_many_pairs_are_matched_exactly(a: list[int], b: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_FEW_PAIRS", 0)
        patch.setattr(matching, "_PAIRS_A_LINE", 0)
        assert len(matched(a, b)) == longest(a, b)


@given(SEQUENCES, SEQUENCES, st.integers(1, 3))
def test_beyond_the_bound_of_edits_the_match_is_true(a: list[int], b: list[int], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_FEW_PAIRS", 0)
        patch.setattr(matching, "_PAIRS_A_LINE", 0)
        patch.setattr(matching, "MOST_EDITS", most)
        pairs = matched(a, b)
    assert bool(pairs) == bool(set(a) & set(b))
