"""What an attempt comes to: clipped output, a failure for want of a place for it, starts that go wrong."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from mpi.farms import wait_until
from test_launcher import Launch, blob, launch, linux

from mpifarm.ended import Ended
from mpifarm.launcher.capture import ERROR_BYTES, INLINE_BYTES, OUTPUT_BYTES
from mpifarm.launcher.outcome import INTERRUPTED_BYTES

__all__ = ["launch"]  # a fixture


@pytest.mark.parametrize("line", [b"cat blob; exit 1", b"cat blob >&2"])
@pytest.mark.parametrize("more", [0, 1000, 300_000])
def test_a_long_error_and_a_failed_attempts_long_output_keep_head_and_tail(
    launch: Launch, tmp_path: Path, line: bytes, more: int
) -> None:
    most = ERROR_BYTES if b">&2" in line else OUTPUT_BYTES
    whole, half = blob(most + more), most // 2
    (tmp_path / "blob").write_bytes(whole)
    (end,) = launch().run(line)
    assert bool(end.flags & Ended.CLIPPED) == bool(more)
    written = end.out + end.err
    if more:
        assert (written[:half], written[-half:]) == (whole[:half], whole[-half:])
        assert written[half:-half] == b"\n[mpifarm: %d bytes left out here]\n" % more
    else:
        assert written == whole


def test_what_succeeds_keeps_all_of_a_little_output(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(blob(OUTPUT_BYTES + 1))
    assert [end.out for end in launch().run(b"cat blob")] == [blob(OUTPUT_BYTES + 1)]


@pytest.mark.parametrize("size", [10, 3 * OUTPUT_BYTES, 3 * INLINE_BYTES])
def test_of_what_is_interrupted_the_output_so_far_is_told_as_far_as_there_is_room(
    launch: Launch, tmp_path: Path, size: int
) -> None:
    """Hundreds of thousands may be interrupted in the last seconds of a job, so what a helper tells has a bound."""
    (tmp_path / "blob").write_bytes(blob(size))
    slots = 2 * INTERRUPTED_BYTES // OUTPUT_BYTES
    farm = launch(slots=slots)
    farm.start(*[b"cat blob; echo word >&2; : > held.$MPIFARM_SLOT; exec sleep 100"] * slots)
    wait_until(lambda: len(list(tmp_path.glob("held.*"))) == slots, "all have printed")
    farm.launcher.terminate()
    ends = farm.take(slots)
    assert {end.flags for end in ends} == {Ended.INTERRUPTED}
    told = [end for end in ends if end.out]
    assert {end.err for end in told} == {b"word\n"}
    assert len(told) == (slots if size == 10 else INTERRUPTED_BYTES // len(told[0].out + told[0].err))
    half = OUTPUT_BYTES // 2
    assert all(end.out[:half] == blob(size)[:half] and end.out[-half:] == blob(size)[-half:] for end in told)
    assert sum(len(end.out) + len(end.err) for end in ends) <= INTERRUPTED_BYTES


def test_only_what_prints_much_needs_a_place_for_it_and_fails_without(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    farm = launch()
    place.rmdir()
    much = b"head -c %d /dev/zero" % (INLINE_BYTES + 1)
    little, out, err, failed = farm.run(
        b"head -c %d /dev/zero" % INLINE_BYTES, much, much + b" >&2; echo out", much + b"; exit 3"
    )
    assert (little.status, little.out) == (0, bytes(INLINE_BYTES))
    assert (out.status, err.status) == (os.EX_IOERR, os.EX_IOERR)
    why = b"No such file or directory: make room there, or set TMPDIR\n"
    assert out.err == b"mpifarm: nid0001: no place for what it printed, in %s: %s" % (os.fsencode(place), why)
    assert err.out == b"out\n"
    assert (failed.status, failed.err) == (3, out.err), "it has failed by itself, and what it printed is gone all the same"
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
