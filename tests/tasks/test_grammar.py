"""The commands of a line, and what of one it leaves unfinished: examples, and any line against dash and bash."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shells import is_valid

from mpifarm.tasks.grammar import Commands, parse
from mpifarm.tasks.quoting import read

BOTH = pytest.mark.parametrize("dash", [True, False])
WHOLE = [
    *("for i in a b; do echo $i; done", "if a; then b; elif c; then d; else e; fi", "while a; do b; done < f", "{ a; b; }"),
    *(
        "until a; do b; done | c",
        "(a; b) && c",
        "case x in a) b;; c|d) e;; esac",
        "f() { a; }; f",
        "! a",
        "echo if then do",
    ),
    *("for x do a; done", "if (a) then (b) fi", "a | { b; } | while read x; do c; done", "if a; then b; fi > x 2>&1 && c"),
    *("while :; do if a; then break; fi; done", "for f in *; do case $f in done) b;; esac; done", "if a & then b & fi"),
    *("x=1 a", "$(a) do", "a &", "a;", "{ (a) }", "for do in done; do a; done", "a 'do' \"done\" \\fi > then", "echo { }"),
]
OF_BASH = [
    *(
        "[[ a == b ]] && c || d",
        "if [[ a && b ]]; then c; fi",
        "time for i in a; do b; done",
        "a=(if then do)",
        "a+=(fi) b",
    ),
    *("for ((i=0;i<3;i++)); do a; done", "function f { a; }; f", "select x in a b; do c; done", "for i in a; { b; }"),
]
PIECES = [
    *("echo", "a", ";", "; ", "&", "&&", "|", "||", "case x in", "a)", " esac", ";;", "if a", "; then ", "then ", "else "),
    *("elif a", "fi", "do ", "; do ", "done", "; done", "for i in a b", "for x ", "for ((i=0;;)) ", "while a", "until "),
    *("{ ", "{", "}", "; }", "(", ")", "f()", "()", "! ", "[[ a ]]", "x=1 ", "> f ", "2>&1", "< f", "'q'", '"$(a)"', "#"),
    *("time ", "select ", "function f", "coproc ", "a=(b c)", "$((1))", "in ", "\t", "&>f", "|&", "<(a)", *WHOLE, *OF_BASH),
]


def parsed(text: bytes, dash: bool = True) -> Commands:
    return parse(read(text, dash))


@pytest.mark.parametrize(
    ("text", "unfinished"),
    [
        (b"for i in 1 2; do", b"for"),
        (b"do", b"do"),
        (b"  done", b"done"),
        (b"done < f", b"done"),
        (b"then", b"then"),
        (b"if [ -e x ]; then", b"if"),
        (b"else", b"else"),
        (b"elif a; then", b"elif"),
        (b"fi", b"fi"),
        (b"while :", b"while"),
        (b"until a; do b", b"until"),
        (b"case $1 in", b"case"),
        (b"a) b ;;", b";;"),
        (b"esac", b"esac"),
        (b"{", b"{"),
        (b"f() {", b"{"),
        (b"}", b"}"),
        (b"a; done", b"done"),
        (b"./a &&", b"&&"),
        (b"a |", b"|"),
        (b"a || # b", b"||"),
        (b"&& b", b"&&"),
        (b"| b", b"|"),
        (b"if [[ a == b ]]; then", b"if"),
        (b"for ((i=0; i<3; i++)); do", b"for"),
    ],
)
def test_what_wants_more_than_its_line(text: bytes, unfinished: bytes) -> None:
    assert parsed(text).unfinished == unfinished


@pytest.mark.parametrize("text", [*WHOLE, *OF_BASH])
def test_what_is_whole_wants_nothing(text: str) -> None:
    assert is_valid(text.encode(), dash=False)
    assert parsed(text.encode(), dash=False).unfinished == b""


def test_the_commands_of_a_line() -> None:
    found = parsed(b"X=1 ./a 'b c' > out.1 2>&1 | tee $(d e) >> /dev/null; wait & # f")
    assert [command.words for command in found.simple] == [[b"X=1", b"./a", b"'b c'"], [b"tee", b"$(d e)"], [b"wait"]]
    assert [command.targets for command in found.simple] == [[b"out.1", b"1"], [b"/dev/null"], []]
    assert (found.compound, found.last, found.unfinished) == (False, b"&", b"")


@pytest.mark.parametrize("text", [b"(a)", b"{ a; }", b"if a; then b; fi", b"f() { a; }"])
def test_what_keywords_or_parentheses_hold_together_is_compound(text: bytes) -> None:
    assert parsed(text).compound


@BOTH
@given(text=st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map(" ".join).map(str.encode))
@settings(max_examples=3 * settings().max_examples, deadline=None)
def test_nothing_is_called_unfinished_that_the_shell_finds_whole(text: bytes, dash: bool) -> None:
    line = read(text, dash)
    if line.sure and not line.open and parse(line).unfinished:
        assert not is_valid(text, dash)
