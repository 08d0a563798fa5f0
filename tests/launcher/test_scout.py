"""A scout tells what it finds, and nobody waits for one that does not come back."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

import pytest

from mpifarm.launcher import processes, scout


def test_what_a_scout_finds_is_told() -> None:
    assert scout.look(lambda: b"this") == b"this"
    assert scout.look(lambda: b"") == b""
    assert scout.look(lambda: bytes(10_000)) == bytes(select.PIPE_BUF)


def test_a_scout_that_fails_has_found_nothing() -> None:
    def fail() -> bytes:
        raise OSError("gone")

    assert scout.look(fail) == b""


def test_nobody_waits_for_a_scout_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scout, "PATIENCE_S", 0.1)

    def hang() -> bytes:
        time.sleep(600)
        return b"late"

    before = processes.Children().pids() or set()
    assert scout.look(hang) == b""
    for pid in (processes.Children().pids() or set()) - before:
        assert os.waitpid(pid, 0)[1] == 9


def test_a_scout_has_nothing_open_that_is_not_its_own(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    try:
        there = b"/proc/self/fd" if Path("/proc/self/fd").exists() else b"/dev/fd"
        listed = scout.look(lambda: b" ".join(sorted(os.listdir(there))))
        assert len(set(map(int, listed.split())) - {0, 1, 2}) == 2  # its pipe, and what listdir has opened to look
    finally:
        os.close(ours)
        os.close(theirs)
