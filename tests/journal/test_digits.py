"""Numbers that stand in text, many at a time: what `int` says of each, or that it is none."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.journal.digits import LONGEST, Text

DIGITS = st.text("0123456789", max_size=LONGEST + 2).map(str.encode)
ODD = st.binary(max_size=LONGEST + 2)


@given(st.lists(st.one_of(DIGITS, DIGITS, ODD), min_size=1))
def test_each_word_is_what_int_says_of_it_or_no_number(words: list[bytes]) -> None:
    ends = np.cumsum([len(word) for word in words])
    values, right = Text(b"".join(words)).numbers(ends - [len(word) for word in words], ends)
    are = [word.isdigit() and len(word) <= LONGEST for word in words]
    assert right.tolist() == are
    assert values.tolist() == [int(word) if is_one else 0 for word, is_one in zip(words, are, strict=True)]


def test_one_character_that_is_no_digit_is_noticed_in_every_place() -> None:
    for length in range(1, LONGEST + 1):
        for place in range(length):
            words = [bytes([*b"1" * place, other, *b"9" * (length - 1 - place)]) for other in range(256)]
            ends = np.arange(1, 257) * length
            _, right = Text(b"".join(words)).numbers(ends - length, ends)
            assert np.flatnonzero(right).tolist() == list(b"0123456789")
