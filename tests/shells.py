"""What the real shells say of a line."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SHELLS = {True: "dash", False: "bash"}  # by `dash`, as mpifarm's functions have it


def is_valid(text: bytes, dash: bool) -> bool:
    """Return whether the shell finds no error of syntax in *text*; it executes nothing."""
    return _run(["-n", "-c"], text, dash).returncode == 0


def result(text: bytes, dash: bool, directory: Path) -> tuple[int, bytes]:
    """Return the exit code of *text*, run in *directory*, and what it prints."""
    ended = _run(["-c"], text, dash, directory)
    return ended.returncode, ended.stdout


def _run(options: list[str], text: bytes, dash: bool, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    path = shutil.which(SHELLS[dash])
    if path is None:
        pytest.skip(f"no {SHELLS[dash]} here")
    command = [path, *options, os.fsdecode(text)]
    return subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False)
