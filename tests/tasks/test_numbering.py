"""What a task is called: its seq, and the line of the list that its owner edits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lists import CONTENTS, lines_of, scanned
from numpy.typing import NDArray

from mpifarm.tasks import tfin
from mpifarm.tasks.scan import offsets_of, records_at
from mpifarm.tasks.tasklist import Tasklist


@pytest.fixture(autouse=True)
def here(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("numbering"))


@given(content=CONTENTS, chunk_bytes=st.sampled_from([1, 3, 10, 1000]), data=st.data())
def test_every_record_has_the_line_that_the_model_has(content: bytes, chunk_bytes: int, data: st.DataObject) -> None:
    made, _ = scanned(content, chunk_bytes)
    expected = dict(enumerate((number for number, _ in lines_of(content)), start=1))
    asked = data.draw(st.permutations(range(-1, len(expected) + 3)))
    assert {seq: made.numbering.line(seq) for seq in asked} == {seq: expected.get(seq, 0) for seq in asked}


def test_a_name_has_both_numbers_whatever_the_list_is_called() -> None:
    made, _ = scanned(b"# a comment\n\necho 1\n")
    assert made.numbering.name(2) == "task 2 (tasks.txt:3)"
    Path("a\x1b\udcff\n").write_bytes(b"true\n")
    odd = Tasklist(Path("a\x1b\udcff\n"))
    assert odd.numbering.name(1) == r"task 1 (a\x1b\udcff\n)"


def test_a_list_that_was_edited_in_place_gives_no_wrong_line() -> None:
    made, _ = scanned(b"echo 1\necho 2\necho 3\n")
    with Path("tasks.txt").open("r+b") as file:
        file.write(b"# cho 1")
    assert made.numbering.name(3) == "task 3 (tasks.txt)"


def test_what_was_appended_meanwhile_changes_nothing() -> None:
    made, _ = scanned(b"echo 1\n#\necho 2\n")
    with Path("tasks.txt").open("ab") as file:
        file.write(b"echo 3\n")
    assert [made.numbering.line(seq) for seq in (1, 2, 3)] == [1, 3, 0]


def test_a_list_of_many_chunks_is_read_a_chunk_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"".join(b"# %d\necho %d\n" % (number, number) for number in range(20_000))
    made, scan = scanned(content)
    assert scan.size > 2 * tfin.CHUNK_BYTES
    reads: list[int] = []

    def count(lines: bytes) -> NDArray[np.int64]:
        reads.append(len(lines))
        return lines_with_records(lines)

    lines_with_records = tfin.lines_with_records
    monkeypatch.setattr(tfin, "lines_with_records", count)
    assert [made.numbering.line(seq) for seq in (1, 2, 3, 20_000, 19_999, 1)] == [2, 4, 6, 40_000, 39_998, 2]
    assert len(reads) == 2
    assert max(reads) < 2 * tfin.CHUNK_BYTES


@given(content=CONTENTS, chunk_bytes=st.sampled_from([1, 10, 1000]))
def test_the_offset_of_a_seq_is_that_of_its_record(content: bytes, chunk_bytes: int) -> None:
    _made, scan = scanned(content, chunk_bytes)
    count = len(lines_of(content))
    offsets = offsets_of(scan, np.arange(-1, count + 3))
    assert offsets[:2].tolist() == [-1, -1]
    assert offsets[2 + count :].tolist() == [-1] * 2
    found, _ = records_at(scan, offsets[2 : 2 + count])
    assert found["seq"].tolist() == list(range(1, count + 1))
