"""What goes to standard error: every byte, in order, as long as it is read; and how much is missing, if it is not."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from mpifarm import voice
from mpifarm.voice import Voice


class Stderr:
    """A pipe in the place of standard error."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        self._kept = os.dup(2)
        os.dup2(writer, 2)
        os.close(writer)
        os.set_blocking(self.reader, False)
        self.voice = Voice()

    def read(self) -> bytes:
        """Return what is read if somebody does so at last."""
        read = b""
        while True:
            self.voice.turn()
            try:
                read += os.read(self.reader, 1 << 20)
            except BlockingIOError:
                return read

    def close(self) -> None:
        os.dup2(self._kept, 2)
        os.close(self._kept)
        os.close(self.reader)


@pytest.fixture
def stderr() -> Iterator[Stderr]:
    made = Stderr()
    yield made
    made.close()


def test_what_is_read_late_is_whole_and_in_order(stderr: Stderr) -> None:
    told = [b"task %d\n" % number * 1000 for number in range(300)]
    for number, part in enumerate(told):
        stderr.voice.add(memoryview(part))
        stderr.voice.say(number)
        stderr.voice.turn()
    assert stderr.voice.descriptors
    expected = b"".join(part + b"mpifarm: %d\n" % number for number, part in enumerate(told))
    assert stderr.read() == expected
    assert not stderr.voice.descriptors


def test_beyond_the_bound_it_is_dropped_and_said_how_much(stderr: Stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "MOST_BYTES", 100_000)
    part = b"x" * 9999 + b"\n"
    for _ in range(50):
        stderr.voice.add(part)
        stderr.voice.turn()
    read = stderr.read()
    kept = read.count(part)
    assert 10 <= kept < 50
    dropped = 500_000 - kept * len(part)
    assert read.endswith(b"mpifarm: nobody has read standard error in time: %d bytes are left out here\n" % dropped)
    stderr.voice.say("again")
    assert stderr.read() == b"mpifarm: again\n"


def test_what_comes_after_a_gap_stands_behind_the_note_of_it(stderr: Stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "MOST_BYTES", 1000)
    stderr.voice.add(b"a" * 900)
    stderr.voice.add(b"b" * 900)
    stderr.voice.add(b"c" * 10)
    stderr.voice.turn()
    stderr.voice.say("d")
    lines = stderr.read().split(b"mpifarm: ")
    assert lines[0] == b"a" * 900
    assert lines[1].endswith(b": 910 bytes are left out here\n")
    assert lines[2] == b"d\n"


def test_the_end_waits_for_no_reader(stderr: Stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "LAST_PATIENCE_S", 0.01)
    stderr.voice.add(b"x" * 1_000_000)
    stderr.voice.end()
    assert stderr.voice.descriptors


@pytest.mark.parametrize("path", ["/dev/full", "/dev/null"])
def test_a_standard_error_that_takes_nothing_or_everything_keeps_nothing(path: str) -> None:
    kept = os.dup(2)
    device = os.open(path, os.O_WRONLY)
    os.dup2(device, 2)
    try:
        made = Voice()
        for _ in range(100):
            made.add(b"x" * 100_000)
            made.turn()
            assert not made.descriptors
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(device)
