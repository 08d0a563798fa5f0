"""What is made chunk by chunk is read as a file, from any place, and without making it more often than is told."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.tasks import expanded

CHUNKS = st.lists(st.binary(max_size=12), max_size=12)
STEPS = st.lists(
    st.tuples(st.sampled_from(("read", "readline", "set", "current", "end", "all")), st.integers(-40, 40)), max_size=30
)


@given(CHUNKS, STEPS, st.integers(1, 40))
def test_it_reads_as_a_file_that_has_the_same_bytes(chunks: list[bytes], steps: list[tuple[str, int]], hand: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expanded, "AT_HAND_BYTES", hand)
        patch.setattr(expanded, "_BUFFER_BYTES", 8)
        made = expanded.buffered(lambda: iter(chunks))
        model = io.BytesIO(b"".join(chunks))
        for what, number in steps:
            if what == "read":
                assert made.read(abs(number)) == model.read(abs(number))
            elif what == "readline":
                assert made.readline() == model.readline()
            elif what == "all":
                assert made.read() == model.read()
            else:
                whence = {"set": os.SEEK_SET, "current": os.SEEK_CUR, "end": os.SEEK_END}[what]
                size = len(model.getvalue())
                place = max(0, {"set": 0, "current": model.tell(), "end": size}[what] + number)
                assert made.seek(place - {"set": 0, "current": made.tell(), "end": size}[what], whence) == model.seek(place)
            assert made.tell() == model.tell()


def test_the_end_of_what_was_read_is_at_hand_and_its_start_is_made_anew() -> None:
    passes: list[int] = []

    def make() -> Iterator[bytes]:
        passes.append(0)
        for _ in range(100):
            passes[-1] += 1
            yield b"x" * (expanded.AT_HAND_BYTES // 10)

    made = expanded.buffered(make)
    size = sum(map(len, iter(lambda: made.read(64 * 1024), b"")))
    assert passes[-1] == 100
    passes.clear()
    assert made.seek(0, os.SEEK_END) == size
    made.seek(size - expanded.AT_HAND_BYTES)
    assert len(made.read()) == expanded.AT_HAND_BYTES
    assert not passes  # no second pass
    made.seek(0)
    made.read(1)
    assert passes == [1]
    assert len(made.read()) == size - 1
    assert passes == [100]
