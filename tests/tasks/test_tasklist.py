"""The .tfin file against a model and against TaskFarmer's own commands, and the walk over its records, chunk by chunk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm import FarmError
from mpifarm.tasks import tasklist
from mpifarm.tasks.tasklist import Records, Scan, Tasklist, Walk

LIST = Path("tasks.txt")
TFIN = Path("tasks.txt.tfin")
LINES = (
    b"",
    b"#",
    b"# c",
    b" ",
    b"\t # c",
    b"\r",
    b"echo 1\r",
    b'"a b" c',
    b"  echo 2",
    b"!x",
    b"#\r",
    b"\xff\xfe",
    b"a#b",
    b" \t" * 20,  # further than is looked column by column
    b" \t" * 20 + b"# c",
    b" \t" * 20 + b"echo 3",
    b"\xef\xbb\xbfecho 4",
    b"\xef\xbb\xbf",
    b"\xef\xbb\xbf # c\r",
    b"\xef\xbc\xa1",  # begins like a byte-order mark
)
CONTENTS = st.lists(st.sampled_from(LINES) | st.binary(max_size=8).map(lambda line: line.replace(b"\0", b"0"))).map(
    b"\n".join
)
CHUNKS = st.integers(1, 64)


@pytest.fixture(autouse=True, scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        yield


@pytest.fixture(autouse=True)
def afresh() -> None:
    for path in Path().iterdir():
        path.unlink()


def write(content: bytes) -> Tasklist:
    LIST.write_bytes(content)
    return Tasklist(LIST)


def scanned(content: bytes, chunk_bytes: int = tasklist.CHUNK_BYTES) -> tuple[Tasklist, Scan]:
    """Scan and commit *content*."""
    made = write(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasklist, "CHUNK_BYTES", chunk_bytes)
        scan = made.scan()
    made.commit()
    return made, scan


def lines_of(content: bytes) -> list[tuple[int, bytes]]:
    """The model: number and text of the lines that stay."""
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [(number, line) for number, line in enumerate(lines, start=1) if not line.startswith(b"#")]


def tfin_of(content: bytes) -> bytes:
    return b"".join(b"> " + line + b"\n" for _, line in lines_of(content))


def tasks_of(content: bytes) -> list[tuple[int, int, int]]:
    """The model: offset, length, seq of the tasks."""
    tasks, offset = [], 0
    for seq, (_, line) in enumerate(lines_of(content), start=1):
        command = line.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r")
        if command and not command.startswith(b"#"):
            tasks.append((offset, len(line) + 3, seq))
        offset += len(line) + 3
    return tasks


def taken(walk: Walk, count: int) -> list[tuple[int, int, int]]:
    found: list[tuple[int, int, int]] = []
    while (some := walk.take(count)).size:
        assert some.size == count or walk.offset == walk._size  # fewer at the end only
        found += some.tolist()
    return found


# the .tfin file


@given(CONTENTS, CHUNKS)
def test_the_tfin_file_is_what_the_model_makes(content: bytes, chunk_bytes: int) -> None:
    _, scan = scanned(content, chunk_bytes)
    assert TFIN.read_bytes() == tfin_of(content)
    assert (scan.size, scan.tasks) == (len(tfin_of(content)), len(tasks_of(content)))
    assert scan.carriage_returns == (b"\r\n" in tfin_of(content))
    assert not Path("tasks.txt.tfin.new").exists()


@pytest.mark.skipif(not (shutil.which("egrep") and shutil.which("awk")), reason="no egrep or awk here")
@pytest.mark.parametrize("chunk_bytes", [1, 9, tasklist.CHUNK_BYTES])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"#\n",
        b"# only",
        b"echo 1",
        b"echo 1\n# a comment",
        b"# first\necho 1\n\n   \n  # indented\n#\n#x\necho '#'\n\n",
        b"echo 1\r\n\r\n# c\r\necho 2\r\n",
        b"caf\xe9 \xff\xfe\n\xc3\xa9\n",
        b"echo " + b"x" * 2**20 + b"\n# " + b"y" * 2**20 + b"\necho 2",
        b"\\t %s $0 \\\n> echo\n",
    ],
    ids=lambda case: repr(case[:20]) if isinstance(case, bytes) else str(case),
)
def test_the_tfin_file_is_what_egrep_and_awk_make(content: bytes, chunk_bytes: int) -> None:
    scanned(content, chunk_bytes)
    command = """egrep -v '^#' tasks.txt | awk '{print "> "$0}'"""
    made = subprocess.run(command, shell=True, capture_output=True, env={**os.environ, "LC_ALL": "C"}, check=True)
    assert TFIN.read_bytes() == made.stdout


@given(CONTENTS, CONTENTS, CHUNKS)
def test_the_first_byte_that_differs_is_found(first: bytes, second: bytes, chunk_bytes: int) -> None:
    TFIN.unlink(missing_ok=True)
    _, scan = scanned(first)
    assert not scan.had_tfin
    old, new = tfin_of(first), tfin_of(second)
    common = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    _, scan = scanned(second, chunk_bytes)
    assert scan.had_tfin
    assert scan.differs_at == (None if old == new else common)
    assert TFIN.read_bytes() == new


def test_a_tfin_file_that_fits_is_not_touched() -> None:
    scanned(b"echo 1\n")
    before = TFIN.stat()
    scanned(b"# another comment\necho 1")
    assert (TFIN.stat().st_ino, TFIN.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_scan_that_is_discarded_leaves_the_old_file() -> None:
    scanned(b"echo 1\n")
    changed = write(b"echo 2\n")
    changed.scan()
    changed.discard()
    assert TFIN.read_bytes() == b"> echo 1\n"
    assert sorted(map(str, Path().iterdir())) == ["tasks.txt", "tasks.txt.tfin"]


def test_what_a_killed_scan_left_is_never_committed() -> None:
    scanned(b"echo 1\necho 2\n")
    Path("tasks.txt.tfin.new").write_bytes(b"> echo 1\n> ec")  # of an edited list, killed; the edit was taken back
    scanned(b"echo 1\necho 2\n")
    assert TFIN.read_bytes() == b"> echo 1\n> echo 2\n"


# lists that are none


@pytest.mark.parametrize("chunk_bytes", [1, 9, tasklist.CHUNK_BYTES])
def test_a_nul_byte_is_refused_with_its_line(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasklist, "CHUNK_BYTES", chunk_bytes)
    with pytest.raises(FarmError, match=r"tasks\.txt:4: a NUL byte"):
        write(b"# \0 is nothing in a comment\necho 1\n\necho \0\necho 3\n").scan()


def test_what_is_no_file_is_no_list() -> None:
    os.mkfifo("fifo")
    for path, why in (
        ("fifo", "not a regular file"),
        (".", "is a directory"),
        ("none", "no task list"),
        ("x" * 300, "cannot"),
    ):
        with pytest.raises(FarmError, match=why):
            Tasklist(Path(path))


# records


@given(CONTENTS, CHUNKS, st.integers(1, 5), st.randoms(use_true_random=False))
def test_a_walk_meets_every_task_once_and_in_order(content: bytes, chunk_bytes: int, count: int, random: Random) -> None:
    _, scan = scanned(content)
    tasks = tasks_of(content)
    done = sorted(random.sample([offset for offset, _, _ in tasks], len(tasks) // 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasklist, "CHUNK_BYTES", chunk_bytes)
        walk = Walk(scan.descriptor, scan.size, 0, 1, np.array(done, dtype=np.int64))
        assert taken(walk, count) == [task for task in tasks if task[0] not in done]
        assert (walk.offset, walk.seq) == (scan.size, len(lines_of(content)) + 1)


@given(CONTENTS, CHUNKS, st.integers(0, 5))
def test_a_walk_goes_on_where_another_one_stood(content: bytes, chunk_bytes: int, count: int) -> None:
    _, scan = scanned(content, chunk_bytes)
    none = np.empty(0, dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasklist, "CHUNK_BYTES", chunk_bytes)
        first = Walk(scan.descriptor, scan.size, 0, 1, none)
        head = first.take(count).tolist()
        assert tasklist.position(scan, first.offset) == (first.seq, len(head))
        assert head + taken(Walk(scan.descriptor, scan.size, first.offset, first.seq, none), 3) == tasks_of(content)


@given(CONTENTS, CHUNKS)
def test_every_offset_is_known_for_what_it_is(content: bytes, chunk_bytes: int) -> None:
    _, scan = scanned(content, chunk_bytes)
    tasks = {task[0]: task for task in tasks_of(content)}
    starts = dict.fromkeys(at for at in range(scan.size) if at == 0 or TFIN.read_bytes()[at - 1 : at] == b"\n")
    offsets = np.arange(-1, scan.size + 2)
    found, is_task = tasklist.records_at(scan, offsets)
    assert found["offset"].tolist() == offsets.tolist()
    assert found["offset"][found["length"] > 0].tolist() == list(starts)
    assert [tuple(record) for record in found[is_task].tolist()] == list(tasks.values())
    assert [at for at in offsets if tasklist.position(scan, int(at))] == sorted({0, *starts, scan.size})


@given(CONTENTS, CHUNKS)
def test_every_byte_is_traced_to_its_line(content: bytes, chunk_bytes: int) -> None:
    made, _ = scanned(content, chunk_bytes)
    lines = [number for number, line in lines_of(content) for _ in range(len(line) + 3)]
    assert [made.line_at(at) for at in range(len(lines))] == lines


@given(CONTENTS, CHUNKS)
def test_a_watch_sees_every_line_with_its_number_and_the_tasks_before_it(content: bytes, chunk_bytes: int) -> None:
    seen: list[tuple[bytes, int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasklist, "CHUNK_BYTES", chunk_bytes)
        write(content).scan(lambda *chunk: seen.append(chunk))
    assert b"".join(lines for lines, _, _ in seen) == content
    before = b""
    for lines, number, tasks in seen:
        assert (number, tasks) == (1 + before.count(b"\n"), len(tasks_of(before)))
        before += lines


@given(CONTENTS, st.integers(1, 40))
def test_the_ends_of_a_list_are_whole_lines_in_their_places(content: bytes, size: int) -> None:
    made = write(content)
    parts = made.ends(size)
    assert made.head(size) == content[:size]
    if len(content) <= 2 * size:
        assert parts == [(0, content)]
        return
    (start, head), (place, tail) = parts
    assert (start, head) == (0, content[: content.rfind(b"\n", 0, size) + 1])
    assert tail == content[place:]
    cut = content.find(b"\n", len(content) - size)  # the line that the size cuts is left out
    assert place == (cut + 1 if cut >= 0 else len(content))


@given(CONTENTS, CHUNKS)
def test_every_place_in_a_list_has_its_line(content: bytes, chunk_bytes: int) -> None:
    made = write(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasklist, "CHUNK_BYTES", chunk_bytes)
        assert [made.number_at(at) for at in range(len(content))] == [
            1 + content.count(b"\n", 0, at) for at in range(len(content))
        ]


def test_a_line_of_a_mebibyte_is_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasklist, "CHUNK_BYTES", 100)
    long = b"echo " + b"x" * 2**20
    _, scan = scanned(b"echo 1\n" + long + b"\necho 3\n")
    records: Records = Walk(scan.descriptor, scan.size, 0, 1, np.empty(0, dtype=np.int64)).take(9)
    assert records["length"].tolist() == [9, len(long) + 3, 9]
    assert tasklist.command_of(os.pread(scan.descriptor, int(records[1]["length"]), 9)) == long


@pytest.mark.parametrize(
    ("record", "command"),
    [
        (b"> a\r\n", b"a"),
        (b"> a\r\r\n", b"a\r"),
        (b">   a \n", b"  a "),
        (b"> > a\n", b"> a"),
        (b"> \xef\xbb\xbfa\r\n", b"a"),
        (b"> a\xef\xbb\xbf\n", b"a\xef\xbb\xbf"),
    ],
)
def test_a_command_loses_its_mark_and_one_carriage_return_and_a_byte_order_mark(record: bytes, command: bytes) -> None:
    assert tasklist.command_of(record) == command


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
    monkeypatch.setattr(tasklist, "CHUNK_BYTES", 9)
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


@given(st.lists(st.integers(-9, 9)), st.lists(st.integers(-9, 9)))
def test_offsets_are_found_among_others(values: list[int], others: list[int]) -> None:
    members = tasklist.distinct(np.array(others, dtype=np.int64))
    assert members.tolist() == sorted(set(others))
    found = tasklist.among(np.array(values, dtype=np.int64), members)
    assert found.tolist() == [value in others for value in values]


def test_a_checksum_goes_on_from_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasklist, "CHUNK_BYTES", 4)
    _, scan = scanned(b"echo 1\necho 2\n")
    first = tasklist.checksum(scan.descriptor, 0, 9)
    assert first == zlib.crc32(b"> echo 1\n")
    assert tasklist.checksum(scan.descriptor, 9, scan.size, first) == zlib.crc32(TFIN.read_bytes())


def test_a_list_is_never_in_memory_as_a_whole() -> None:
    lines = 200_000
    content = b"".join(b"echo %d # and some more words\n" % number for number in range(lines))
    write(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasklist, "CHUNK_BYTES", 64 * 1024)
        tracemalloc.start()
        try:
            made = Tasklist(LIST)  # keeps the file of the scan open
            scan = made.scan()
            walk = Walk(scan.descriptor, scan.size, 0, 1, np.empty(0, dtype=np.int64))
            assert sum(iter(lambda: walk.take(1000).size, 0)) == lines
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < len(content) / 4
