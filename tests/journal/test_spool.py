"""A long output, part by part, in memory and in a file."""

from __future__ import annotations

import os

import pytest

from mpifarm.journal.spool import SPOOL_BYTES, Spool


@pytest.mark.parametrize("size", [1, SPOOL_BYTES, SPOOL_BYTES + 1, 3 * 2**20 + 5])
@pytest.mark.parametrize("part_bytes", [SPOOL_BYTES // 3, SPOOL_BYTES, 2**21])
def test_a_spool_gives_back_what_it_was_given(size: int, part_bytes: int) -> None:
    content = os.urandom(size)
    spool = Spool()
    for at in range(0, size, part_bytes):
        spool.append(memoryview(content)[at : at + part_bytes])
    for _ in range(2):
        assert b"".join(spool.parts()) == content
    assert spool.size == size
    spool.close()


def test_a_spool_of_which_a_part_is_gone_is_an_error_and_not_a_shorter_output() -> None:
    spool = Spool()
    spool.append(memoryview(bytes(3 * 2**20)))
    assert spool._file
    spool._file.truncate(2 * 2**20 + 1)
    with pytest.raises(OSError, match="not there any more"):
        list(spool.parts())
    spool.close()
