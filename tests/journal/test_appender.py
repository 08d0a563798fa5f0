"""Appending, with real failed writes: a limit on the size of files stands for a full disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import warrant
from test_files import full_at

from mpifarm.journal.appender import Appender


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_parts_are_appended_in_order(path: Path) -> None:
    path.write_bytes(b"old\n")
    parts: list[bytes | memoryview] = [b"a\n", b"", memoryview(b"b\n"), b"x" * 3 * 2**20, b"", b"end\n"]
    appender = Appender(path, warrant(path))
    appender.append(parts)
    appender.append([])
    appender.close()
    assert path.read_bytes() == b"old\n" + b"".join(parts)
    assert appender.size == path.stat().st_size


@pytest.mark.parametrize("part", [b"x" * 90, b"x" * 2 * 2**20])
def test_what_was_written_in_part_is_cut_off_again(path: Path, part: bytes) -> None:
    appender = Appender(path, warrant(path))
    appender.append([b"whole\n"])
    with full_at(50 + len(part) - len(part) % 2**20), pytest.raises(OSError, match="too large"):
        appender.append([part, part])
    assert path.read_bytes() == b"whole\n"
    appender.append([b"more\n"])
    assert path.read_bytes() == b"whole\nmore\n"
    assert appender.size == 11


def test_parts_that_cannot_be_read_are_cut_off_again(path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"x" * 2 * 2**20
        raise OSError("the spool is gone")

    appender = Appender(path, warrant(path))
    with pytest.raises(OSError, match="spool"):
        appender.append(parts())
    assert path.read_bytes() == b""


def test_a_cut_only_shortens(path: Path) -> None:
    path.write_bytes(b"0123456789")
    appender = Appender(path, warrant(path))
    appender.cut(20)
    assert path.read_bytes() == b"0123456789"
    appender.cut(4)
    appender.append([b"!"])
    assert path.read_bytes() == b"0123!"
