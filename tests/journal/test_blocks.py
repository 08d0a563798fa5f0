"""What waits for the reader of the output, and when it is out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import success

from mpifarm.journal.blocks import PIECE_BYTES, Blocks
from mpifarm.journal.lines import Attempt
from mpifarm.journal.spool import Spool

ATTEMPT = Attempt(0, 9, 1, 1, "n", 1, 0, 0, 1.7e9, 0.1, 0.1, 0.1, 9, 0, 3, b"echo")
LONG = bytes(range(256)) * 8192 + b"end"


def add(blocks: Blocks, offset: int, out: bytes, spooled: bytes = b"") -> None:
    spool = Spool() if spooled else None
    for at in range(0, len(spooled), 100_000):
        assert spool
        spool.append(memoryview(spooled)[at : at + 100_000])
    batch = success(replace(ATTEMPT, offset=offset), len(out))
    blocks.add(batch, spool, memoryview(out), np.array([len(out) + len(spooled)]))


def out(blocks: Blocks) -> list[int | bytes]:
    """Take what is out: offsets and lines."""
    return [entry.line or entry.offsets[0] for entry in blocks.take_out()]


def test_a_task_is_out_with_the_last_byte_of_its_block() -> None:
    blocks = Blocks()
    add(blocks, 0, b"one")
    add(blocks, 9, b"")
    add(blocks, 18, b"three")
    assert out(blocks) == []
    assert bytes(blocks.piece()) == b"onethree"
    blocks.went(2)
    assert out(blocks) == []
    blocks.went(1)
    assert out(blocks) == [0, 9]
    assert bytes(blocks.piece()) == b"three"
    assert blocks.offsets == [18]
    blocks.went(5)
    assert out(blocks) == [18]
    assert (blocks.empty, blocks.size, bytes(blocks.piece())) == (True, 0, b"")


def test_a_line_of_the_joblog_does_not_overtake_a_block() -> None:
    blocks = Blocks()
    blocks.add_line(b"first")
    add(blocks, 0, b"one")
    blocks.add_line(b"second")
    assert out(blocks) == [b"first"]
    blocks.piece()
    blocks.went(3)
    assert out(blocks) == [0, b"second"]


@pytest.mark.parametrize("step", [1000, PIECE_BYTES, 3 * PIECE_BYTES])
def test_the_stream_is_every_block_in_order_however_it_is_taken(step: int) -> None:
    blocks = Blocks()
    expected = b""
    for number in range(6):
        spooled, rest = LONG * (number % 3), b"%d" % number * number
        add(blocks, number, rest, spooled)
        expected += spooled + rest
    read = bytearray()
    while piece := blocks.piece():
        read += piece[:step]
        blocks.went(len(piece[:step]))
    assert read == expected
    assert out(blocks) == list(range(6))
    assert blocks.size == 0


def test_who_is_given_up_leaves_the_lines_and_lists_the_tasks() -> None:
    blocks = Blocks()
    add(blocks, 0, b"one")
    add(blocks, 9, b"two", LONG)
    blocks.add_line(b"failed")
    add(blocks, 18, b"")
    blocks.piece()
    blocks.went(5)
    assert out(blocks) == [0]
    for _ in range(2):
        blocks.give_up()
    add(blocks, 27, b"four")
    blocks.add_line(b"interrupted")
    assert out(blocks) == [b"failed", b"interrupted"]
    assert (blocks.given_up, blocks.offsets) == ([9, 18, 27], [9, 18, 27])
    assert (bytes(blocks.piece()), blocks.size, blocks.empty) == (b"", 0, True)


def test_tasks_that_print_nothing_count_too_while_they_wait() -> None:
    blocks = Blocks()
    add(blocks, 0, b"one")
    before = blocks.size
    for number in range(1, 1000):
        add(blocks, 9 * number, b"")
    assert blocks.size > before + 100_000
