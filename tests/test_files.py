"""Creating and replacing, with real failed writes: a limit on the size of files stands for a full disk."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lists import at_will

from mpifarm import files


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """Let no file grow beyond *size* bytes: writes succeed in part, then fail (Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_a_replacement_is_whole_and_leaves_nothing_beside_it(path: Path) -> None:
    files.new_name(path).write_bytes(b"what a kill has left")
    for content in (b"first", b"", b"x" * 2**20):
        files.replace(path, content, at_will)
        assert path.read_bytes() == content
        assert os.listdir(path.parent) == ["file"]


def test_a_replacement_that_fails_leaves_the_old_file(path: Path) -> None:
    path.write_bytes(b"old")
    with full_at(100), pytest.raises(OSError, match="too large"):
        files.replace(path, b"x" * 200, at_will)
    assert path.read_bytes() == b"old"


def test_a_new_file_takes_the_place_of_a_link_and_not_of_what_it_names(path: Path) -> None:
    victim = path.with_name("victim")
    victim.write_bytes(b"keep")
    path.symlink_to(victim)
    with files.create(path, at_will) as file:
        file.write(b"new")
    assert (victim.read_bytes(), path.read_bytes(), path.is_symlink()) == (b"keep", b"new", False)


@pytest.mark.parametrize(
    ("error", "option", "told"),
    [
        (OSError(5, "Input/output error", "log.t.tfin"), "", "cannot read the files of t: log.t.tfin: Input/output error"),
        (OSError(5, "Input/output error"), "--show", "--show: cannot read the files of t: Input/output error"),
        (OSError("cut short"), "", "cannot read the files of t: cut short"),
    ],
)
def test_what_cannot_be_read_is_named_as_far_as_it_is_known(error: OSError, option: str, told: str) -> None:
    assert str(files.unreadable(error, "t", option)) == told
