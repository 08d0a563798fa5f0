"""What is left of a file's end after a kill or a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpifarm.journal import tails


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.mark.parametrize("zeros", [0, 5, 65535, 65536, 200_000])
@pytest.mark.parametrize("whole", [b"", b"\n", b"a\nb\n", b"x" * 65535 + b"\n", b"x" * 65536 + b"\n"])
@pytest.mark.parametrize("torn", [b"", b"torn"])
def test_whole_lines_end_at_the_last_newline(path: Path, whole: bytes, torn: bytes, zeros: int) -> None:
    path.write_bytes(whole + torn + bytes(zeros))
    assert tails.whole_lines(path) == len(whole)
