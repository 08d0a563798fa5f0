"""A full TMPDIR is told of, and nothing is touched that may hang."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from mpifarm.launcher.space import Space
from mpifarm.site.mounts import Place


def space(place: Path, lies: Place = Place.HERE) -> Space:
    mounts = SimpleNamespace(look=lambda: None, place=lambda _: lies)
    return Space({b"TMPDIR": os.fsencode(place)}, mounts)  # type: ignore[arg-type]


def measure(monkeypatch: pytest.MonkeyPatch, free_kib: int, inodes: int, free_inodes: int) -> None:
    told = SimpleNamespace(f_bavail=free_kib, f_frsize=1024, f_files=inodes, f_favail=free_inodes)
    monkeypatch.setattr(os, "statvfs", lambda _: told)


@pytest.mark.parametrize(
    ("free_kib", "inodes", "free_inodes", "lacking"),
    [
        (64, 9, 9, b""),
        (63, 9, 9, b"no space is left"),
        (64, 9, 0, b"no inode is left"),
        (64, 0, 0, b""),  # btrfs counts none
    ],
)
def test_a_file_system_is_full_that_takes_hardly_anything_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_kib: int, inodes: int, free_inodes: int, lacking: bytes
) -> None:
    measure(monkeypatch, free_kib, inodes, free_inodes)
    full = b"TMPDIR is full: %s on the file system of %s" % (lacking, os.fsencode(tmp_path))
    assert space(tmp_path).full() == (full if lacking else b"")


@pytest.mark.parametrize("lies", [Place.ELSEWHERE, Place.NOWHERE])
def test_what_may_hang_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lies: Place) -> None:
    measure(monkeypatch, 0, 9, 0)
    assert space(tmp_path, lies).full() == b""


def test_what_is_gone_meanwhile_is_not_full(tmp_path: Path) -> None:
    assert space(tmp_path / "gone").full() == b""
