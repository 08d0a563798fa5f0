"""Sets of offsets against Python's own."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.tasks.offsets import among, distinct


@given(st.lists(st.integers(-9, 9)), st.lists(st.integers(-9, 9)))
def test_offsets_are_found_among_others(values: list[int], others: list[int]) -> None:
    members = distinct(np.array(others, dtype=np.int64))
    assert members.tolist() == sorted(set(others))
    found = among(np.array(values, dtype=np.int64), members)
    assert found.tolist() == [value in others for value in values]
