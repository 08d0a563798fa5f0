"""Whether a step would wait, by a srun that a test plays. The real one: tests/slurm/test_steps.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpifarm.site import steps

BUSY = "srun: error: Unable to create step for job 7: Requested nodes are busy"


def waits(here: Path, script: str) -> bool:
    (here / "srun").write_text(f"#!/bin/sh\n{script}\n")
    (here / "srun").chmod(0o755)
    return steps.wait({"PATH": f"{here}:/usr/bin:/bin", "OF_THE_TASK": "yes"})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_only_a_plain_busy_says_so(here: Path) -> None:
    assert waits(here, f"echo '{BUSY}' >&2; exit 1")
    assert not waits(here, "echo 'srun: error: Invalid account' >&2; exit 1")
    assert not waits(here, f"echo '{BUSY}' >&2")


def test_it_is_asked_in_the_environment_of_a_task_and_without_waiting(here: Path) -> None:
    assert not waits(here, f'echo "$*" > {here}/asked; echo $OF_THE_TASK >> {here}/asked')
    assert (here / "asked").read_text() == "--immediate -N1 -n1 true\nyes\n"


def test_no_srun_and_no_answer_say_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not steps.wait({"PATH": str(here)})
    monkeypatch.setattr(steps, "ASK_S", 0.1)
    assert not waits(here, "exec sleep 60")
