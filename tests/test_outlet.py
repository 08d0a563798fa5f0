"""Writing to what nobody reads: a pipe, a terminal, a socket."""

from __future__ import annotations

import os
import select
import socket
import stat
from collections.abc import Callable, Iterator

import pytest

from mpifarm import outlet, say
from mpifarm.outlet import Outlet

CONTENT = bytes(range(256)) * 4096
Ends = tuple[int, int]


def pair() -> Ends:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


@pytest.fixture(params=[os.pipe, os.openpty, pair], ids=["pipe", "terminal", "socket"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    make: Callable[[], Ends] = request.param
    reader, writer = make()
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.fixture(params=[True, False], ids=["opened once more", "shared"])
def once_more(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, and where the entry in /proc cannot be opened."""
    if not request.param:
        monkeypatch.setattr(outlet, "_FLAGS", os.O_WRONLY | os.O_EXCL | os.O_CREAT)


def fill(made: Outlet) -> int:
    """Write until nothing more is taken; how many bytes were. Behind a terminal the kernel makes room again at any time."""
    total = 0
    while taken := made.write(CONTENT[total:]):
        total += taken
    return total


@pytest.mark.usefixtures("once_more")
def test_what_nobody_reads_is_not_waited_for(ends: Ends) -> None:
    _, writer = ends
    if os.isatty(writer):
        pytest.skip("a terminal that cannot be opened once more may block") if outlet._FLAGS & os.O_EXCL else None
    made = Outlet(writer)
    assert 0 < fill(made) < len(CONTENT)
    assert made.write_within(CONTENT, 0.0) < len(CONTENT)
    made.close(writer)


@pytest.mark.usefixtures("once_more")
def test_a_reader_gets_every_byte_in_order(ends: Ends) -> None:
    reader, writer = ends
    if os.isatty(writer):
        pytest.skip("a terminal changes what it shows")
    made = Outlet(writer)
    read = b""
    at = 0
    while len(read) < len(CONTENT):
        at += made.write(CONTENT[at:])
        while select.select([reader], [], [], 0)[0] and (part := os.read(reader, 1000)):
            read += part
    assert read == CONTENT


def test_the_open_file_of_others_stays_as_it_is(ends: Ends) -> None:
    _, writer = ends
    made = Outlet(writer)
    made.write(CONTENT)
    assert os.get_blocking(writer)
    made.close(writer)
    assert stat.S_IFMT(os.fstat(writer).st_mode)


def test_a_reader_that_is_gone_is_an_error() -> None:
    reader, writer = os.pipe()
    made = Outlet(writer)
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        made.write(CONTENT)
    os.close(writer)


def test_a_terminal_that_takes_a_half_of_an_end_of_line_does_not_keep_the_poll_awake() -> None:
    """It is ready with one place left, and needs two for a newline: whoever waited for it by poll would not sleep."""
    ours, theirs = os.openpty()
    made = Outlet(theirs)
    ready = select.poll()
    ready.register(made.descriptor, select.POLLOUT)
    while made.tells and ready.poll(0):
        assert made.write(b"\n" * 4096) or not made.tells
    made.close(theirs)
    os.close(ours)
    os.close(theirs)


def test_who_says_something_to_nobody_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpifarm._PATIENCE_S", 0.01)
    reader, writer = os.pipe()
    kept = os.dup(2)
    os.dup2(writer, 2)
    try:
        for _ in range(30):
            say("x" * 5000)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(writer)
    said = b""
    while part := os.read(reader, 65536):
        said += part
    os.close(reader)
    assert said.startswith(b"mpifarm: " + b"x" * 5000 + b"\nmpifarm: ")
    assert len(said) < 30 * 5000
