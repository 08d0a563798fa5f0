"""What hypothesis can think of: the journal under kills at any write, lists that grow and change, messages of garbage."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import fuzz
import numpy as np
import pytest
from fakes import AT_ONCE, success
from fuzz import DEAD, JOBLOG, LIST, NAMES, OUTPUT, OUTPUT_LOCK, PROGRESS, laid, scratch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from lists import CHUNKS, LINES, lines_of, tasks_of, tfin_of
from simdisk import Disk, Killed

from mpifarm import FarmError
from mpifarm.ended import Ended
from mpifarm.journal import fastrecovery
from mpifarm.journal.journal import Journal
from mpifarm.journal.lines import Attempt
from mpifarm.journal.opening import Run, open_run
from mpifarm.journal.spool import Spool
from mpifarm.ranks import wire
from mpifarm.ranks.wire import Message
from mpifarm.settings import Config
from mpifarm.site.offer import Offer
from mpifarm.tasks import tfin
from mpifarm.tasks.scan import position, records_at
from mpifarm.tasks.tfin import checksum
from mpifarm.tasks.walk import Walk

EXAMPLES = int(os.environ.get("MPIFARM_EXAMPLES", min(40, settings().max_examples // 2)))
SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=25,
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=list(HealthCheck),
)
NOTHING = memoryview(b"")
PLACES = st.integers(0, 99)  # of a task among those that could be meant
TEXT = st.binary(max_size=9).map(lambda text: text.replace(b"\0", b"0"))  # zeros at the end are what a crash leaves
HOW = st.sampled_from(["succeeded", "succeeded", "succeeded, spooled", "failed", "timed out", "failed for good"])
ENDS = st.lists(st.tuples(PLACES, HOW, TEXT), max_size=4)
CONFIGS = {  # the lists are any lines
    output: Config("tasks.txt", output=str(OUTPUT) if output else None, quiet=True, anyway=True, ignore_directives=True)
    for output in (False, True)
}


def walk_from(run: Run) -> Walk:
    return Walk(run.scan.descriptor, run.scan.size, run.start.offset, run.start.seq)


def checkpoint(run: Run, journal: Journal, walk: Walk, left: list[int]) -> None:
    """Write fastrecovery as the manager does."""
    journal.checkpoint(*position_of(run, walk), left)


def position_of(run: Run, walk: Walk) -> tuple[int, int, int]:
    """Return what a checkpoint says of how far the list was dealt."""
    return walk.seq - 1, walk.offset, checksum(run.scan.descriptor, 0, walk.offset)


def spooled(text: bytes) -> Spool:
    spool = Spool()
    spool.append(memoryview(text))
    return spool


class JournalMachine(RuleBasedStateMachine):
    """Successes are told in an order; what a kill leaves is a beginning of it, with a block for each in --output."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(scratch())
        self.disk = Disk(random.Random(0))
        self.now = 0.0
        self.opened = False
        self.told: list[tuple[int, bytes]] = []  # successes: offset and block
        self.flushed = self.synced = 0  # how many of them survive a kill, and a crash of the node

    @initialize(tasks=st.integers(1, 12), output=st.booleans())
    def begin(self, tasks: int, output: bool) -> None:
        LIST.write_bytes(b"".join(b"echo %d\n" % (number**3) for number in range(tasks)))
        self.output = output
        self.open()

    def open(self) -> None:
        with self.disk.installed():
            self.run = open_run(CONFIGS[self.output], AT_ONCE)
        assert self.run.journal is not None
        self.journal, self.opened = self.run.journal, True
        self.walk = walk_from(self.run)
        self.dealt: list[tuple[int, int, int]] = self.run.start.again.tolist()  # and not done
        self.failed: list[int] = []

    def teardown(self) -> None:
        self.close()
        self.stack.close()

    def close(self) -> None:
        """Let the kernel close the files."""
        if self.opened:
            self.opened = False
            self.journal.close()

    @rule(count=st.integers(0, 5), ends=ENDS)
    def work(self, count: int, ends: list[tuple[int, str, bytes]]) -> None:
        """Deal *count* tasks; let some end."""
        self.dealt += self.walk.take(count).tolist()
        for place, end, text in ends:
            if self.dealt:
                self.end(self.dealt.pop(place % len(self.dealt)), end, text)

    def end(self, task: tuple[int, int, int], end: str, text: bytes) -> None:
        offset, length, seq = task
        status, flags = int("failed" in end), Ended.TIMED_OUT if end == "timed out" else 0
        attempt = Attempt(offset, length, seq, 1, "nid-1", 1, status, flags, 1.7e9, 0.1, 0.1, 0.1, 9, 0, len(text), b"echo")
        if end.startswith("succeeded"):
            spool = spooled(text[:3]) if "spooled" in end else None
            out = memoryview(text)[3 if spool else 0 :]
            self.journal.succeeded(success(attempt, len(out)), spool, out, NOTHING)
            self.told.append((offset, text))
            return
        self.journal.failed(attempt, memoryview(text), memoryview(text), end == "failed for good")
        if end == "failed for good":
            self.failed.append(offset)
        else:
            self.dealt.append(task)

    @rule()
    def flush(self) -> None:
        with self.disk.installed():
            self.journal.flush()
        self.flushed = len(self.told)

    @rule()
    def sync(self) -> None:
        self.now += 2.0
        with self.disk.installed():
            self.journal.sync(self.now)
        self.synced = self.flushed

    @rule()
    def checkpoint(self) -> None:
        self.flush()
        with self.disk.installed():
            checkpoint(self.run, self.journal, self.walk, [*self.failed, *(offset for offset, _, _ in self.dealt)])
        self.synced = self.flushed

    @rule(
        ends=ENDS,
        doing=st.sampled_from(["flush", "sync", "checkpoint"]),
        left=st.integers(0, 12),
        crash=st.booleans(),
        rng=st.randoms(use_true_random=False),
    )
    def kill(self, ends: list[tuple[int, str, bytes]], doing: str, left: int, crash: bool, rng: random.Random) -> None:
        """The manager dies after *left* operations of what it is doing; so does its node, if *crash*."""
        self.work(1, ends)
        self.disk.random, self.disk.left = rng, left
        with suppress(Killed):
            getattr(self, doing)()
        self.disk.left = None
        self.close()
        if crash:
            self.disk.crash()
        for lock in (NAMES.lock, OUTPUT_LOCK)[: 1 + self.output]:
            lock.write_text(DEAD)
        self.open()
        self.check_after(self.synced if crash else self.flushed)

    def check_after(self, certain: int) -> None:
        lines = [int(line.split()[0]) for line in Path(PROGRESS).read_bytes().splitlines()]
        assert lines == [offset for offset, _ in self.told[: len(lines)]], "not what was told, or not in that order"
        assert len(lines) >= certain, "lost"
        assert {*fuzz.left(self.run), *lines} == {offset for offset, _, _ in tasks_of(LIST.read_bytes())}
        assert not {*fuzz.left(self.run)} & {*lines}, "would run again"
        self.told = self.told[: len(lines)]
        self.flushed = self.synced = len(lines)  # opening has synced
        if self.output:
            assert OUTPUT.read_bytes() == b"".join(out for _, out in self.told)
        assert {line.count(b"\t") for line in Path(JOBLOG).read_bytes().splitlines()} == {14}

    @precondition(lambda self: not self.dealt and not self.failed and self.walk.offset == self.run.scan.size)
    @rule()
    def finish(self) -> None:
        self.flush()
        self.journal.finish(*position_of(self.run, self.walk))
        self.close()
        self.run.lock.release()
        assert open_run(CONFIGS[self.output], AT_ONCE).journal is None
        told = fastrecovery.remembered(NAMES.done)
        NAMES.done.unlink()
        if self.output and not any(text for _, text in self.told):  # without the records nobody knows of --output
            with pytest.raises(FarmError, match="without --output"):
                open_run(CONFIGS[True])
            NAMES.done.write_bytes(fastrecovery.done_content(told))
            NAMES.tfin.unlink()  # so it is looked at again
        self.open()
        self.check_after(len(self.told))


TestJournal = JournalMachine.TestCase
TestJournal.settings = SETTINGS

LINE = st.sampled_from(LINES) | st.binary(max_size=6).map(lambda line: line.replace(b"\0", b"0"))


class ListMachine(RuleBasedStateMachine):
    """A list is dealt, grows and changes between runs; the model reads it line by line."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(scratch())
        self.patch = self.stack.enter_context(pytest.MonkeyPatch.context())
        self.dealt: list[tuple[int, int, int]] = []
        self.opened = False

    @initialize(lines=st.lists(LINE, max_size=8))
    def begin(self, lines: list[bytes]) -> None:
        self.content = b"\n".join([*lines, b"echo first", b""])
        LIST.write_bytes(self.content)
        self.open()

    def open(self) -> None:
        self.run = open_run(CONFIGS[False])
        assert self.run.journal is not None
        self.journal, self.opened = self.run.journal, True
        self.walk = walk_from(self.run)

    def close(self) -> None:
        self.opened = False
        checkpoint(self.run, self.journal, self.walk, [])
        self.journal.close()
        self.run.lock.release()

    def teardown(self) -> None:
        if self.opened:
            self.close()
        self.stack.close()

    @rule(count=st.integers(1, 5))
    def deal(self, count: int) -> None:
        self.dealt += self.walk.take(count).tolist()
        assert self.dealt == tasks_of(self.content)[: len(self.dealt)]

    @rule(chunk_bytes=CHUNKS, lines=st.lists(LINE, max_size=3), newline=st.booleans())
    def grow(self, chunk_bytes: int, lines: list[bytes], newline: bool) -> None:
        self.start_again(chunk_bytes, self.content + b"\n".join(lines) + b"\n" * newline)

    @rule(chunk_bytes=CHUNKS, place=PLACES, lines=st.lists(LINE, max_size=2), dropped=st.integers(0, 2))
    def edit(self, chunk_bytes: int, place: int, lines: list[bytes], dropped: int) -> None:
        before = self.content.split(b"\n")
        at = place % len(before)
        self.start_again(chunk_bytes, b"\n".join([*before[:at], *lines, *before[at + dropped :]]))

    def start_again(self, chunk_bytes: int, content: bytes) -> None:
        """End the run, let the list be *content*, and start another run: of what was dealt no byte may differ."""
        self.close()
        self.patch.setattr(tfin, "CHUNK_BYTES", chunk_bytes)
        end = self.walk.offset
        same = tfin_of(content)[:end] == tfin_of(self.content)[:end]
        if same and tasks_of(content):
            self.content = content
        else:
            LIST.write_bytes(content)
            if not same:
                before = laid()
                with pytest.raises(FarmError, match=r"changed|shorter|fit"):
                    open_run(CONFIGS[False])
                assert laid() == before
        LIST.write_bytes(self.content)
        self.open()

    @invariant()
    def every_offset_is_known(self) -> None:
        if not hasattr(self, "run"):
            return
        scan, records, tasks = self.run.scan, tfin_of(self.content), tasks_of(self.content)
        assert NAMES.tfin.read_bytes() == records
        assert (scan.size, scan.tasks) == (len(records), len(tasks))
        offsets = np.arange(-1, scan.size + 2)
        found, is_task = records_at(scan, offsets)
        assert [tuple(record) for record in found[is_task].tolist()] == tasks
        assert position(scan, scan.size) == (len(lines_of(self.content)) + 1, len(tasks))


TestList = ListMachine.TestCase
TestList.settings = SETTINGS


GARBAGE = st.binary(max_size=300).map(lambda content: np.frombuffer(content, dtype=np.uint8))
BYTE = st.tuples(st.integers(0, 10**6), st.integers(0, 255))


@pytest.mark.parametrize("unpack", [wire.unpack_hello, wire.unpack_report, wire.unpack_grant, wire.unpack_stop])
@given(message=GARBAGE)
@SETTINGS
def test_garbage_is_refused_or_read(unpack: Callable[[Message], object], message: Message) -> None:
    with suppress(FarmError, ValueError):
        unpack(message)


@given(st.integers(-(2**31), 2**31 - 1), st.binary(max_size=400))
@SETTINGS
def test_a_report_that_is_read_is_read_as_a_whole(records: int, body: bytes) -> None:
    message = wire.pack_report(0, 0, records=records, body=body)
    with suppress(ValueError):
        report = wire.unpack_report(message)
        assert report.ended.size == records
        assert report.ended.nbytes + len(report.output) == len(body)


@given(BYTE, st.text(max_size=300))
@SETTINGS
def test_a_hello_with_any_byte_changed_is_refused_or_read(byte: tuple[int, int], node: str) -> None:
    at, value = byte
    message = wire.pack_hello(Offer(1, 2**31 - 1, 1, node)).copy()
    message[at % message.size] = value
    with suppress(FarmError):
        assert len(wire.unpack_hello(message).node.encode(errors="replace")) <= 3 * 256
