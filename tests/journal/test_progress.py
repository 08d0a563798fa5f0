"""Many lines of progress at once say what each says alone."""

from __future__ import annotations

from array import array

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.journal import progress

WHOLE = st.builds(
    b"%d n%d-%d %b %d %d %d\n".__mod__,
    st.tuples(
        st.integers(0, 10**18 - 1),
        st.integers(0, 99),
        st.integers(1, 9),
        st.sampled_from([b"0.004", b"12345.678", b"7", b"1.5", b"1.2345"]),
        st.integers(0, 10**17),
        st.integers(0, 2**31),
        st.integers(0, 999),
    ),
)


def one_by_one(chunk: bytes, at: int) -> list[list[int]]:
    columns = [array("q") for _ in range(4)]
    for line in chunk.splitlines(keepends=True):
        at += len(line)
        progress._take_line(columns, line, at)
    return [list(column) for column in columns]


@given(st.lists(WHOLE, min_size=1, max_size=5), st.integers(0, 10**12))
def test_whole_lines(lines: list[bytes], at: int) -> None:
    chunk = b"".join(lines)
    assert progress._table(chunk, at).tolist() == one_by_one(chunk, at)


def test_one_character_that_has_changed_is_seen_in_every_place() -> None:
    line, behind = b"61 n.1-2 12.345 80 1795344287 32\n", b"9 n-1 7 0 1 9\n"
    for place in range(len(line)):
        for other in b"0 .,-\t\0\r\n\vx\xff":
            chunk = line[:place] + bytes([other]) + line[place + 1 :] + behind
            assert progress._table(chunk, 5).tolist() == one_by_one(chunk, 5)


def test_a_batch_of_taskfarmer_has_a_row_for_each_of_its_tasks() -> None:
    chunk = b"0 n-1 1 0 1 9\n9,18 n-1 1 5 1 9\n"
    assert progress._table(chunk, 0).tolist() == [[0, 9, 18], [9, 9, 9], [0, 5, 0], [14, 31, 31]]
    assert np.array_equal(progress._table(chunk[:14], 0), [[0], [9], [0], [14]])
