"""What goes to standard error: every byte, in order, as long as it is read; and how much is missing, if it is not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

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


def on_a_terminal(voice_says: str) -> bytes:
    """Return what a terminal gets of a voice whose standard error it is; *voice_says* is Python."""
    program = f"from mpifarm.voice import Voice\nvoice = Voice()\n{voice_says}\nvoice.end()\n"
    leader, follower = os.openpty()
    subprocess.run([sys.executable, "-c", program], stderr=follower, check=True)
    os.close(follower)
    read = b""
    with suppress(OSError):  # Linux: nobody holds the other end any more
        while part := os.read(leader, 65536):
            read += part
    os.close(leader)
    return read


def screen(written: bytes) -> list[str]:
    """Return the lines that a terminal shows of this."""
    lines = [""]
    for part in re.split(rb"(\r\n|\r\x1b\[2K)", written):
        if part == b"\r\n":
            lines.append("")
        elif part == b"\r\x1b[2K":
            lines[-1] = ""
        else:
            lines[-1] += part.decode()
    return lines


def test_lines_stand_above_the_bar_and_it_is_gone_in_the_end() -> None:
    begin = "voice.bar('1 %'); voice.turn(); voice.bar('2 %'); voice.turn()"
    written = on_a_terminal(
        f"{begin}; voice.say('lost'); voice.add(b'torn'); voice.turn(); voice.say('more'); voice.turn()"
    )
    assert written.count(b"2 %") == 3
    assert screen(written) == ["mpifarm: lost", "torn", "mpifarm: more", ""]
    while_it_goes_on = written[: written.rindex(b"2 %") + 3]
    assert screen(while_it_goes_on) == ["mpifarm: lost", "torn", "mpifarm: more", "2 %"]


def test_a_bar_that_does_not_change_is_not_written_again() -> None:
    assert on_a_terminal("voice.bar('1 %'); [voice.turn() for _ in range(9)]").count(b"1 %") == 1


def test_what_is_said_bears_its_time_if_it_has_one() -> None:
    assert on_a_terminal("voice.say('x', '14:07:02 lost  ')") == b"mpifarm 14:07:02 lost   x\r\n"
