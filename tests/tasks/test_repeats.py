"""Equal lines, and lines that write into one file."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.tasks import check, repeats
from mpifarm.tasks.repeats import Repeats, written


@pytest.mark.parametrize(
    ("line", "files"),
    [
        (b"./a > out", {b"out"}),
        (b"./a >out 2>err", {b"out", b"err"}),
        (b"./a >./out 2>&1", {b"out"}),
        (b"./a >| out", {b"out"}),
        (b"./a &> out", {b"out"}),
        (b"(./a; ./b) > out; ./c > d//e", {b"out", b"d/e"}),
        (b"./a >> out", set()),
        (b"./a > /dev/null 2> /dev/null", set()),
        (b"./a > out.$MPIFARM_SEQ", set()),
        (b"./a > out.$(date).txt", set()),
        (b"./a > 'my out'", set()),
        (b"echo 'a > out'", set()),
        (b"echo ' > a ' > out", {b"out"}),
        (b'echo "a > $out > b"', set()),
        (b"echo a \\> out", set()),
        (b"./a < out", set()),
        (b"cd x && ./a > out", set()),
        (b"./a # > out", set()),
        (b"echo $((a > 2))", set()),
        (b"./cd-map > out", {b"out"}),
    ],
)
def test_the_files_that_a_line_opens_anew(line: bytes, files: set[bytes]) -> None:
    assert written(line, dash=False) == files


def seen(lines: list[bytes]) -> Repeats:
    found = Repeats(dash=True)
    for first in range(0, len(lines), 2):  # two at a time
        part = lines[first : first + 2]
        found.see(range(first + 1, first + 1 + len(part)), part, [check.outlines_of(line) for line in part])
    return found


WORDS = [
    *(b"out", b"o1/a.2", b"./o3", b"/dev/null", b"a//b4", b"> out5", b">", b"2>&1", b"2> e6", b"'x > 7'", b'"y $z8"'),
    *(b"cd", b"cd9", b"&&", b"|", b"$(0)", b"\\>", b"<<1", b"x=2", b"#", b"'"),
]


@given(
    st.lists(
        st.sampled_from([b"a", b"b", b"c > o", b"d > o", b"e > p > o", b"f >> o", b"g > o1", b"g > o2", b"'>' > ./o1"])
    )
)
def test_as_a_dictionary_would_have_it(lines: list[bytes]) -> None:
    found = seen(lines)
    first: dict[bytes, int] = {}
    equal = [(number, first[line]) for number, line in enumerate(lines, 1) if first.setdefault(line, number) != number]
    assert found.equal(10**6) == (len(equal), equal)
    assert found.equal(2) == (len(equal), equal[:2])
    owners: dict[bytes, int] = {}
    shared = set()
    for number, line in enumerate(lines, 1):
        for target in written(line, True):
            owner = owners.setdefault(target, number)
            if owner != number and lines[owner - 1] != line:
                shared.add(number)
    count, pairs = found.one_file(10**6)
    assert (count, {number for number, _ in pairs}) == (len(shared), shared)


@given(st.lists(st.sampled_from(WORDS), max_size=6), st.lists(st.sampled_from(WORDS), max_size=6), st.randoms())
def test_in_lines_of_one_outline_the_files_stand_in_the_same_places(
    head: list[bytes], tail: list[bytes], draw: random.Random
) -> None:
    line = b" ".join((*head, b">", *tail))
    other = re.sub(rb"\d", lambda _: b"%d" % draw.randrange(10), line)
    assert check.outlines_of(other) == check.outlines_of(line)
    places = repeats._places(line)
    assert repeats._places(other) == places
    if places is not None:
        assert {other[begin:end] for begin, end in places} == written(other, True)


def test_beyond_what_is_remembered_nothing_is_compared_and_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "MOST", 3)
    assert seen([b"a", b"b", b"a"]).complete
    found = seen([b"a", b"b", b"c", b"a"])
    assert found.equal(9) == (0, [])
    assert not found.complete
