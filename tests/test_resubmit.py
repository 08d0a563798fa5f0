"""The batch script that requeues itself, with a srun, squeue and scontrol that a test plays."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "slurm" / "resubmit.sbatch"
NAME = "tasks.txt.tfin"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for path in ("tasks.txt", "sub/tasks.txt"):
        (tmp_path / path).write_text("echo 1\n")
    return tmp_path


def submitted(here: Path, srun: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the script; *srun* is what srun does, a shell script. What requeues and sleeps is written to `asked`."""
    commands = {"srun": f'[ "$1" = --help ] && exit\nprintf "%s\\n" "$*" >> started\n{srun}', "squeue": "echo 2"}
    commands |= {"python": "exit 0"}  # it has mpifarm
    commands |= {name: f'echo {name} "$*" >> asked' for name in ("scontrol", "sleep")}
    (here / "bin").mkdir()
    for name, body in commands.items():
        (here / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (here / "bin" / name).chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "MPIFARM"))}
    job = {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "4", **more}
    environ = {**inherited, "PATH": f"{here}/bin:{os.environ['PATH']}", **job}
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments], env=environ, capture_output=True, text=True, check=False, timeout=60
    )


def asked(here: Path) -> list[str]:
    path = here / "asked"
    return path.read_text().splitlines() if path.exists() else []


def starts(here: Path) -> list[str]:
    """Return what follows `python -I -m mpifarm --manager-works` at each start."""
    return [
        line.partition("python -I -m mpifarm --manager-works ")[2] for line in (here / "started").read_text().splitlines()
    ]


def test_a_job_that_has_finished_tasks_is_requeued(here: Path) -> None:
    (here / f"progress.{NAME}").write_text("0 n1-1 1.0 0 1 1\n")
    ended = submitted(here, f"echo line >> progress.{NAME}; exit 3", "tasks.txt")
    assert ended.returncode == 0
    assert asked(here) == ["scontrol requeue 7"]


def test_a_job_that_has_rewritten_progress_for_an_edited_list_is_requeued(here: Path) -> None:
    (here / f"progress.{NAME}").write_text("0 n1-1 1.0 0 1 1\n" * 9)
    rewritten = f"echo line > new; mv new progress.{NAME}; exit 3"
    assert submitted(here, rewritten, "--edited", "tasks.txt").returncode == 0
    assert asked(here) == ["scontrol requeue 7"]


@pytest.mark.parametrize("before", ["", "0 n1-1 1.0 0 1 1\n"])
def test_a_job_that_has_finished_none_is_not_requeued_and_says_so(here: Path, before: str) -> None:
    if before:
        (here / f"progress.{NAME}").write_text(before)
    ended = submitted(here, "exit 3", "tasks.txt")
    assert ended.returncode == 3
    assert asked(here) == []
    assert ended.stderr == f"resubmit.sbatch: no task was finished in this job: not requeued, see log.{NAME}\n"


def test_the_list_is_the_last_argument_and_options_stand_before_it(here: Path) -> None:
    ended = submitted(here, f"printf done > done.{NAME}; exit 137", "--timeout", "1h", "sub/tasks.txt")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert starts(here) == ["--timeout 1h sub/tasks.txt"]


def test_a_list_that_is_not_the_last_argument_is_refused(here: Path) -> None:
    ended = submitted(here, "exit 0", "tasks.txt", "--timeout", "1h")
    assert ended.returncode == 2
    assert "1h is no file: give the task list as the last argument" in ended.stderr
    assert not (here / "started").exists()


def test_starting_over_in_every_job_is_refused(here: Path) -> None:
    ended = submitted(here, "exit 3", "--rerun", "sub/tasks.txt")
    assert ended.returncode == 2
    assert f"remove progress.{NAME} and done.{NAME} instead" in ended.stderr
    assert not (here / "started").exists()


@pytest.mark.parametrize("again", [["--again", "3,17-20"], ["--again=3"]])
def test_running_some_again_in_every_job_is_refused(here: Path, again: list[str]) -> None:
    ended = submitted(here, "exit 3", *again, "sub/tasks.txt")
    assert ended.returncode == 2
    assert "--again would run them again in every job: give it once, to cpu.sbatch" in ended.stderr
    assert not (here / "started").exists()


def test_an_element_of_an_array_requeues_itself_alone(here: Path) -> None:
    """One of them has the id of the whole array."""
    element = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"}
    assert submitted(here, f"echo line >> progress.{NAME}; exit 3", "tasks.txt", **element).returncode == 0
    assert asked(here) == ["scontrol requeue 7_2"]


def test_without_a_list_it_is_tasks_txt(here: Path) -> None:
    assert submitted(here, f"printf done > done.{NAME}").returncode == 0
    assert starts(here) == ["tasks.txt"]


def test_an_old_done_file_is_no_success_when_the_farm_does_not_start(here: Path) -> None:
    (here / f"done.{NAME}").write_text("done")
    ended = submitted(here, "exit 139", "tasks.txt")
    assert ended.returncode == 139
    assert asked(here) == ["sleep 5"] * 5


def test_an_old_done_file_is_a_success_when_the_farm_says_so(here: Path) -> None:
    (here / f"done.{NAME}").write_text("done")
    assert submitted(here, "exit 0", "tasks.txt").returncode == 0
    assert len(starts(here)) == 1


@pytest.mark.parametrize("code", [1, 2])
def test_what_starting_again_does_not_mend_ends_it(here: Path, code: int) -> None:
    (here / f"done.{NAME}").write_text("done")
    assert submitted(here, f"echo line >> progress.{NAME}; exit {code}", "tasks.txt").returncode == code
    assert len(starts(here)) == 1
    assert asked(here) == []
