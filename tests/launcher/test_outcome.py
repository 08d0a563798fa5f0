"""What an attempt comes to: clipped output, a failure for want of a place for it, starts that go wrong."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from test_launcher import Launch, blob, launch, linux

from mpifarm.ended import Ended
from mpifarm.launcher.capture import CLIP_BYTES, INLINE_BYTES

__all__ = ["launch"]  # a fixture


@pytest.mark.parametrize(("size", "clips"), [(CLIP_BYTES, False), (CLIP_BYTES + 1000, True)])
def test_a_long_error_and_a_failed_attempts_long_output_keep_head_and_tail(
    launch: Launch, tmp_path: Path, size: int, clips: bool
) -> None:
    whole, half = blob(size), CLIP_BYTES // 2
    (tmp_path / "blob").write_bytes(whole)
    failed, succeeded = launch().run(b"cat blob; exit 1", b"cat blob >&2")
    for written, flags in ((failed.out, failed.flags), (succeeded.err, succeeded.flags)):
        assert bool(flags & Ended.CLIPPED) == clips
        if clips:
            assert (written[:half], written[-half:]) == (whole[:half], whole[-half:])
            assert b" %d bytes " % (size - CLIP_BYTES) in written[half:-half]
        else:
            assert written == whole


def test_only_what_prints_much_needs_a_place_for_it_and_fails_without(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    farm = launch()
    place.rmdir()
    much = b"head -c %d /dev/zero" % (INLINE_BYTES + 1)
    little, out, err = farm.run(b"head -c %d /dev/zero" % INLINE_BYTES, much, much + b" >&2; echo out")
    assert (little.status, little.out) == (0, bytes(INLINE_BYTES))
    assert (out.status, err.status) == (os.EX_IOERR, os.EX_IOERR)
    assert b"nid0001: no place for what it printed: No such file or directory (set TMPDIR)" in out.err
    assert err.out == b"out\n"
    place.mkdir()
    assert [(end.status, len(end.out)) for end in farm.run(much)] == [(0, INLINE_BYTES + 1)]


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("outbox", b"head -c 600000 /dev/zero"),
        ("capture", b"head -c 600000 /dev/zero >&2"),
        ("capture", b"head -c 20000 /dev/zero >&2; echo out"),
        ("capture", b"head -c 600000 /dev/zero; exit 3"),
    ],
)
def test_an_attempt_whose_output_cannot_be_read_has_failed_and_the_helper_goes_on(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, where: str, line: bytes
) -> None:
    """As the second part of a file on a disk that fails, or that somebody has shortened."""

    def read_part(file: int, size: int, at: int) -> bytes:
        if at or where == "capture":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return os.pread(file, size, at)

    with monkeypatch.context() as patch:
        patch.setattr(f"mpifarm.launcher.{where}.read_part", read_part)
        farm = launch()
    end, after = farm.run(line, b"echo after")
    assert (end.status, end.out) == (3 if b"exit 3" in line else os.EX_IOERR, b"")
    assert b"mpifarm: nid0001: what it printed cannot be read: [Errno 5] Input/output error (set TMPDIR)\n" in end.err
    assert (after.status, after.out) == (0, b"after\n")


def test_an_attempt_whose_end_goes_wrong_in_any_way_costs_that_attempt_alone(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise ValueError("a fault of ours")

    with monkeypatch.context() as patch:
        patch.setattr("mpifarm.launcher.why.Reasons.of", fail)
        farm = launch()
    end, after = farm.run(b"exit 5", b"echo after")
    assert (end.status, after.status, after.out) == (5, 0, b"after\n")
    assert b"a fault of ours" in end.err


def test_an_attempt_whose_start_goes_wrong_in_any_way_costs_that_attempt_alone(launch: Launch) -> None:
    """A name that no program can be given makes a ValueError of the start."""
    farm = launch(environ={"PATH": os.environ["PATH"], "": "nameless"})
    ends = farm.run(b"echo a; echo b", b"ls /")
    assert [(end.status, end.flags) for end in ends] == [(126, Ended.NOT_STARTED)] * 2
    assert all(b"mpifarm: nid0001: cannot start /bin/sh: " in end.err for end in ends)


@linux
def test_a_task_that_cannot_be_started_says_why(launch: Launch) -> None:
    ends = launch(environ={"TOO_LONG": "x" * 200_000}).run(b"echo never", b"echo never")
    assert [(end.status, end.flags, end.out) for end in ends] == [(126, Ended.NOT_STARTED, b"")] * 2
    assert all(b"/bin/sh" in end.err for end in ends)
