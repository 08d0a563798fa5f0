"""The width of a terminal that only the launcher has."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpifarm.site import terminal

ASKED = "from mpifarm.site import terminal; print(terminal.columns())"
LAUNCHER = f"""
import subprocess, sys
asked = subprocess.run([sys.executable, "-c", {ASKED!r}], stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                       start_new_session=True, check=True)
sys.stdout.buffer.write(asked.stdout)
"""


@pytest.fixture
def follower() -> Iterator[int]:
    """Return a terminal of 57 columns."""
    leader, follower = os.openpty()
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 57, 0, 0))
    yield follower
    os.close(leader)
    os.close(follower)


def asked(program: str, stderr: int) -> int:
    environ = {**os.environ, "PYTHONPATH": str(Path(terminal.__file__).parents[2])}
    answer = subprocess.run([sys.executable, "-c", program], env=environ, stdout=subprocess.PIPE, stderr=stderr, check=True)
    return int(answer.stdout)


@pytest.mark.parametrize("program", [ASKED, LAUNCHER])
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc here")
def test_it_is_as_wide_as_ours_or_as_that_of_who_started_us(program: str, follower: int) -> None:
    assert asked(program, follower) == 57


def test_without_a_terminal_a_width_is_assumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_descriptor: int) -> os.terminal_size:
        raise OSError

    monkeypatch.setattr(os, "get_terminal_size", nobody)
    assert terminal.columns(tmp_path) == terminal.USUAL


def test_a_pipe_of_an_ancestor_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    os.close(writer)
    assert terminal._width(tmp_path / "pipe") == 0
