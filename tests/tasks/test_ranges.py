"""Ranges as Slurm writes those of a job array."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm import FarmError
from mpifarm.settings import Each
from mpifarm.tasks.ranges import Range, is_range

PLAIN = Each("x {}")


def numbers(text: str) -> list[int]:
    return list(map(int, b"".join(Range(text).chunks(PLAIN)).split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1-5", [1, 2, 3, 4, 5]), ("1-10:4", [1, 5, 9]), ("1,7,9-12", [1, 7, 9, 10, 11, 12]), ("5", [5]), ("0", [0]),
        ("3-3", [3]),
        ("9,1-2", [9, 1, 2]), ("1-9:2,2-8:2", [1, 3, 5, 7, 9, 2, 4, 6, 8]), ("0-10:20", [0]), ("100-101", [100, 101]),
    ],
)  # fmt: skip
def test_the_numbers_of_a_range(text: str, expected: list[int]) -> None:
    assert is_range(text)
    assert numbers(text) == expected


def test_a_long_range_comes_in_chunks() -> None:
    chunks = list(Range("1-100000").chunks(PLAIN))
    assert len(chunks) > 1
    assert numbers("1-100000") == list(range(1, 100001))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3-1", "'3-1' runs backwards, and so is empty"), ("1-3:0", "the step of '1-3:0' is 0"),
        ("1-5,3", "3 is in it twice; a job array has it once"), ("1,1", "1 is in it twice; a job array has it once"),
        ("1-9:3,2-8:2", "4 is in it twice; a job array has it once"), ("5-9,1-6",
        "5 is in it twice; a job array has it once"),
        ("1-5%2", "how many run at a time is told by --threads, not by % behind a range"),
        ("1-5%", "how many run at a time is told by --threads, not by % behind a range"),
        ("1-99999999999999999999", "99999999999999999999 is too large a number"),
        ("001-003", ("001 would be 1, as in a job array; for zeros in front, write the range without them, "
         "and $(printf %03d {}) in the template")),
    ],
)  # fmt: skip
def test_a_range_that_is_refused(text: str, said: str) -> None:
    assert is_range(text)
    with pytest.raises(FarmError) as refused:
        Range(text)
    assert str(refused.value) == f"{text}: {said}"


@pytest.mark.parametrize(
    "text", ["", "1-", "-1", "1--3", "a", "1-3:", "1,,2", "1 2", "1-3\n", "\u0661", "1-3:2:1", "tasks.txt"]
)
def test_what_is_no_range(text: str) -> None:
    assert not is_range(text)
    with pytest.raises(FarmError):
        Range(text)


def test_a_range_has_no_names() -> None:
    with pytest.raises(FarmError, match="a range has no first line that names columns: leave --header out"):
        Range("1-3").chunks(Each("x {}", header=True))


PART = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 9))


@given(st.lists(PART, min_size=1, max_size=4))
def test_a_number_is_there_once_or_the_range_is_refused(parts: list[tuple[int, int, int]]) -> None:
    text = ",".join(f"{begin}-{begin + more}:{step}" for begin, more, step in parts)
    expected = [number for begin, more, step in parts for number in range(begin, begin + more + 1, step)]
    if len(set(expected)) == len(expected):
        assert numbers(text) == expected
    else:
        with pytest.raises(FarmError, match="is in it twice"):
            Range(text)
