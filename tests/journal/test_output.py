"""What tasks print on its way to its reader: a file, somebody who reads, somebody who does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeLock, open_journal, standard_output_to, success, warrant
from test_files import full_at

from mpifarm.journal.journal import Journal
from mpifarm.journal.lines import Attempt
from mpifarm.journal.lock import TakenOver
from mpifarm.journal.names import Names
from mpifarm.journal.output import MOST_BYTES, Output
from mpifarm.journal.resume import Resume
from mpifarm.journal.spool import Spool

NAMES = Names(Path("tasks.txt.tfin"))
OUTPUT = Path("output")
NOTHING = memoryview(b"")
ATTEMPT = Attempt(0, 9, 1, 1, "n", 1, 0, 0, 1.7e9, 0.1, 0.1, 0.1, 9, 0, 3, b"echo")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def file(recorded: bytes = b"") -> Output:
    """Return the output into a file of which *recorded* counts."""
    OUTPUT.write_bytes(recorded)
    may = warrant(OUTPUT)
    may.judge(OUTPUT, len(recorded))
    return Output(OUTPUT, len(recorded), may)


def add(output: Output, offset: int, out: bytes) -> None:
    output.add(success(replace(ATTEMPT, offset=offset), len(out)), None, memoryview(out))


def out(output: Output) -> list[int | bytes]:
    """Take what is out: offsets and lines."""
    return [entry.line or entry.offsets[0] for entry in output.take_out()]


@contextmanager
def unread_pipe() -> Iterator[int]:
    """Standard output is a pipe of which nobody reads; yield the end to read from."""
    reads, writes = os.pipe()
    try:
        with standard_output_to(writes):
            yield reads
    finally:
        os.close(reads)
        os.close(writes)


# recorded


def succeed(farm: Journal, offset: int, out: bytes, spool: Spool | None = None, before: int = 0) -> None:
    attempt = replace(ATTEMPT, offset=offset, out_total=before + len(out))
    farm.succeeded(success(attempt, len(out)), spool, memoryview(out), NOTHING)


def test_without_output_a_block_goes_to_standard_output_and_counts_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    farm = open_journal(NAMES, None, Resume())
    farm.succeeded(success(ATTEMPT, 3), None, memoryview(b"out"), memoryview(b"err"))
    farm.flush()
    farm.flush()
    assert capfd.readouterr() == ("out", "err")
    assert NAMES.progress.read_bytes().split()[3] == b"0"


@pytest.mark.parametrize("blocks", [1, 2, 1023, 2**13])
def test_a_long_block_is_written_whole_and_counted_whole(blocks: int) -> None:
    farm = open_journal(NAMES, OUTPUT, Resume())
    spool = Spool()
    long = bytes(range(256)) * blocks
    for at in range(0, len(long), 100_000):
        spool.append(memoryview(long)[at : at + 100_000])
    spool.append(memoryview(b"tail"))
    succeed(farm, 0, b"first")
    succeed(farm, 9, b"end", spool, len(long) + 4)
    succeed(farm, 18, b"last")
    farm.flush()
    assert OUTPUT.read_bytes() == b"first" + long + b"tailend" + b"last"
    assert [int(line.split()[3]) for line in NAMES.progress.open()] == [5, len(long) + 7, 4]


# a file


def test_a_file_takes_every_block_and_is_never_given_up() -> None:
    output = file()
    add(output, 0, b"one")
    output.add_line(b"failed")
    add(output, 9, b"two")
    assert output.file
    assert (output.waits, output.unread, output.descriptors) == (True, [0, 9], [output.file.descriptor])
    output.give_up()
    output.turn()
    assert OUTPUT.read_bytes() == b"onetwo"
    assert out(output) == [0, b"failed", 9]
    assert (output.waits, output.unread, output.given_up, output.taken, output.descriptors) == (False, [], 0, 6, [])


def test_a_write_that_fails_leaves_the_blocks_that_are_recorded() -> None:
    output = file(b"one")
    add(output, 9, b"two")
    output.turn()
    output.recorded(3)
    add(output, 18, b"three")
    output.turn()
    add(output, 27, b"four")
    with full_at(13), pytest.raises(OSError, match="too large"):
        output.turn()
    assert OUTPUT.read_bytes() == b"onetwo"
    assert output.unread == [9, 18, 27], "nothing was taken out yet"


# a reader


def test_who_reads_nothing_holds_up_what_is_recorded_until_he_is_given_up() -> None:
    with unread_pipe() as reads:
        output = Output(None, 0, warrant())
        add(output, 0, b"one")
        output.turn()
        assert (os.read(reads, 10), out(output), output.descriptors) == (b"one", [0], [])
        add(output, 9, bytes(MOST_BYTES))
        output.add_line(b"failed")
        output.turn()
        assert 3 < output.taken < MOST_BYTES
        add(output, 18, bytes(output.taken))
        assert (out(output), output.unread, output.full, len(output.descriptors)) == ([], [9, 18], True, 1)
        output.give_up()
        assert (output.waits, output.full, output.given_up, output.unread) == (True, False, 2, [9, 18])
        output.turn()
        assert out(output) == [b"failed"]
        assert (output.waits, output.descriptors, output.recorded_bytes) == (False, [], 0)


def test_nothing_is_printed_by_a_manager_whose_list_is_taken_over() -> None:
    with unread_pipe() as reads:
        os.set_blocking(reads, False)
        lock = FakeLock()
        output = Output(None, 0, warrant(lock=lock))
        lock.held = False
        output.turn()
        add(output, 0, b"one")
        with pytest.raises(TakenOver):
            output.turn()
        with pytest.raises(BlockingIOError):
            os.read(reads, 10)
