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
