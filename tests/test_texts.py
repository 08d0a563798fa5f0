"""What others have written is shown as one line that does nothing, and as the same one wherever it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm import texts

HARMFUL = ["\x1b[2J\x1b]0;owned\x07", "\x9b31m", "\u202e abc", "a\0b\x7f\x85", "line\nline\r\u2028", "\udcff"]


@pytest.mark.parametrize("text", HARMFUL, ids=repr)
def test_what_does_something_to_a_terminal_is_escaped(text: str) -> None:
    assert texts.shown(text).isprintable()
    assert texts.shown(text.encode(errors="surrogateescape")).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"x" * 10, "x" * 10),
        (b"x" * 11, "x" * 7 + "..."),
        ("ü".encode() * 10, "ü" * 10),
        ("ü" * 11, "ü" * 7 + "..."),
        ("\U0001f600".encode() * 500, "\U0001f600" * 7 + "..."),
        (b"a\tb\x1b", "a b\\x1b"),
        (b"\xff" * 100, "\\xff\\xf..."),
        (b"", ""),
    ],
)
def test_what_is_long_is_cut(text: bytes | str, shown: str) -> None:
    assert texts.shown(text, 10) == shown


@given(st.binary(max_size=60), st.integers(4, 20))
def test_whatever_it_is_it_is_one_line_and_no_longer(text: bytes, most: int) -> None:
    line = texts.shown(text, most)
    assert len(line) <= most
    assert line.isprintable()
    assert texts.shown(line, most) == line, "to show it again changes nothing"


@given(st.lists(st.sampled_from([b"one", b" two ", b"mpifarm: hint", b"mpifarm: other", b"", b"\r", b"50 %\r60 %"])))
def test_line_by_line_and_all_at_once_the_last_line_is_the_same(lines: list[bytes]) -> None:
    last = b""
    for line in lines:
        last = texts.later(last, line)
    assert texts.last_line(b"\n".join(lines)) == texts.shown(last, texts.LONGEST_LINE)


def test_numbers_make_no_other_gist() -> None:
    assert texts.gist("no such file: in/318.dat") == texts.gist("no such file: in/7.dat") == "no such file: in/#.dat"
    assert texts.gist("no such dir: in/7.dat") != texts.gist("no such file: in/7.dat")
