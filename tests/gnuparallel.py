"""GNU Parallel, asked what it would run: `--dry-run`, one call for many templates."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest


def commands(directory: Path, options: Sequence[str], template: str, sources: Sequence[str]) -> bytes:
    """Return the commands that GNU Parallel makes of *sources*, such as ::: a b, with *directory* as its HOME."""
    path = shutil.which("parallel")
    if path is None:
        pytest.skip("no GNU Parallel here")
    (directory / ".parallel").mkdir(exist_ok=True)
    (directory / ".parallel" / "will-cite").touch()
    environ = {**os.environ, "HOME": str(directory), "PARALLEL_SHELL": "/bin/sh", "LC_ALL": "C"}
    command = [path, "--will-cite", "--dry-run", "-k", "-j1", *options, template, *sources]
    ended = subprocess.run(command, env=environ, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b""), ended.stderr
    return ended.stdout


def of_templates(
    directory: Path, options: Sequence[str], templates: Sequence[str], sources: Sequence[str]
) -> list[list[bytes]]:
    """Return the commands of each of *templates*, in one call: it knows templates of several lines."""
    lines = commands(directory, options, "\n".join(("first", *templates)), sources).split(b"\n")[:-1]
    return [lines[at :: len(templates) + 1] for at in range(1, len(templates) + 1)]
