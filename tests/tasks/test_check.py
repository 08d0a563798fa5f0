"""What in a list cannot be meant: line by line, and what the two looks at a list find where."""

from __future__ import annotations

import os
import re
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpifarm.tasks import check
from mpifarm.tasks.check import Kind, Watch


def judged(line: bytes, dash: bool = True) -> dict[Kind, str]:
    return {kind: found.said for kind, found in check.look([(0, line)], dash, ()).items()}


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"wait", "second list"),
        (b" wait; # for all", "second list"),
        (b"wait $!", "second list"),
        (b"echo a \\", "backslash"),
        (b"echo a \\\r", "backslash"),
        (b"echo 'a", "quote"),
        (b'echo "a', "quote"),
        (b"x=$(a", "$("),
        (b"cat <<EOF", "here-document"),
        (b"for i in 1 2; do", "its for"),
        (b"done", "its done"),
        (b"do", "its do"),
        (b"if a; then", "its if"),
        (b"then", "its then"),
        (b"else", "its else"),
        (b"fi", "its fi"),
        (b"while read x; do", "its while"),
        (b"until a", "its until"),
        (b"{", "its {"),
        (b"}", "its }"),
        (b"case $x in", "its case"),
        (b"esac", "its esac"),
        (b"./a |", "its |"),
        (b"&& b", "its &&"),
        (b"\xef\xbb\xbfwait", "second list"),
        (b"a) b;;", "its ;;"),
        (b"(a", "a ( is open"),
        (b"\twait\t", "second list"),
    ],
)
@pytest.mark.parametrize("dash", [True, False])
def test_a_line_that_cannot_be_a_task(line: bytes, word: str, dash: bool) -> None:
    found = judged(line, dash)
    assert list(found) == [Kind.NO_TASK]
    assert word in found[Kind.NO_TASK]


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"cd sub",
            b"export X=5",
            b"X=5",
            b"X=5 Y='a b'",
            b"source f",
            b". f",
            b"module load x",
            b"conda activate z; cd a",
        ),
        *(
            b"cd sub || exit 1",
            b"ulimit -s unlimited",
            b"set -e",
            b"ml gcc > /dev/null 2>&1",
            b"unset A # b",
            b"cd",
            b"umask 022;",
        ),
    ],
)
def test_a_line_that_changes_its_own_shell_alone(line: bytes) -> None:
    assert list(judged(line, dash=False)) == [Kind.ALONE]


@pytest.mark.parametrize("line", [b"./a &", b"nohup ./a > out 2>&1 &", b"./a & ./b & # c", b"./a&"])
def test_a_line_that_goes_into_the_background(line: bytes) -> None:
    assert list(judged(line, dash=False)) == [Kind.BACKGROUND]


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"",
            b"  ",
            b"# wait",
            b" # for",
            b"./a; wait",
            b"./a & ./b & wait",
            b"cd sub && ./a",
            b"X=5 ./a",
            b"X=5; ./a $X",
        ),
        *(
            b"X=$(./a > out)",
            b"conda run x",
            b"set > env",
            b"export",
            b"module list > mods",
            b"echo wait",
            b"echo 'for' do done",
        ),
        *(
            b"for i in 1 2; do echo $i; done",
            b"(cd a; ./b)",
            b"if [ -e a ]; then ./b; fi",
            b"true",
            b"exit 3",
            b"case a in a) b;; esac",
        ),
        *(
            b"./a \\\\",
            b"./a 'b\\'",
            b"./a <<< b",
            b"awk '{print $1}' f | sort -k1,1 > g",
            b'./fit --x=0.5 "$HOME/in/1" 2>&1',
            b"./wait",
        ),
        *(b"waitfor x", b'./a "it\'s"', b"./a | tee b", b"sleep 1; ./x &> out"),
    ],
)
def test_a_line_that_is_a_task(line: bytes) -> None:
    assert judged(line, dash=False) == {}


def test_what_only_bash_knows_is_remarked_upon_where_the_shell_is_dash() -> None:
    assert list(judged(b"./a &> out", dash=True)) == [Kind.BASH]
    assert "& >" in judged(b"./a &> out", dash=True)[Kind.BASH]
    assert "--shell /bin/bash" in judged(b"echo {1..3}", dash=True)[Kind.BASH]
    assert list(judged(b"source a", dash=True)) == [Kind.ALONE, Kind.BASH]


def test_words_of_other_farms_are_refused() -> None:
    assert list(judged(b"./fit $LAUNCHER_JID {}")) == [Kind.FOREIGN]
    assert list(judged(b"./fit '$LAUNCHER_JID {}'")) == []


def test_the_first_line_of_each_kind_is_named_and_the_others_are_counted() -> None:
    parts = [(0, b"./a\ncd b\nwait\ncd 2\n"), (1000, b"./c\r\nwait\nfi\n./x &\n")]
    found = check.look(parts, False, ())
    assert {kind: (what.at, what.count) for kind, what in found.items()} == {
        Kind.ALONE: (4, 2),
        Kind.NO_TASK: (9, 3),
        Kind.BACKGROUND: (1013, 1),
    }


def test_of_a_task_that_spans_lines_the_lines_behind_are_no_other_faults() -> None:
    lines = b"./a\nfor i in 1 2; do\n./fit $i\ndone\n./b\necho 'a\nb'\necho \\\n"
    (what,) = check.look([(0, lines)], True, ()).values()
    assert (what.at, what.more, what.count) == (4, 2, 3)


def test_what_else_is_odd_in_the_lines_of_a_task_that_spans_lines_is_told() -> None:
    """Since --anyway may run them one by one."""
    found = check.look([(0, b"echo 'a\n./fit {}\ncd b\necho c'\n")], True, ())
    assert {kind: (what.at, what.more, what.count) for kind, what in found.items()} == {
        Kind.NO_TASK: (0, 3, 1),
        Kind.FOREIGN: (8, 0, 1),
        Kind.ALONE: (17, 0, 1),
    }


def test_only_so_many_ends_are_looked_for() -> None:
    many = check.SEARCHES + 3
    (what,) = check.look([(0, b"echo 'a\nb'\n" * many)], True, ()).values()
    assert what.count == check.SEARCHES + 2 * 3


PIECES = [
    *(
        "./fit",
        "a",
        "17",
        "x=1",
        "x=$(a)",
        " ",
        " ",
        " ",
        "\t",
        "'a b'",
        '"$x/b"',
        '"',
        "'",
        "$HOME",
        "$PYL_ID",
        "$RANDOM",
        "wait",
    ),
    *(
        "&&",
        "||",
        "|",
        ";",
        "&",
        ">",
        ">>",
        "2>&1",
        "<",
        "<<",
        "<(",
        "for",
        "do",
        "done",
        "cd",
        "export",
        "source",
        ".",
        "[[",
        "]]",
    ),
    *(
        "==",
        "echo -e",
        "echo",
        "{}",
        "{1..3}",
        "{",
        "}",
        "(",
        ")",
        "#",
        "\\",
        "`",
        "$(",
        "=",
        "*",
        "~",
        "-",
        "/x/y.1",
        "!",
        "\r",
        "if",
    ),
    *("conda activate", "ml", "$'", "[", "test", "declare", "time", "\xef\xbb\xbf"),
]
LINES = st.lists(st.sampled_from(PIECES), max_size=8).map("".join).map(os.fsencode)


@given(line=LINES, dash=st.booleans())
@settings(max_examples=10 * settings().max_examples, deadline=None)
def test_the_short_way_overlooks_nothing(line: bytes, dash: bool) -> None:
    if check.is_tame(line):
        assert list(check._judge(line, dash, ())) == []


def test_no_line_takes_for_ever() -> None:
    """A pattern that can match in many ways tries them all before it fails."""

    def fail(*_: object) -> None:
        pytest.fail("a line is read for ever")

    starts = (
        b"{",
        b"{1..",
        b"1",
        b"$HQ_X ",
        b"[[ ",
        b"[ ",
        b'"$HOME$HOME',
        b"a1=",
        b"; [ a",
        b"f(",
        b"x,",
        b"case ",
        b"'a' ",
    )
    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(60)
    try:
        for piece in (*(piece.encode() for piece in PIECES), *starts):
            many = piece * (5000 // len(piece))
            check.look([(0, many), (0, b"a " + many + b"={")], True, ())
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@given(lines=st.lists(LINES, max_size=8), dash=st.booleans())
@settings(max_examples=3 * settings().max_examples, deadline=None)
def test_a_line_is_judged_whatever_stands_before_it(lines: list[bytes], dash: bool) -> None:
    expected: dict[Kind, int] = {}
    for line in lines:
        for kind in judged(line, dash):
            expected[kind] = expected.get(kind, 0) + 1
    found = check.look([(0, b"\n".join(lines))], dash, ())
    counted = {kind: what.count for kind, what in found.items()}
    spanning = counted.pop(Kind.NO_TASK, 0)
    assert bool(spanning) == bool(expected.get(Kind.NO_TASK))
    assert spanning <= expected.pop(Kind.NO_TASK, 0)  # lines that a task before goes on in are not told once more
    assert counted == expected


# the encoding


@pytest.mark.parametrize(
    ("text", "encoding", "named"),
    [
        ("echo 1\n", "utf-16", "UTF-16"),
        ("echo 1\n", "utf-16-le", "UTF-16LE"),
        ("echo 1\n", "utf-16-be", "UTF-16BE"),
        ("echo é\n", "utf-32", "UTF-32"),
        ("a", "utf-16", "UTF-16"),
        ("echo é\n", "utf-8", None),
        ("echo é\n", "latin-1", None),
        ("echo 1\n", "utf-8-sig", None),
        ("", "utf-8", None),
        ("a", "utf-8", None),
        ("a\0", "utf-8", None),
        ("a\0bc", "utf-8", None),
        ("ÿþ 1\n", "latin-1", None),
    ],
)
def test_an_encoding_that_no_shell_reads_is_named(text: str, encoding: str, named: str | None) -> None:
    assert check.encoding(text.encode(encoding)[:256]) == named


# the whole list


def watched(*chunks: bytes) -> Watch:
    watch = Watch(dash=True)
    number = 1
    for chunk in chunks:
        watch.see(chunk, number, tasks=number - 1)
        number += chunk.count(b"\n")
    return watch


def test_a_directive_is_found_in_any_chunk_and_the_first_one_counts() -> None:
    watch = watched(b"echo 1\necho '#'\n", b"# a\n./a\n./b #HQ x\n#DISBATCH BARRIER\n", b"#HQ y\n")
    assert watch.directive is not None
    assert watch.directive.number == 5
    assert watch.directive.said.startswith('"#HQ x" is HyperQueue\'s')


@pytest.mark.parametrize(
    ("chunks", "at_head", "directive"),
    [
        ([b"#!/bin/bash\n#SBATCH -n 4\n\n  # a\n#SBATCH -t 1\necho 1\n"], 2, None),
        ([b"\xef\xbb\xbf\n#SBATCH -n 4\necho 1\n"], 2, None),
        ([b"#SBATCH -n 4\necho 1\n#SBATCH -t 1\n"], 1, 3),
        ([b"echo 1\n", b"#SBATCH -t 1\n"], None, 2),
        ([b"#SBATCH -n 4\n./a #SBATCH -t 1\n"], 1, 2),
        ([b"\xef\xbb\xbfecho 1\n#SBATCH -n 4\n"], None, 2),
        ([b"#SBATCH -n 4\n#HQ x\n"], 1, 2),
    ],
)
def test_what_is_for_sbatch_does_no_harm_at_the_head_of_a_list(
    chunks: list[bytes], at_head: int | None, directive: int | None
) -> None:
    watch = watched(*chunks)
    assert (watch.directive and watch.directive.number) == directive
    assert (watch.at_head and watch.at_head.number) == at_head


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        (b"echo one\recho two\recho three\r", 1),
        (b"# a\recho two", 1),
        (b"echo 1\necho 2\recho 3\n", 2),
        (b"a\r\nb\r\n", None),
        (b"a\r\r\nb\r", None),
        (b"a\r", None),
        (b"a\r\nb\rc\r\n", 2),
    ],
)
def test_a_carriage_return_within_a_line_is_found(lines: bytes, number: int | None) -> None:
    watch = watched(lines)
    assert (watch.stray_return and watch.stray_return.number) == number


def test_a_byte_order_mark_is_found_where_a_line_begins() -> None:
    assert watched(b"\xef\xbb\xbfa\n").byte_order_mark == 1
    assert watched(b"a\n", b"b\n\xef\xbb\xbfc\n").byte_order_mark == 3
    assert watched(b"a \xef\xbb\xbfb\n\xef\xbc\xa1\n").byte_order_mark is None


def test_a_line_is_shown_printable_and_short() -> None:
    assert check.shown(b" a\x1b[2J\xff\tb ") == '"a?[2J\ufffd?b"'
    assert check.shown(b"x" * 100) == '"' + "x" * 57 + '..."'


@pytest.mark.parametrize(
    ("line", "tells"),
    [
        (b"./fit 17 --x 2.5 > out/3.log 2>&1", True),
        (b"./fit", True),
        (b"echo $1", False),
        (b"echo {1} 2", False),
        (b"./a1=3", False),
        (b"echo '1' #2", False),
    ],
)
def test_an_outline_tells_of_a_line_if_all_that_have_it_are_of_one_shape(line: bytes, tells: bool) -> None:
    others = [re.sub(rb"\d", b"%d" % digit, line) for digit in range(10)]
    assert {check.outlines_of(other) for other in others} == {check.outlines_of(line)}
    assert (len({check.shape_of(other) for other in others}) == 1) == tells
    assert [check.outline_tells(other) for other in others] == [tells] * 10
