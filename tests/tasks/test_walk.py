"""The walk over the records of a list, chunk by chunk."""

from __future__ import annotations

import os
import signal
import tracemalloc
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lists import CHUNKS, CONTENTS, LIST, TFIN, at_will, lines_of, scanned, tasks_of, write

from mpifarm.tasks import tfin
from mpifarm.tasks.scan import position
from mpifarm.tasks.tasklist import Tasklist
from mpifarm.tasks.tfin import Records
from mpifarm.tasks.walk import Walk


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def taken(walk: Walk, count: int) -> list[tuple[int, int, int]]:
    found: list[tuple[int, int, int]] = []
    while (some := walk.take(count)).size:
        assert some.size == count or walk.offset == walk._size  # fewer at the end only
        found += some.tolist()
    return found


@given(CONTENTS, CHUNKS, st.integers(1, 5), st.randoms(use_true_random=False))
def test_a_walk_meets_every_task_once_and_in_order(content: bytes, chunk_bytes: int, count: int, random: Random) -> None:
    _, scan = scanned(content)
    tasks = tasks_of(content)
    done = sorted(random.sample([offset for offset, _, _ in tasks], len(tasks) // 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfin, "CHUNK_BYTES", chunk_bytes)
        walk = Walk(scan.descriptor, scan.size, 0, 1, np.array(done, dtype=np.int64))
        assert taken(walk, count) == [task for task in tasks if task[0] not in done]
        assert (walk.offset, walk.seq) == (scan.size, len(lines_of(content)) + 1)


@given(CONTENTS, CHUNKS, st.integers(0, 5))
def test_a_walk_goes_on_where_another_one_stood(content: bytes, chunk_bytes: int, count: int) -> None:
    _, scan = scanned(content, chunk_bytes)
    none = np.empty(0, dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfin, "CHUNK_BYTES", chunk_bytes)
        first = Walk(scan.descriptor, scan.size, 0, 1, none)
        head = first.take(count).tolist()
        assert position(scan, first.offset) == (first.seq, len(head))
        assert head + taken(Walk(scan.descriptor, scan.size, first.offset, first.seq, none), 3) == tasks_of(content)


def test_a_line_of_a_mebibyte_is_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfin, "CHUNK_BYTES", 100)
    long = b"echo " + b"x" * 2**20
    _, scan = scanned(b"echo 1\n" + long + b"\necho 3\n")
    records: Records = Walk(scan.descriptor, scan.size, 0, 1, np.empty(0, dtype=np.int64)).take(9)
    assert records["length"].tolist() == [9, len(long) + 3, 9]
    assert tfin.command_of(os.pread(scan.descriptor, int(records[1]["length"]), 9)) == long


def test_a_tfin_file_that_was_cut_is_an_error_and_no_endless_loop() -> None:
    _, scan = scanned(b"echo 1\necho 2\n")
    os.truncate(TFIN, 5)

    def fail(*_: object) -> None:
        pytest.fail("an endless loop")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(2)
    try:
        with pytest.raises(OSError, match=r"ends in the middle"):
            Walk(scan.descriptor, scan.size, 0, 1, np.empty(0, dtype=np.int64)).take(1)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_what_was_read_before_a_chunk_that_cannot_be_read_is_still_to_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfin, "CHUNK_BYTES", 9)
    made, scan = scanned(b"echo 1\necho 2\necho 3\necho 4\n")
    walk = Walk(scan.descriptor, scan.size, 0, 1)
    assert walk.take(1)["offset"].tolist() == [0]
    os.truncate(TFIN, 20)
    for _ in range(2):
        with pytest.raises(OSError, match=r"ends in the middle"):
            walk.take(3)
        assert (walk.offset, walk.seq) == (9, 2)
    assert walk.take(1).tolist() == [(9, 9, 2)]
    assert (walk.offset, walk.seq) == (18, 3)
    assert made.tfin.stat().st_size == 20


def test_a_list_is_never_in_memory_as_a_whole() -> None:
    lines = 200_000
    content = b"".join(b"echo %d # and some more words\n" % number for number in range(lines))
    write(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfin, "CHUNK_BYTES", 64 * 1024)
        tracemalloc.start()
        try:
            made = Tasklist(LIST)  # keeps the file of the scan open
            scan = made.scan(at_will)
            walk = Walk(scan.descriptor, scan.size, 0, 1, np.empty(0, dtype=np.int64))
            assert sum(iter(lambda: walk.take(1000).size, 0)) == lines
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < len(content) / 4
