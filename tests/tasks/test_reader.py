"""Records read by their offsets, near each other or far apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.tasks import reader
from mpifarm.tasks.reader import Reader

FAR = 3 * reader._APART_BYTES
PLACES = st.integers(0, 50) | st.integers(FAR, FAR + 50)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@given(
    st.lists(st.lists(st.tuples(PLACES, st.integers(1, 20)), min_size=1, max_size=4), max_size=4), st.sampled_from([0, 30])
)
def test_whatever_is_asked_for_comes_back_as_it_stands_in_the_file(asked: list[list[tuple[int, int]]], ahead: int) -> None:
    content = bytes(range(256)) * (FAR // 256) + bytes(range(40))  # and some lie beyond the end
    path = Path("file")
    path.write_bytes(content)
    with path.open("rb") as file:
        read = Reader(file.fileno(), ahead)
        for pairs in asked:
            offsets, lengths = zip(*pairs, strict=True)
            assert read.records(offsets, lengths) == [content[at : at + length] for at, length in pairs]
