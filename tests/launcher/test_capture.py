"""What is kept of a stream: in memory, in a file, clipped, emptied, and read on when its slot has a new one."""

from __future__ import annotations

import os
import select
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.launcher import capture
from mpifarm.launcher.capture import INLINE_BYTES, Capture, Readers


def written(stream: Capture, *parts: bytes) -> Capture:
    """Return *stream* after a task has written *parts*, each of which a pipe holds, to it."""
    for part in parts:
        os.write(stream.writer, part)
        stream.read()
    return stream


def closed(stream: Capture) -> None:
    os.close(stream.leave())


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


@pytest.mark.parametrize(
    "sizes", [(), (1,), (INLINE_BYTES,), (INLINE_BYTES + 1,), (INLINE_BYTES, 1), (60_000,) * 3, (5,) * 9]
)
def test_all_that_was_written_is_there_and_little_of_it_needs_no_file(sizes: tuple[int, ...]) -> None:
    parts = [os.urandom(size) for size in sizes]
    stream = written(Capture(), *parts)
    assert (stream.whole(), stream.size, stream.trouble) == (b"".join(parts), sum(sizes), "")
    assert (stream.file >= 0) == (sum(sizes) > INLINE_BYTES)
    if stream.file >= 0:
        assert os.pread(stream.file, sum(sizes), 0) == b"".join(parts)
    closed(stream)


def test_nothing_is_read_where_nothing_was_written() -> None:
    stream = Capture()
    stream.read()
    assert (stream.whole(), stream.clipped(9)) == (b"", (b"", False))
    closed(stream)


@pytest.mark.parametrize("size", [3, INLINE_BYTES + 3])
def test_the_next_task_begins_with_nothing(size: int) -> None:
    stream = written(Capture(), bytes(size))
    stream.empty()
    assert written(stream, b"second").whole() == b"second"
    stream.empty()
    assert written(stream, b"x" * (INLINE_BYTES + 1)).whole() == b"x" * (INLINE_BYTES + 1)
    closed(stream)


@given(st.binary(max_size=60), st.integers(1, 20), st.integers(0, 60))
def test_clipping_keeps_head_and_tail_and_counts_the_rest(content: bytes, half: int, inline: int) -> None:
    stream = Capture()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture, "INLINE_BYTES", inline)
        kept, clipped = written(stream, content).clipped(2 * half)
    closed(stream)
    assert clipped == (len(content) > 2 * half)
    left_out = len(content) - 2 * half
    notice = b"\n[mpifarm: %d byte%s left out here]\n" % (left_out, b"" if left_out == 1 else b"s")
    assert kept == (content[:half] + notice + content[-half:] if clipped else content)


def test_where_no_place_is_left_reading_goes_on_and_the_reason_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = written(Capture(), b"begin")
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", "/no/such/place")
        written(stream, bytes(INLINE_BYTES), b"end")
    assert (stream.whole(), stream.trouble) == (b"begin", "No such file or directory")
    stream.empty()
    assert (written(stream, b"next").whole(), stream.trouble) == (b"next", "")
    closed(stream)


def test_a_full_file_system_keeps_what_was_whole() -> None:
    stream = written(Capture(), bytes(INLINE_BYTES), b"x")
    real = stream._file
    stream._file = os.open("/dev/full", os.O_WRONLY)
    written(stream, b"lost")
    os.close(stream._file)
    stream._file = real
    assert (stream.trouble, stream.whole()) == ("No space left on device", bytes(INLINE_BYTES) + b"x")
    closed(stream)


@pytest.mark.parametrize("has_epoll", [True, False])
def test_a_stream_that_was_dropped_is_read_until_its_last_writer_is_gone(
    monkeypatch: pytest.MonkeyPatch, has_epoll: bool
) -> None:
    if not has_epoll:
        monkeypatch.delattr("select.epoll")
    readers, stream = Readers(), Capture()
    before = open_files()
    readers.add(stream)
    stray = os.dup(stream.writer)
    readers.drop(stream)
    os.set_blocking(stray, False)
    for _ in range(3):
        assert os.write(stray, bytes(65536)) == 65536, "nobody has read"
        readers.read()
    os.close(stray)
    readers.read()
    assert open_files() == before - 2


@pytest.mark.parametrize("has_epoll", [True, False])
def test_only_what_was_added_is_read_and_only_what_is_there(monkeypatch: pytest.MonkeyPatch, has_epoll: bool) -> None:
    if not has_epoll:
        monkeypatch.delattr("select.epoll")
    readers, streams = Readers(), [Capture() for _ in range(3)]
    for stream in streams[:2]:
        readers.add(stream)
    poll = select.poll()
    poll.register(readers.descriptor, select.POLLIN)
    assert poll.poll(0) == []
    for number, stream in enumerate(streams[1:]):
        os.write(stream.writer, b"%d" % number)
    assert poll.poll(0) != []
    readers.read()
    assert [stream.whole() for stream in streams] == [b"", b"0", b""]
    assert poll.poll(0) == []
    for stream in streams:
        closed(stream)


def test_a_pipe_that_was_enlarged_is_read_whole_at_once() -> None:
    """A task that prints much and ends has left it full, and nobody looks twice."""
    stream = written(Capture(), bytes(60_000), bytes(60_000))
    stream.empty()
    os.set_blocking(stream.writer, False)
    size = os.write(stream.writer, bytes(1 << 20))
    assert size == 256 * 1024, "so much it holds now"
    stream.read()
    assert (stream.size, stream.whole()) == (size, bytes(size))
    closed(stream)


def test_no_descriptor_of_a_slot_is_where_a_task_may_want_its_own() -> None:
    stream = written(Capture(), bytes(INLINE_BYTES + 1))
    assert min(stream.reader, stream.writer, stream.file) >= 20
    assert not any(map(os.get_inheritable, (stream.reader, stream.writer, stream.file)))
    closed(stream)


@pytest.mark.parametrize(("limit", "slots"), [(20, 0), (25, 0), (26, 1), (1024, 167), (1 << 20, 4096)])
def test_the_hard_limit_of_descriptors_says_how_many_slots_there_can_be(
    monkeypatch: pytest.MonkeyPatch, limit: int, slots: int
) -> None:
    limits: Callable[[int], tuple[int, int]] = lambda _: (10, limit)  # noqa: E731
    monkeypatch.setattr("resource.getrlimit", limits)
    assert capture.most_slots() == slots


def test_an_unnamed_file_lies_in_tmpdir_and_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stream = written(Capture(), bytes(INLINE_BYTES), b"x")
    assert os.fstat(stream.file).st_dev == tmp_path.stat().st_dev
    assert list(tmp_path.iterdir()) == []
    closed(stream)


@pytest.mark.parametrize("size", [INLINE_BYTES + 1, 3 * capture.ERROR_BYTES])
def test_what_is_not_there_any_more_is_an_error_and_not_less_output(size: int) -> None:
    stream = written(Capture(), *[bytes(60_000)] * (size // 60_000), bytes(size % 60_000))
    os.ftruncate(stream.file, size - 1)
    with pytest.raises(OSError, match="1 byte is not there any more of what was written"):
        stream.clipped(capture.ERROR_BYTES)
    closed(stream)


def test_a_pipe_that_cannot_be_read_is_this_streams_trouble_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    readers, broken, whole = Readers(), Capture(), Capture()
    real = os.read
    for stream in (broken, whole):
        readers.add(stream)
        os.write(stream.writer, b"word")

    def read(descriptor: int, size: int) -> bytes:
        if descriptor == broken.reader:
            raise OSError(5, "Input/output error")
        return real(descriptor, size)

    monkeypatch.setattr(os, "read", read)
    readers.read()
    monkeypatch.undo()
    assert (broken.trouble, whole.trouble, whole.whole()) == ("Input/output error", "", b"word")
    for stream in (broken, whole):
        closed(stream)
