"""The files that a run writes: their formats, their order, and what is left of them when the disk is full."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import open_journal, success, warrant
from test_files import full_at

from mpifarm.ended import Ended
from mpifarm.journal import fastrecovery, journal, resume
from mpifarm.journal.fastrecovery import Covered
from mpifarm.journal.identity import Identity
from mpifarm.journal.journal import Journal
from mpifarm.journal.lines import Attempt
from mpifarm.journal.names import Names
from mpifarm.journal.spool import Spool

NAMES = Names(Path("tasks.txt.tfin"))
OUTPUT = Path("output")
NOTHING = memoryview(b"")
RUN = Identity("/lists/my tasks.txt", "/work/a=b", "/work/a=b/output", "/bin/bash")
ATTEMPT = Attempt(
    offset=432, length=32, seq=18, attempt=1, node="nid-0001", slot=2, status=0, flags=0, start=1795344287.123,
    seconds=0.0042, user_s=0.001, system_s=0.002, rss_kib=1824, left=0, out_total=3, command=b"echo\ttask 17; exit \xff",
)  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def succeed(farm: Journal, offset: int, out: bytes = b"out", spool: Spool | None = None, before: int = 0) -> None:
    attempt = replace(ATTEMPT, offset=offset, out_total=before + len(out))
    farm.succeeded(success(attempt, len(out)), spool, memoryview(out), NOTHING)


def covered() -> Covered:
    out = OUTPUT.read_bytes()
    return Covered(NAMES.progress.stat().st_size, len(out), NAMES.joblog.stat().st_size, zlib.crc32(out))


def perl_reads(path: Path) -> tuple[int, int, list[int]]:
    """TaskFarmer's reader, line by line: `s/.*max: //; ($index, $offset) = split;`, then numbers up to $offset."""
    with path.open() as file:
        index, offset, *_ = re.sub(r".*max: ", "", file.readline()).split()
        left = [int(line) for line in file]
    assert all(task <= int(offset) for task in left)
    return int(index), int(offset), left


# formats


def test_a_success_is_one_line_of_progress_and_one_of_the_joblog() -> None:
    farm = open_journal(NAMES, OUTPUT, resume.Resume())
    farm.succeeded(success(ATTEMPT, 3), None, memoryview(b"out"), NOTHING)
    farm.flush()
    assert NAMES.progress.read_bytes() == b"432 nid-0001-2 0.004 3 1795344287 32\n"
    header, line = NAMES.joblog.read_bytes().splitlines()
    columns = (
        b"Seq Host Starttime JobRuntime Send Receive Exitval Signal Attempt Slot MaxRSS UserTime SystemTime Offset Command"
    )
    assert header.split(b"\t") == columns.split()
    values = b"18 nid-0001 1795344287.123 0.004 0 3 0 0 1 2 1824 0.001 0.002 432".split()
    assert line.split(b"\t", 14) == [*values, b"echo\ttask 17; exit \xff"]
    assert OUTPUT.read_bytes() == b"out"
    assert NAMES.log.read_bytes() == b""


@pytest.mark.parametrize(
    ("status", "flags", "reason", "exit_and_signal"),
    [
        (3, 0, "exit code 3", [b"3", b"0"]),
        (-signal.SIGSEGV, 0, "killed by SIGSEGV", [b"0", b"11"]),
        (-99, 0, "killed by signal 99", [b"0", b"99"]),
        (-signal.SIGTERM, Ended.TIMED_OUT, "timed out", [b"0", b"15"]),
        (127, Ended.NOT_STARTED, "not started", [b"127", b"0"]),
    ],
)
@pytest.mark.parametrize("final", [False, True])
def test_a_failure_is_told_to_people_with_its_output(
    status: int, flags: int, reason: str, exit_and_signal: list[bytes], final: bool
) -> None:
    farm = open_journal(NAMES, OUTPUT, resume.Resume())
    farm.failed(replace(ATTEMPT, status=status, flags=flags), memoryview(b"out\n\nmore\n"), memoryview(b"err"), final)
    farm.flush()
    head, *rest = NAMES.log.read_bytes().split(b"\n")
    text = (
        rf"failed{' for good' if final else ''}: task 18 \(tasks.txt:21\), attempt 1, nid-0001-2, {reason}, 0.004 s: echo"
    )
    assert re.fullmatch(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d " + text.encode() + rb"\ttask 17; exit \xff", head)
    printed = [b"    stderr:", b"        err", b"    stdout:", b"        out", b"        ", b"        more"]
    assert rest == [*printed, b""]
    assert NAMES.joblog.read_bytes().splitlines()[1].split(b"\t")[6:8] == exit_and_signal
    assert (NAMES.progress.read_bytes(), OUTPUT.read_bytes()) == (b"", b"")


def test_an_interrupted_attempt_is_in_the_joblog_and_people_are_told_how_far_it_was() -> None:
    farm = open_journal(NAMES, None, resume.Resume())
    attempt = replace(ATTEMPT, status=-15)
    farm.interrupted(attempt)
    farm.flush()
    assert len(NAMES.joblog.read_bytes().splitlines()) == 2
    assert (NAMES.progress.read_bytes(), NAMES.log.read_bytes()) == (b"", b"")
    farm.tell_interrupted(attempt, " by the end of the job", memoryview(b"step 3\n"), NOTHING)
    farm.flush()
    assert len(NAMES.joblog.read_bytes().splitlines()) == 2
    head, *rest = NAMES.log.read_bytes().split(b"\n")
    told = (
        b"interrupted by the end of the job: task 18 (tasks.txt:21), attempt 1, nid-0001-2, had run 0.004 s: echo\ttask 17"
    )
    assert told in head
    assert rest == [b"    stdout:", b"        step 3", b""]


# opening and ending


def test_what_a_kill_has_torn_is_cut_at_the_start() -> None:
    OUTPUT.write_bytes(b"block, then a block that no line tells of")
    NAMES.progress.write_bytes(b"0 n-1 1 5 1 9\n9 n-")
    NAMES.joblog.write_bytes(b"header\nline\ntorn")
    NAMES.log.write_bytes(b"line\n\0\0\0")
    open_journal(NAMES, OUTPUT, resume.Resume(progress_bytes=14, output_bytes=5)).close()
    assert OUTPUT.read_bytes() == b"block"
    assert NAMES.progress.read_bytes() == b"0 n-1 1 5 1 9\n"
    assert NAMES.joblog.read_bytes() == b"header\nline\n"
    assert NAMES.log.read_bytes() == b"line\n"


def test_fastrecovery_is_read_alike_by_taskfarmer_and_by_us() -> None:
    farm = open_journal(NAMES, OUTPUT, resume.Resume())
    succeed(farm, 0)
    farm.flush()
    farm.checkpoint(41, 1035, 0x0D3F0A77, [432, 983])
    assert perl_reads(NAMES.fastrecovery) == (41, 1035, [432, 983])
    read = fastrecovery.read(NAMES.fastrecovery)
    assert read is not None
    assert (read.offset, read.left.tolist(), read.list_crc) == (1035, [432, 983], 0x0D3F0A77)
    assert read.covered == covered()
    assert (read.covered.output, read.covered.tail) == (3, zlib.crc32(b"out"))
    farm.checkpoint(42, 1061, 1, [])
    assert perl_reads(NAMES.fastrecovery) == (42, 1061, [])


def test_the_end_leaves_done_and_no_fastrecovery() -> None:
    farm = open_journal(NAMES, OUTPUT, resume.Resume())
    farm.checkpoint(0, 0, 0, [])
    succeed(farm, 0)
    farm.flush()
    farm.finish(42, 1061, 1)
    farm.close()
    first, *rest = NAMES.done.read_bytes().splitlines(keepends=True)
    assert first == b"done\n"
    assert not NAMES.fastrecovery.exists()
    read = fastrecovery.read_done(NAMES.done)
    assert read is not None
    assert (read.offset, read.left.size, read.list_crc, read.covered) == (1061, 0, 1, covered())
    assert b"".join(rest) == fastrecovery.remembered(NAMES.done)


def test_a_done_file_that_is_reopened_is_the_checkpoint_that_it_remembers() -> None:
    farm = open_journal(NAMES, OUTPUT, resume.Resume(), RUN)
    farm.finish(42, 1061, 1)
    told = fastrecovery.remembered(NAMES.done)
    journal.reopen(NAMES, warrant())
    assert not NAMES.done.exists()
    assert NAMES.fastrecovery.read_bytes() == told
    read = fastrecovery.read(NAMES.fastrecovery)
    assert read is not None
    assert (read.offset, read.list_crc, read.identity) == (1061, 1, RUN)


@pytest.mark.parametrize("content", [b"done", b"done\n", b"done\n# max: 42 1061 list=1\n", b"done\n\0\0\0"])
def test_a_done_file_that_remembers_nothing_leaves_no_checkpoint(content: bytes) -> None:
    NAMES.done.write_bytes(content)
    assert fastrecovery.read_done(NAMES.done) is None
    journal.reopen(NAMES, warrant())
    assert os.listdir() == []


def test_what_is_forgotten_leaves_whose_output_it_was() -> None:
    farm = open_journal(NAMES, OUTPUT, resume.Resume(), RUN)
    succeed(farm, 0)
    farm.flush()
    farm.checkpoint(41, 1035, 1, [])
    farm.close()
    for _ in range(2):
        journal.forget(NAMES, RUN, warrant())
        read = fastrecovery.read(NAMES.fastrecovery)
        assert read is not None
        assert (read.offset, read.left.size, read.identity) == (0, 0, RUN)
        assert read.covered == Covered(0, 0, NAMES.joblog.stat().st_size, 0)
        assert not NAMES.progress.exists()
        assert OUTPUT.read_bytes() == b"out"


@pytest.mark.parametrize("harm", [lambda: OUTPUT.write_bytes(b"ou"), lambda: OUTPUT.write_bytes(b"out+"), OUTPUT.unlink])
def test_an_output_that_somebody_else_has_changed_meanwhile_is_no_basis_for_a_checkpoint(
    harm: Callable[[], object],
) -> None:
    farm = open_journal(NAMES, OUTPUT, resume.Resume(), RUN)
    succeed(farm, 0)
    farm.flush()
    harm()
    with pytest.raises(OSError, match=r"somebody else has changed it|No such file"):
        farm.checkpoint(41, 1035, 1, [])
    with pytest.raises(OSError, match=r"somebody else has changed it|No such file"):
        farm.finish(42, 1061, 1)
    assert not NAMES.done.exists()
    assert not NAMES.fastrecovery.exists()


# a full disk


@pytest.mark.parametrize("full", ["output", "progress", "joblog", "log"])
def test_a_flush_writes_output_then_progress_then_joblog_then_log(full: str) -> None:
    order = {"output": OUTPUT, "progress": NAMES.progress, "joblog": NAMES.joblog, "log": NAMES.log}
    order[full].write_bytes(b"x" * 1999 + b"\n")
    start = resume.Resume(progress_bytes=2000, output_bytes=2000)
    farm = open_journal(NAMES, OUTPUT, start)
    before = {name: path.stat().st_size for name, path in order.items()}
    succeed(farm, 0)
    farm.event("something")
    with full_at(2001), pytest.raises(OSError, match="too large"):
        farm.flush()
    grown = [name for name, path in order.items() if path.stat().st_size > before[name]]
    assert grown == list(order)[: list(order).index(full)]
    assert all(path.stat().st_size >= before[name] for name, path in order.items())


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        monkeypatch.chdir(disk)
        yield
    finally:
        monkeypatch.undo()
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_leaves_whole_lines_and_every_block_that_has_one() -> None:
    farm = open_journal(NAMES, OUTPUT, resume.Resume())
    flushed = 0
    with pytest.raises(OSError, match="No space"):
        for flushed in range(1000):
            succeed(farm, flushed, b"%07d\n" % flushed * 20)
            farm.flush()
    assert flushed > 50
    for path in (NAMES.progress, NAMES.joblog, NAMES.log):
        assert path.read_bytes()[-1:] in (b"\n", b"")
    lines = [line.split() for line in NAMES.progress.read_bytes().splitlines()]
    assert [int(line[0]) for line in lines] == list(range(len(lines)))
    assert len(lines) in (flushed, flushed + 1)
    blocks = b"".join(b"%07d\n" % number * 20 for number in range(len(lines)))
    assert OUTPUT.read_bytes().startswith(blocks)
