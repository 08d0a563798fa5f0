"""A line without what is quoted: what is left is what a shell would look at."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.unquoted import COMMAND, unquoted


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("a b", "a b"),
        ("a 'b; c' d", "a _ d"),
        ('a "b; c" d', "a _ d"),
        ('a "it\'s; b" c', "a _ c"),
        ("a 'say \"x; y' z\"", 'a _ z"'),
        ("a\\;b \\' c", "a_b _ c"),
        ('a "b\\"; c" d', "a _ d"),
        ('a "x $(b c)" d', "a $(b c) d"),
        ('a "x `b c`" d', "a `b c` d"),
        ("a # b; c", "a "),
        ("a#b; c", "a#b; c"),
        ("# a", ""),
        ("'open; a", "'open; a"),
    ],
)
def test_what_is_quoted_is_one_plain_word(line: str, left: str) -> None:
    assert unquoted(line.encode()).decode() == left


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("c", 1), ("x c", 0), ("c; c", 2), ("x && c || c | c & c", 4), ("(c); { c; }", 2), ("$(c) `c`", 2),
        ("A=1 B=2 c", 1), ("if c; then c; elif c; then c; else c; fi", 5), ("while c; do c; done", 2), ("! c", 1),
        ("time c", 1), ("/c a.c c.d", 0), ("do-c c", 0), ("x then c", 0), ("if ! { c; }; then :; fi", 1),
        ("${c} ${x}c {c} [ a != c ]", 0),
    ],
)  # fmt: skip
def test_a_command_is_the_first_word_behind_what_begins_one(line: str, commands: int) -> None:
    assert len(re.findall(COMMAND + rb"c(?=[\s;&|)`]|$)", line.encode())) == commands


@given(st.text("ab'\"\\$()`#; \n", max_size=40))
def test_any_line_can_be_looked_at_and_what_has_no_quotes_stays(text: str) -> None:
    left = unquoted(text.encode())
    if not set(text) & set("'\"\\#"):
        assert left == text.encode()
