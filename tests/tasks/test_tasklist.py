"""A list is scanned into its .tfin file, and its lines and ends are found again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lists import CHUNKS, CONTENTS, TFIN, at_will, lines_of, scanned, tasks_of, tfin_of, write

from mpifarm import FarmError
from mpifarm.tasks import tfin
from mpifarm.tasks.tasklist import Tasklist


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


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
    changed.scan(at_will)
    changed.discard(at_will)
    assert TFIN.read_bytes() == b"> echo 1\n"
    assert sorted(map(str, Path().iterdir())) == ["tasks.txt", "tasks.txt.tfin"]


def test_what_a_killed_scan_left_is_never_committed() -> None:
    scanned(b"echo 1\necho 2\n")
    Path("tasks.txt.tfin.new").write_bytes(b"> echo 1\n> ec")  # of an edited list, killed; the edit was taken back
    scanned(b"echo 1\necho 2\n")
    assert TFIN.read_bytes() == b"> echo 1\n> echo 2\n"


@pytest.mark.parametrize("chunk_bytes", [1, 9, tfin.CHUNK_BYTES])
def test_a_nul_byte_is_refused_with_its_line(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfin, "CHUNK_BYTES", chunk_bytes)
    with pytest.raises(FarmError, match=r"tasks\.txt:4: a NUL byte"):
        write(b"# \0 is nothing in a comment\necho 1\n\necho \0\necho 3\n").scan(at_will)


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


@given(CONTENTS, CHUNKS)
def test_every_byte_is_traced_to_its_line(content: bytes, chunk_bytes: int) -> None:
    made, _ = scanned(content, chunk_bytes)
    lines = [number for number, line in lines_of(content) for _ in range(len(line) + 3)]
    assert [made.line_at(at) for at in range(len(lines))] == lines


@given(CONTENTS, CHUNKS)
def test_a_watch_sees_every_line_with_its_number_and_the_tasks_before_it(content: bytes, chunk_bytes: int) -> None:
    seen: list[tuple[bytes, int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfin, "CHUNK_BYTES", chunk_bytes)
        write(content).scan(at_will, lambda *chunk: seen.append(chunk))
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
        patch.setattr(tfin, "CHUNK_BYTES", chunk_bytes)
        assert [made.number_at(at) for at in range(len(content))] == [
            1 + content.count(b"\n", 0, at) for at in range(len(content))
        ]
