"""What stands in a list and in an edited copy of it, against a quadratic matching of their lines."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lists import longest

from mpifarm.tasks import edits, sides, tfin
from mpifarm.tasks.kept import Kept

LINES = st.lists(st.sampled_from([b"", b"a", b"b", b"cc", b"ccc" * 9]), max_size=40)
DISTINCT = st.lists(st.integers(0, 99).map(b"./run %d".__mod__), max_size=60, unique=True)

A = [b"./a %d" % number for number in range(100)]


def written(lines: Sequence[bytes]) -> bytes:
    return b"".join(b"> " + line + b"\n" for line in lines)


def compared(old: bytes, new: bytes, lines: int = edits.FIRST_LINES, chunk: int = tfin.CHUNK_BYTES, sure: int = 0) -> Kept:
    """Return what is kept, which is true; *lines*: of the first window."""
    descriptors = []
    for content in (old, new):
        descriptors.append(os.memfd_create("tfin"))
        os.write(descriptors[-1], content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edits, "FIRST_LINES", lines)
        patch.setattr(edits, "SURE_LINES", sure)
        patch.setattr(tfin, "CHUNK_BYTES", chunk)
        kept = edits.compare(descriptors[0], len(old), descriptors[1], len(new))
    for descriptor in descriptors:
        os.close(descriptor)
    check(kept.in_order(), old, new, in_order=True)
    check(kept, old, new, in_order=False)
    return kept


def check(kept: Kept, old: bytes, new: bytes, in_order: bool) -> None:
    """Raise AssertionError unless what is kept of *old* is in *new*, record by record, none of them twice."""
    behind_old = behind_new = 0
    taken: set[int] = set()
    for at_old, at_new, length, old_seq, new_seq, count in zip(*kept_columns(kept), strict=True):
        assert at_old >= behind_old and (at_new >= behind_new or not in_order)
        if in_order:
            assert at_old > behind_old or at_new > behind_new or not behind_old  # else it is no run of its own
        assert taken.isdisjoint(range(at_new, at_new + length))
        taken |= {*range(at_new, at_new + length)}
        records = old[at_old : at_old + length]
        assert records == new[at_new : at_new + length]
        assert records.count(b"\n") == count > 0
        assert records.endswith(b"\n")
        assert old[:at_old].count(b"\n") == old_seq - 1
        assert new[:at_new].count(b"\n") == new_seq - 1
        assert at_old == 0 or old[at_old - 1 : at_old] == b"\n"
        assert at_new == 0 or new[at_new - 1 : at_new] == b"\n"
        behind_old, behind_new = at_old + length, at_new + length


def kept_columns(kept: Kept) -> list[list[int]]:
    return [column.tolist() for column in (kept.old, kept.new, kept.length, kept.old_seq, kept.new_seq, kept.count)]


@given(LINES, LINES)
def test_in_one_window_as_many_are_kept_in_order_as_can_be(old: list[bytes], new: list[bytes]) -> None:
    assert compared(written(old), written(new)).in_order().count.sum() == longest(old, new)


@given(LINES, LINES, st.integers(1, 8), st.integers(1, 40))
def test_every_line_that_stands_in_both_is_kept_wherever_it_stands(
    old: list[bytes], new: list[bytes], lines: int, chunk: int
) -> None:
    kept = compared(written(old), written(new), lines, chunk)
    assert kept.count.sum() == sum((Counter(old) & Counter(new)).values())
    left = [line for seq, line in enumerate(old, start=1) if kept.moved_seqs(np.array([seq])) < 0]
    assert Counter(left) == Counter(old) - Counter(new)


@given(st.integers(1, 8))
def test_equal_lines_that_have_moved_are_matched_in_order(lines: int) -> None:
    """All of "b" moves past more of "a" than there are of it, and one more "b" is new."""
    kept = compared(written([b"b", b"b", *A[:5]]), written([*A[:5], b"b", b"b", b"b"]), lines)
    assert kept.moved_seqs(np.array([1, 2])).tolist() == [6, 7]
    assert kept.crosses.tolist() == [True, False]


@given(DISTINCT, DISTINCT, st.integers(1, 8), st.integers(1, 40))
def test_in_small_windows_too_if_no_line_is_repeated(old: list[bytes], new: list[bytes], lines: int, chunk: int) -> None:
    kept = compared(written(old), written(new), lines, chunk)
    assert kept.in_order().count.sum() == longest(old, new)


@given(st.data(), st.integers(1, 8), st.integers(1, 40))
def test_so_it_is_if_blocks_were_moved_removed_and_added(data: st.DataObject, lines: int, chunk: int) -> None:
    old = [b"./run %d" % number for number in range(60)]
    new = list(old)
    for _ in range(data.draw(st.integers(0, 6))):
        start, size, to = (data.draw(st.integers(0, most)) for most in (len(new), 20, len(new)))
        block, new[start : start + size] = new[start : start + size], []
        if data.draw(st.booleans()):
            block = [b"./new %d" % number for number in range(data.draw(st.integers(0, 20)))]
        new[to:to] = [line for line in block if line not in new]
    kept = compared(written(old), written(new), lines, chunk)
    assert kept.in_order().count.sum() == longest(old, new)


@given(LINES, LINES, st.integers(1, 8), st.integers(1, 40))
def test_in_small_windows_with_repeated_lines_what_is_kept_is_true(
    old: list[bytes], new: list[bytes], lines: int, chunk: int
) -> None:
    compared(written(old), written(new), lines, chunk)


@given(LINES, LINES, st.integers(1, 8))
def test_lines_whose_hashes_are_equal_are_told_apart(old: list[bytes], new: list[bytes], lines: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sides, "key", len)
        compared(written(old), written(new), lines)
        patch.setattr(sides, "key", lambda _: 7)
        compared(written(old), written(new), lines)


def test_what_is_behind_the_last_newline_is_no_record() -> None:
    assert compared(b"> a\n> b", b"> a\n> b\n").length.tolist() == [4]
    assert compared(b"> x\n> b", b"> a\n> b").length.tolist() == []


@pytest.mark.parametrize(
    ("old", "new", "runs"),
    [
        ([], [], []),
        ([], A, []),
        (A, [], []),
        (A, A, [(1, 1, 100)]),
        (A, [line + b" -x" for line in A], []),
        ([b"same"] * 100, [b"same"] * 93, [(1, 1, 93)]),
        ([b"same"] * 93, [b"same"] * 100, [(1, 1, 93)]),
        (A, A[:50] + [b"./new %d" % number for number in range(300)] + A[50:], [(1, 1, 50), (51, 351, 50)]),
        (A, A[10:90], [(11, 1, 80)]),
        (A, A[:20] + A[30:90] + A[20:30] + A[90:], [(1, 1, 20), (31, 21, 60), (91, 91, 10)]),
        (A, A[60:] + A[:60], [(1, 41, 60)]),
    ],
)
@pytest.mark.parametrize("lines", [4, 1000])
def test_cases(old: list[bytes], new: list[bytes], runs: list[tuple[int, int, int]], lines: int) -> None:
    kept = compared(written(old), written(new), lines, 64).in_order()
    assert list(zip(kept.old_seq.tolist(), kept.new_seq.tolist(), kept.count.tolist(), strict=True)) == runs


def test_a_match_is_not_sure_as_long_as_a_longer_one_may_pass_by() -> None:
    block, few = A[:6], A[6:8]
    old, new = [*few, *A[20:26], *block], [*block, *few, *A[30:36]]
    assert compared(written(old), written(new), 8, 1).in_order().old_seq.tolist() == [9]


def test_repeated_lines_make_no_match_sure() -> None:
    old, new = (
        [line for name in range(10) for line in (b"%s %d" % (kind, name), b"r", b"r", b"r")] for kind in (b"a", b"n")
    )
    assert compared(written(old), written([*new, *old]), 8, 1).count.sum() == len(old)


def test_where_records_are_now() -> None:
    kept = compared(written([b"a", b"gone", b"c", b"d"]), written([b"new", b"a", b"c", b"d2"]))
    assert kept.moved(np.array([11, 0, 4, 15])).tolist() == [10, 6, -1, -1]
    assert kept.moved_seqs(np.array([3, 1, 2, 4, 5, 0])).tolist() == [3, 2, -1, -1, -1, -1]
    assert compared(b"", b"").moved(np.array([0, 5])).tolist() == [-1, -1]


def test_somebody_is_called_between_reads(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"> a\n" * (tfin.CHUNK_BYTES))
    called = []
    with path.open("rb") as file:
        edits.compare(file.fileno(), path.stat().st_size, file.fileno(), path.stat().st_size, lambda: called.append(1))
    assert len(called) >= 8
