"""Which commands of a list start a step of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mpifarm.tasks import starters


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (b"srun --exclusive -N1 -n1 ./x", "srun"),
        (b"A=1 /usr/bin/srun ./x", "srun"),
        (b"time srun ./x", "srun"),
        (b"sh -c 'srun ./x'", "srun"),
        (b"mpiexec -n 2 ./x", "mpiexec"),
        (b"mpirun ./x", "mpirun"),
    ],
)
def test_what_would_wait(command: bytes, name: str) -> None:
    said = starters.advice(command)
    assert said is not None
    calls = "" if name == "srun" else "calls srun, which "
    assert said.startswith(f"{name} in a task {calls}waits for the farm's own step")


@pytest.mark.parametrize(
    "command",
    [
        b"srun --overlap ./x",
        b"SLURM_OVERLAP=1 mpirun ./x",
        b"mpiexec -launcher fork -n 2 ./x",
        b"mpirun --mca plm isolated ./x",
        b"./srun.sh",
        b"my-srun x",
        b"./x srun=3",
        b"./mpiexec_like",
        b"",
    ],
)
def test_what_would_not(command: bytes) -> None:
    assert starters.advice(command) is None


def test_both_ends_of_a_list_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starters, "_LOOK_BYTES", 100)
    path = tmp_path / "tasks.txt"
    filler = b"echo 1\n" * 100
    for content, seen in (
        (b"srun ./x\n" + filler, True), (filler + b"srun ./x\n", True), (filler + b"srun ./x\n" + filler, False),
        (b"", False), (b"srun", True), (b"e" * 98 + b" srun ./x\n", True),
    ):  # fmt: skip
        path.write_bytes(content)
        assert starters.mentioned(str(path)) is seen


def test_what_is_no_list_has_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "absent", ".", "a\0b"):
        assert not starters.mentioned(str(tmp_path / name))
