"""Output under stress: blocks stay whole, memory stays bounded, and who reads slowly slows the farm down.

MPIFARM_OUTPUT_GB=N makes it N GB in the tests of large outputs, from one task and from several; TMPDIR and the directory of
the tests need three times as much.
"""

from __future__ import annotations

import fcntl
import io
import os
import resource
import shutil
import struct
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import pytest
from fakes import FakeComm, ended_record, report

from mpifarm.journal.opening import open_run
from mpifarm.launcher.capture import ERROR_BYTES, INLINE_BYTES, OUTPUT_BYTES
from mpifarm.launcher.outbox import BACKLOG_BYTES, CHUNK_BYTES
from mpifarm.ranks import loop, wire
from mpifarm.ranks.comm import Received
from mpifarm.ranks.loop import TURN_BYTES
from mpifarm.ranks.manager import Manager
from mpifarm.ranks.wire import Tag
from mpifarm.ranks.worker import MANAGER_SLOW_S, MOST_UNSENT_BYTES
from mpifarm.settings import Config
from mpifarm.site.offer import Offer

from . import farms as real
from .farms import Farm, Farms, held, wait_until

MIB = 1024 * 1024
GIVEN_BYTES = int(float(os.environ.get("MPIFARM_OUTPUT_GB", "0")) * 1e9)
SEVERAL = 6
LARGE = GIVEN_BYTES // SEVERAL or 24 * MIB
SMALL = 1000
LINE = "a line of the task at %d that is not short"

# How much more a process may need for large outputs than for small ones. It depends neither on their size nor on their
# number: what a helper has for its worker, what a worker has on its way to rank 0, what rank 0 takes before it writes, each
# once more where it is joined or copied, and what a read or a chunk takes on its way, with the copies.
HELPER_BYTES = BACKLOG_BYTES + 8 * CHUNK_BYTES
WORKER_BYTES = MOST_UNSENT_BYTES + 8 * MIB
RANK_0_BYTES = 2 * TURN_BYTES + 8 * MIB

PIPE_BYTES = 64 * 1024  # pipe(7)


@pytest.fixture(autouse=True)
def large_files(farms: Farms, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Wait longer for them, and do not keep them, as pytest does with what tests leave."""
    monkeypatch.setattr(real, "DEADLINE_S", real.DEADLINE_S + GIVEN_BYTES / 1e7)
    yield
    for path in farms.directory.iterdir():
        if path.is_file() and path.stat().st_size > MIB:
            path.unlink()


def printing(text: str, size: int) -> str:
    """Return a command that prints *size* bytes: *text* again and again, a line each, the last one cut."""
    return f"yes '{text}' | head -c {size}"


def printed(text: str, size: int) -> Iterator[bytes]:
    """Yield what that prints, in parts."""
    line = f"{text}\n".encode()
    part = line * (MIB // len(line))
    for at in range(0, size, len(part)):
        yield part[: size - at]


def write_list(farms: Farms, sizes: list[int]) -> dict[int, int]:
    """Write a list of tasks that print so many bytes, each its own; return the sizes by offset."""
    blocks: dict[int, int] = {}
    lines: list[str] = []
    for size in sizes:
        offset = sum(len(f"> {line}\n") for line in lines)
        lines.append(printing(LINE % offset, size))
        blocks[offset] = size
    farms.tasks(*lines)
    return blocks


def assert_blocks(farms: Farms, written: BinaryIO, blocks: dict[int, int], field_4: bool = True) -> None:
    """Compare *written* with *blocks*, byte for byte, in the order of progress."""
    lines = [line.split() for line in farms.file("progress").read_text().splitlines()]
    assert sorted(int(line[0]) for line in lines) == sorted(blocks)
    for line in lines:
        offset, size = int(line[0]), blocks[int(line[0])]
        assert int(line[3]) == (size if field_4 else 0)
        for part in printed(LINE % offset, size):
            assert written.read(len(part)) == part
    assert written.read(1) == b""


def start_on_pipe(farms: Farms, ranks: int, *arguments: str) -> tuple[Farm, Path]:
    """Start a farm whose rank 0 prints into a pipe, past mpiexec, which would read for it; return the pipe, too."""
    pipe = farms.directory / "pipe"
    os.mkfifo(pipe)
    rank_0 = f'[ "${{PMI_RANK:-${{OMPI_COMM_WORLD_RANK:-0}}}}" != 0 ] || exec > {pipe}'
    return farms.start(ranks, *arguments, before=rank_0), pipe


def unread(pipe: io.FileIO) -> int:
    """Return how many bytes wait in a pipe."""
    (waiting,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return int(waiting)


def peaks(farm: Farm) -> dict[str, int]:
    """Return the peak resident set of every rank, guardian and helper of a farm, bytes."""
    ours = [process for process in farm.processes() if process.farms]
    guardians = {process.pid for process in ours if process.guards}
    found = {}
    for process in ours:
        kind = "guardian" if process.guards else "helper" if process.parent in guardians else "rank"
        status = Path(f"/proc/{process.pid}/status").read_text()
        (peak,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        found[f"{kind} {process.rank or 0}"] = 1024 * int(peak)
    return found


def measured(farms: Farms, ranks: int, tasks: list[str]) -> dict[str, int]:
    """Run *tasks*, two at a time on each worker, and return the peaks of the processes."""
    for path in farms.directory.iterdir():
        path.unlink()
    offsets = farms.tasks(*tasks, held("last"))
    farm = farms.start(ranks, "--threads", "2", "--retries", "0", "--output", "all.out", "tasks.txt")
    joblog = farms.file("joblog")
    wait_until(lambda: joblog.exists() and len(joblog.read_bytes().splitlines()) == len(offsets), "all but the last ended")
    found = peaks(farm)
    (farms.directory / "go").touch()
    farm.wait()
    return found


@pytest.mark.parametrize("ranks", [0, 3])
def test_large_outputs_are_whole_blocks_in_the_order_of_progress(farms: Farms, ranks: int) -> None:
    odd = [0, 1, INLINE_BYTES, INLINE_BYTES + 1, CHUNK_BYTES, CHUNK_BYTES + 1, MIB]
    blocks = write_list(farms, [GIVEN_BYTES or 2 * LARGE, *odd, *(SEVERAL * [LARGE]), *odd])
    ended = farms.run(ranks, "--threads", "3", "--output", "all.out", "tasks.txt")
    assert (ended.code, ended.out) == (0, b"")
    with (farms.directory / "all.out").open("rb") as written:
        assert_blocks(farms, written, blocks)


@pytest.mark.parametrize("ranks", [0, 3])
def test_a_slow_reader_of_standard_output_is_waited_for(farms: Farms, ranks: int) -> None:
    blocks = write_list(farms, [LARGE // 2, *(100 * [INLINE_BYTES + 1]), *(SEVERAL * [LARGE // 2])])
    farm, pipe = start_on_pipe(farms, ranks, "--threads", "4", "tasks.txt")
    written = farms.directory / "written"
    with pipe.open("rb", buffering=0) as reader, written.open("wb") as file:
        for _ in range(50):
            wait_until(lambda: unread(reader) > PIPE_BYTES // 2, "rank 0 writes as much as the pipe holds")
            file.write(reader.read(PIPE_BYTES // 8))
        recorded = sum(blocks[offset] for offset in farms.progress())
        assert recorded <= file.tell() + PIPE_BYTES
        shutil.copyfileobj(reader, file)
    assert farm.wait().code == 0
    with written.open("rb") as file:
        assert_blocks(farms, file, blocks, field_4=False)


@pytest.mark.skipif(not GIVEN_BYTES, reason="takes more than a minute: give MPIFARM_OUTPUT_GB")
def test_a_reader_may_stall_for_longer_than_a_manager_may_be_silent(farms: Farms) -> None:
    blocks = write_list(farms, SEVERAL * [MIB])
    farm, pipe = start_on_pipe(farms, 3, "--lost-after", "1", "tasks.txt")
    with pipe.open("rb", buffering=0) as reader:
        wait_until(lambda: unread(reader) > PIPE_BYTES // 2, "rank 0 writes as much as the pipe holds")
        time.sleep(MANAGER_SLOW_S + 5)
        with io.BytesIO(reader.readall()) as written:
            assert farm.wait().code == 0
            assert_blocks(farms, written, blocks, field_4=False)


KINDS = {
    "standard output": SEVERAL * ["{}"],
    "standard error": SEVERAL * ["{} >&2"],
    "both, of a failure": SEVERAL * ["{0}; {0} >&2; exit 1"],
    "standard output, while a signal has to be told from a stop of the farm": ["exit 143", "{0}; {0}"],
}


@pytest.mark.parametrize("ranks", [0, 2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_memory_does_not_grow_with_the_output(farms: Farms, ranks: int, kind: str) -> None:
    small, large = (
        measured(farms, ranks, [task.format(printing("long", size)) for task in KINDS[kind]]) for size in (SMALL, LARGE)
    )
    assert len(large) == 2 * max(ranks, 1) + max(ranks - 1, 1)
    limits = {"guardian": MIB, "helper": HELPER_BYTES, "rank": WORKER_BYTES}
    grown = {name: peak - small[name] for name, peak in large.items()}
    print(kind, {name: f"{small[name] >> 20} + {more / MIB:.1f} MiB" for name, more in sorted(grown.items())})
    for name, more in grown.items():
        limit = RANK_0_BYTES + (0 if ranks else WORKER_BYTES) if name == "rank 0" else limits[name.split()[0]]
        assert more < limit, name


ALL_BYTES = r'i=0; while [ $i -lt 256 ]; do printf "\\$(printf %03o $i)"; i=$((i + 1)); done'
ODD = {
    "true": b"",
    "printf 'no end'": b"no end",
    ALL_BYTES: bytes(range(256)),
    f"{ALL_BYTES}; head -c 300000 /dev/zero": bytes(range(256)) + bytes(300_000),
    "exec >&-; echo lost; true": b"",
    "echo kept; exec >&-; echo lost; true": b"kept\n",
    "exec 2>&-; echo lost >&2; echo kept": b"kept\n",
    "exec >&- 2>&-; sleep 0": b"",
    "exec 3>&1 > /dev/null; echo lost; echo kept >&3": b"kept\n",
    "echo one; : > /dev/stdout; echo two": b"one\ntwo\n",
    "head -c 300000 /dev/zero; : > /dev/stdout; printf kept": bytes(300_000) + b"kept",
    "echo one; echo two > /dev/stdout; echo three": b"one\ntwo\nthree\n",
    "echo one; echo two | dd bs=1 of=/dev/stdout 2> /dev/null; echo three": b"one\ntwo\nthree\n",
    "echo one; truncate -s 300000 /dev/stdout 2> /dev/null; echo two": b"one\ntwo\n",
    "echo one; echo two | tee /dev/stdout > /dev/null; echo three": b"one\nthree\n",
    "(echo one; echo two > /dev/stdout) | cat": b"one\ntwo\n",
    "exec 3> /dev/stdout; echo one; echo two >&3; echo three": b"one\ntwo\nthree\n",
    "trap 'echo bye' EXIT; echo hello": b"hello\nbye\n",
}


@pytest.mark.parametrize("ranks", [0, 3])
def test_whatever_a_task_does_to_its_standard_output_is_its_own_affair(farms: Farms, ranks: int) -> None:
    offsets = farms.tasks(*ODD)
    ended = farms.run(ranks, "--threads", "2", "--output", "all.out", "tasks.txt")
    assert ended.code == 0, farms.file("log").read_text()
    blocks = dict(zip(offsets, ODD.values(), strict=True))
    assert (farms.directory / "all.out").read_bytes() == b"".join(blocks[offset] for offset in farms.progress())
    assert sorted(farms.progress()) == offsets


@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.parametrize("background", ["{} &", "setsid {} &", "({} &);", "(setsid setsid {} &) &"], ids=range(4))
@pytest.mark.parametrize("stray", ["", ": > /dev/stdout; "], ids=["appends", "truncates"])
def test_what_a_task_left_in_the_background_writes_into_no_other_block(
    farms: Farms, size: int, background: str, stray: str
) -> None:
    """It goes on when the next task runs in the same slot, and that one waits for it."""
    left = "until [ -e next ]; do sleep 0.02; done; {}yes stray | head -c 300000; echo stray >&2; touch wrote; sleep 1000"
    first = background.format(f"sh -c '{left.format(stray)}'") + " " + printing("one", size)
    farms.tasks(first, "touch next; until [ -e wrote ]; do sleep 0.02; done; echo two", "echo three")
    ended = farms.run(2, "--threads", "1", "--output", "all.out", "tasks.txt")
    assert ended.code == 0
    assert "stray" not in ended.err.splitlines()
    assert ended.said[-2].endswith(" that went on in the background (left by task 1 (tasks.txt:1)) had not ended: killed")
    assert (farms.directory / "all.out").read_bytes() == b"".join(printed("one", size)) + b"two\nthree\n"


@pytest.mark.parametrize("code", [0, 1])
def test_of_a_long_standard_error_and_of_a_failure_head_and_tail_are_kept(farms: Farms, code: int) -> None:
    noise = f"echo HEAD; {printing(60 * 'x', 4 * LARGE)}; echo TAIL"
    offsets = farms.tasks("echo before", f"{{ {noise}; }} >&2; [ {code} = 0 ] || {{ {noise}; }}; exit {code}", "echo after")
    ended = farms.run(3, "--threads", "1", "--retries", "0", "tasks.txt")
    assert ended.code == code
    assert sorted(ended.out.split()) == [b"after", b"before"]
    assert sorted(farms.progress()) == [offset for offset in offsets if not code or offset != offsets[1]]
    kept = farms.file("log").read_text() if code else ended.err
    for word in ("HEAD\n", "TAIL\n"):
        assert kept.count(word) == 1 + code
    for most, is_kept in ((ERROR_BYTES, True), (OUTPUT_BYTES, code)):
        assert kept.count(f"[mpifarm: {4 * LARGE + 10 - most} bytes left out here]") == is_kept
    assert len(kept) < ERROR_BYTES + 64 * 1024
    assert max(int(line["Receive"]) for line in farms.joblog()) == (4 * LARGE + 10 if code else len("before\n"))


def test_tasks_that_wait_in_a_worker_start_after_a_long_output(farms: Farms) -> None:
    """Its slot is free when the output is on its way: at that moment there may be nothing else to wake the helper."""
    farms.tasks(*(40 * [f"head -c {INLINE_BYTES + 1} /dev/zero"]))
    ended = farms.run(2, "--threads", "1", "tasks.txt")
    assert (ended.code, len(ended.out)) == (0, 40 * (INLINE_BYTES + 1))


# Rank 0, with workers that a test plays


@pytest.fixture
def rank_0(farms: Farms, monkeypatch: pytest.MonkeyPatch) -> tuple[Manager, list[int]]:
    """A manager that has dealt 200 tasks to one worker, and their offsets."""
    offsets = farms.tasks(*(200 * ["true"]))
    monkeypatch.chdir(farms.directory)
    config = Config("tasks.txt", output="all.out")
    opened = open_run(config)
    assert opened.journal
    manager = Manager(config, FakeComm(2), opened, opened.journal, [1], 0.0)
    manager.on_message(Received(1, Tag.HELLO, wire.pack_hello(Offer(200, 2, 2, "n1"))), 0.0)
    manager.on_message(Received(1, Tag.REPORT, report(0, 200)), 0.0)
    manager.turn(0.0)
    return manager, offsets


def part(size: int) -> Received:
    return Received(1, Tag.REPORT, wire.pack_report(200, 0, body=bytes(size)))


def end(offset: int, size: int) -> Received:
    return Received(1, Tag.REPORT, report(200, 0, ended_record(offset, out_total=size)))


def test_outputs_that_have_arrived_need_no_descriptor_each(rank_0: tuple[Manager, list[int]], farms: Farms) -> None:
    manager, offsets = rank_0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 50, hard))
    try:
        for offset in offsets:
            manager.on_message(part(INLINE_BYTES + 1), 1.0)
            manager.on_message(end(offset, INLINE_BYTES + 1), 1.0)
        manager.turn(1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert farms.progress() == offsets
    assert (farms.directory / "all.out").stat().st_size == len(offsets) * (INLINE_BYTES + 1)


class Enough(Exception):
    """What arrived is more than rank 0 takes in one turn, many times over."""


def test_rank_0_has_its_turn_while_more_arrives_than_it_can_take(rank_0: tuple[Manager, list[int]], farms: Farms) -> None:
    """It has to write, to deal, to touch its lock, and to tell the workers that it is alive."""
    manager, offsets = rank_0

    def arriving() -> Iterator[Received]:
        yield end(offsets[0], 0)
        for _ in range(5 * TURN_BYTES // MIB):
            yield part(MIB)
        raise Enough

    arrived = arriving()
    comm = FakeComm(2)
    comm.poll = lambda: arrived  # type: ignore[method-assign]
    with pytest.raises(Enough):
        loop.run(comm, manager, None, SimpleNamespace(take=list))  # type: ignore[arg-type]
    assert farms.progress() == offsets[:1]
