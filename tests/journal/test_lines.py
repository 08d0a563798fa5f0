"""Lines in bulk are the same as one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.journal import lines
from mpifarm.journal.lines import Attempts
from mpifarm.ranks import wire

NUMBERS = st.integers(0, 10**6) | st.integers(0, 2**62)
SECONDS = st.builds(lambda us: us / 1e6, st.integers(0, 2 * 10**12).map(lambda us: us + (us % 1000 == 500)))  # no ties
COMMANDS = st.binary(max_size=6).map(lambda text: text.replace(b"\n", b" "))
ROW = st.tuples(NUMBERS, st.integers(1, 9), st.integers(1, 4096), SECONDS, SECONDS, SECONDS, SECONDS, NUMBERS, NUMBERS)
ENDS = st.lists(st.tuples(ROW, NUMBERS, NUMBERS, COMMANDS), min_size=1)
BATCHES = st.lists(st.tuples(st.sampled_from(["n1", "nid000042", "\u00e9"]), ENDS), min_size=1, max_size=4)
FIELDS = ["offset", "attempt", "slot", "start", "seconds", "user_s", "system_s", "rss_kib", "out_total"]


Ends = Sequence[tuple[tuple[float, ...], int, int, bytes]]


def batch(node: str, attempts: Ends) -> Attempts:
    rows = np.zeros(len(attempts), dtype=wire.ENDED)
    for number, (values, *_) in enumerate(attempts):
        for name, value in zip(FIELDS, values, strict=True):
            rows[name][number] = value
    _, lengths, seqs, commands = zip(*attempts, strict=True)
    return Attempts(node, rows, lengths, seqs, commands)


@given(BATCHES, st.data())
def test_lines_in_bulk_are_those_made_one_by_one(told: list[tuple[str, Ends]], data: st.DataObject) -> None:
    batches = [batch(node, attempts) for node, attempts in told]
    rows = np.concatenate([each.ended for each in batches])
    added = np.array(data.draw(st.lists(NUMBERS, min_size=rows.size, max_size=rows.size)), dtype=np.int64)
    in_bulk, one_by_one = lines._in_bulk(batches, rows, added), lines._one_by_one(batches, rows, added)
    assert in_bulk == one_by_one
    assert [part.count(b"\n") for part in in_bulk] == [rows.size, rows.size]


@pytest.mark.parametrize("count", [1, 63, 64, 1000])
def test_any_number_of_lines_is_made(count: int) -> None:
    told = batch("n", [((offset, 1, 1, 1.7e9, 0.1, 0.0, 0.0, 9, 0), 12, 3, b"true") for offset in range(count)])
    progress, joblog = lines.of_successes([told], lines.rows_of([told]), np.zeros(count, dtype=np.int64))
    assert progress.splitlines() == [b"%d n-1 0.100 0 1700000000 12" % offset for offset in range(count)]
    assert [line.split(b"\t")[-2:] for line in joblog.splitlines()] == [
        [b"%d" % offset, b"true"] for offset in range(count)
    ]


def test_a_clock_that_was_set_back_spoils_nothing() -> None:
    told = batch("n", [((offset, 1, 1, -5.0, 0.1, 0.0, 0.0, 9, 0), 12, 3, b"true") for offset in range(100)])
    progress, _ = lines.of_successes([told], lines.rows_of([told]), np.zeros(100, dtype=np.int64))
    assert progress.splitlines()[7] == b"7 n-1 0.100 0 -4 12"
