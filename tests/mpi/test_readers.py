"""Who reads what a farm prints may stall, be slow, or be gone: everybody can still stop the farm, and no block is lost."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mpifarm.journal.output import MOST_BYTES

from .farms import Farm, Farms, held, wait_until
from .test_output import PIPE_BYTES, unread

TASKS = 40
SMALL, LARGE = 20_000, 3 * MOST_BYTES // TASKS  # all of them wait in rank 0; they do not fit there
RANK_0 = '[ "${PMI_RANK:-${OMPI_COMM_WORLD_RANK:-0}}" != 0 ]'
RUN = ("--threads", "2", "--retries", "0", "tasks.txt")


def block(number: int, size: int) -> bytes:
    """Return what a task prints: one line."""
    return b"%04d" % number * (size // 4) + b"\n"


class Pipe:
    """A named pipe that stays open, whether somebody reads it or not."""

    def __init__(self, path: Path, size: int = PIPE_BYTES) -> None:
        os.mkfifo(path)
        self.path = path
        self.reader = os.fdopen(os.open(path, os.O_RDWR), "rb", buffering=0)
        fcntl.fcntl(self.reader.fileno(), fcntl.F_SETPIPE_SZ, size)

    def fill(self) -> int:
        """Return how many bytes wait."""
        return unread(self.reader)

    def read(self) -> bytes:
        """Return what waits."""
        return self.reader.read(self.fill()) or b""


@pytest.fixture
def pipe(farms: Farms) -> Iterator[Pipe]:
    """The reader of standard output."""
    made = Pipe(farms.directory / "pipe")
    yield made
    made.reader.close()


def write_list(farms: Farms, size: int) -> dict[int, bytes]:
    """Write a list of tasks that print so much; return the block of each, by offset."""
    commands = [f"yes {number:04} | tr -d '\\n' | head -c {size // 4 * 4}; echo" for number in range(TASKS)]
    return {offset: block(number, size) for number, offset in enumerate(farms.tasks(*commands))}


def start(farms: Farms, ranks: int, pipe: Pipe, *options: str) -> Farm:
    """Start a farm whose rank 0 prints into the pipe, past mpiexec, which would read for it."""
    return farms.start(ranks, *options, *RUN, before=f"{RANK_0} || exec > {pipe.path}")


def assert_stalled(farms: Farms, pipe: Pipe) -> None:
    """Wait until the pipe is full, and as much as can be of what fits into it is recorded."""
    wait_until(lambda: pipe.fill() > PIPE_BYTES - 4096 and farms.file("progress").exists(), "the pipe is full")


def assert_the_rest_runs_again(farms: Farms, ranks: int, blocks: dict[int, bytes], read: bytes) -> None:
    """What is recorded has been read, whole and in order; the next start prints the rest."""
    recorded = farms.progress()
    assert recorded == sorted(set(recorded), key=recorded.index)
    whole = b"".join(blocks[offset] for offset in recorded)
    assert read.startswith(whole)
    assert len(recorded) < TASKS
    assert read.count(b"\n") == len(recorded), "a whole block that was read is recorded"
    ended = farms.run(ranks, *RUN)
    assert ended.code == 0
    assert sorted(farms.progress()) == sorted(blocks)
    assert ended.out == b"".join(blocks[offset] for offset in farms.progress()[len(recorded) :])


@pytest.mark.parametrize("ranks", [0, 3])
@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT]], ids=["TERM", "INT twice"])
def test_a_farm_that_nobody_reads_ends_when_it_is_told_to(
    farms: Farms, pipe: Pipe, ranks: int, size: int, signals: list[signal.Signals]
) -> None:
    blocks = write_list(farms, size)
    farm = start(farms, ranks, pipe)
    assert_stalled(farms, pipe)
    for number in signals:
        farm.signal(number)
    ended = farm.wait()
    assert ended.code == 3
    read = pipe.read()
    (said,) = re.findall("standard output was not read: what ([0-9]+) task", ended.err)
    assert 0 < int(said) <= TASKS - len(farms.progress())
    assert not set(farms.left()) & set(farms.progress())
    assert not farms.file("lock").exists()
    assert_the_rest_runs_again(farms, ranks, blocks, read)


@pytest.mark.parametrize("ranks", [0, 3])
def test_a_farm_that_nobody_reads_ends_with_its_job(farms: Farms, pipe: Pipe, ranks: int) -> None:
    blocks = write_list(farms, SMALL)
    farm = start(farms, ranks, pipe, "--walltime", "6")
    assert farm.wait().code == 3
    assert_the_rest_runs_again(farms, ranks, blocks, pipe.read())


@pytest.mark.parametrize("ranks", [0, 3])
def test_a_farm_that_nobody_reads_says_so_and_loses_nobody(farms: Farms, pipe: Pipe, ranks: int) -> None:
    """Longer than a worker may be silent: what the workers say stays in MPI."""
    blocks = write_list(farms, LARGE)
    farm = start(farms, ranks, pipe, "--lost-after", "2", "--report-every", "1s")
    wait_until(lambda: "nobody reads standard output" in farm.err(), "it says that nobody reads")
    said = len(farm.err())
    wait_until(lambda: " done  " in farm.err()[said:], "it is alive")
    read = b""
    while farm.processes():
        read += pipe.read()
        time.sleep(0.001)
    ended = farm.wait()
    assert ended.code == 0
    assert "lost" not in ended.err
    assert read + pipe.read() == b"".join(blocks[offset] for offset in farms.progress())
    assert sorted(farms.progress()) == sorted(blocks)


@pytest.mark.parametrize("ranks", [0, 3])
def test_a_drain_waits_for_the_reader(farms: Farms, pipe: Pipe, ranks: int) -> None:
    blocks = write_list(farms, SMALL)
    farm = start(farms, ranks, pipe)
    assert_stalled(farms, pipe)
    farm.signal(signal.SIGUSR2)
    wait_until(lambda: "draining" in farm.err(), "it was told")
    read = b""
    while farm.processes():
        read += pipe.read()
        time.sleep(0.001)
    assert farm.wait().code in (0, 3)
    recorded = farms.progress()
    assert read + pipe.read() == b"".join(blocks[offset] for offset in recorded)
    assert len(recorded) > len(blocks[0]) // PIPE_BYTES


@pytest.mark.parametrize("ranks", [0, 3])
def test_a_reader_that_takes_a_kib_at_a_time_gets_every_block_whole_and_once(farms: Farms, pipe: Pipe, ranks: int) -> None:
    blocks = write_list(farms, SMALL)
    farm = start(farms, ranks, pipe)
    size = sum(map(len, blocks.values()))
    read = b""
    while len(read) < size:
        read += pipe.reader.read(1024)
    assert farm.wait().code == 0
    assert read == b"".join(blocks[offset] for offset in farms.progress())
    assert sorted(farms.progress()) == sorted(blocks)


def test_a_reader_that_goes_away_stops_the_farm(farms: Farms) -> None:
    blocks = write_list(farms, SMALL)
    path = farms.directory / "pipe"
    os.mkfifo(path)
    farm = farms.start(0, *RUN, before=f"exec > {path}")
    with path.open("rb") as reader:
        first = reader.readline()
    ended = farm.wait()
    assert ended.code == 3
    assert sum("Broken pipe" in line for line in ended.said) == 1
    assert first in blocks.values()
    assert len(farms.progress()) < TASKS
    assert farms.run(0, *RUN).code == 0
    assert sorted(farms.progress()) == sorted(blocks)


def test_a_terminal_that_is_stopped_stops_nobody(farms: Farms) -> None:
    """Ctrl-S, or a window that hangs. It takes a part of a line before it takes no more."""
    blocks = write_list(farms, SMALL)
    ours, theirs = os.openpty()
    try:
        farm = farms.start(0, *RUN, before=f"exec > {os.ttyname(theirs)}")
        wait_until(lambda: "nobody reads standard output" in farm.err(), "it says that nobody reads")
        farm.signal(signal.SIGTERM)
        assert farm.wait().code == 3
    finally:
        os.close(ours)
        os.close(theirs)
    assert len(farms.progress()) < TASKS
    assert farms.run(0, *RUN).code == 0
    assert sorted(farms.progress()) == sorted(blocks)


# standard error


@pytest.fixture
def narrow(farms: Farms) -> Iterator[Pipe]:
    """A reader of standard error that takes 4 KiB, and then nothing."""
    made = Pipe(farms.directory / "narrow", 4096)
    yield made
    made.reader.close()


@pytest.mark.parametrize("ranks", [0, 3])
def test_a_standard_error_that_nobody_reads_holds_up_nobody(farms: Farms, narrow: Pipe, ranks: int) -> None:
    loud = "yes e | head -c 3900 >&2"
    offsets = farms.tasks(loud, *(["echo 1"] * TASKS), loud, "echo 2")
    farm = farms.start(ranks, *RUN, before=f"{RANK_0} || exec 2> {narrow.path}")
    assert farm.wait().code == 0
    assert sorted(farms.progress()) == offsets
    assert len(narrow.read()) <= 4096


@pytest.mark.parametrize("ranks", [0, 3])
def test_a_farm_whose_standard_error_nobody_reads_ends_when_it_is_told_to(farms: Farms, narrow: Pipe, ranks: int) -> None:
    first, *offsets = farms.tasks("yes e | head -c 3900 >&2", *(held(number) for number in range(4)))
    farm = farms.start(ranks, "--threads", "1", *RUN[2:], before=f"{RANK_0} || exec 2> {narrow.path}")
    wait_until(partial(farms.progressed, 1), "the first is done")
    wait_until((farms.directory / "held.0").exists, "the next one runs")
    farm.signal(signal.SIGTERM)
    assert farm.wait().code == 3
    assert farms.progress() == [first]
    assert set(farms.left()) <= set(offsets)


def test_a_standard_error_that_is_read_again_tells_how_much_is_missing(farms: Farms, narrow: Pipe) -> None:
    lines = ["yes e | head -c 200000 >&2"] * 30
    farms.tasks(*lines, held("last"))
    farm = farms.start(0, *RUN, before=f"exec 2> {narrow.path}")
    wait_until(partial(farms.progressed, len(lines)), "all but the last are done")
    read = b""
    while b"bytes are left out here" not in read and farm.processes():
        read += narrow.read()
    (farms.directory / "go").touch()
    while farm.processes():
        read += narrow.read()
    assert farm.wait().code == 0
    assert read.count(b"bytes are left out here") == 1
    assert b"all 31 tasks are done" in read + narrow.read()


# a file system that is gone


@pytest.mark.parametrize("ranks", [0, 3])
def test_a_file_system_that_is_gone_stops_the_farm_in_one_line(farms: Farms, ranks: int) -> None:
    program = shutil.which("bindfs")
    if program is None or os.geteuid() or not Path("/dev/fuse").exists():
        reason = "no file system that can be gone: it needs root, /dev/fuse and bindfs (apt-get install bindfs)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    below, farms.directory = farms.directory, farms.directory / "mounted"
    (below / "source").mkdir()
    farms.directory.mkdir()
    with subprocess.Popen([program, "-f", str(below / "source"), str(farms.directory)]) as daemon:
        try:
            wait_until(lambda: os.path.ismount(farms.directory), "it is mounted")
            first, *_ = farms.tasks(
                "true", *(f"touch {below}/held.{n}; until [ -e {below}/go ]; do sleep 0.05; done" for n in "12")
            )
            farm = farms.start(ranks, "--threads", "1", *RUN[2:])
            wait_until(partial(farms.progressed, 1), "the first is done")
            wait_until((below / "held.1").exists, "the second runs")
            daemon.kill()
            ended = farm.wait()
        finally:
            daemon.kill()
            subprocess.run(["umount", "-l", farms.directory], check=False)
            (below / "go").touch()
    assert ended.code == 3
    assert "Traceback" not in ended.err
    (said,) = [line for line in ended.said if "stopping" in line]
    assert "Transport endpoint is not connected" in said or "Software caused connection abort" in said
    farms.directory = below / "source"
    assert farms.progress() == [first]
