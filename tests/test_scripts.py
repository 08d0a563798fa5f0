"""The batch scripts that people copy: what they start, by a srun that a test plays. See also test_resubmit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "slurm"
ALL = sorted(path.name for path in SCRIPTS.glob("*.sbatch"))


def started(here: Path, script: str, *arguments: str) -> str:
    """Run a script; return the words behind `python -m mpifarm`, each in brackets."""
    (here / "srun").write_text("#!/bin/sh\nprintf '[%s]' \"$@\"\n")
    (here / "srun").chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    job = {
        "SLURM_JOB_ID": "7",
        "SLURM_CPUS_PER_TASK": "4",
        "SLURM_ARRAY_TASK_ID": "3",
        "PATH": f"{here}:{os.environ['PATH']}",
    }
    command = ["bash", str(SCRIPTS / script), *arguments]
    ended = subprocess.run(command, env={**inherited, **job}, cwd=here, capture_output=True, text=True, check=True)
    return ended.stdout.partition("[python][-m][mpifarm]")[2]


@pytest.mark.parametrize("script", ["cpu.sbatch", "gpu.sbatch", "runcommands.sh"])
def test_options_stand_before_the_list_and_are_passed_on_as_they_are(tmp_path: Path, script: str) -> None:
    assert started(tmp_path, script, "--timeout", "1h", "a list.txt") == "[--timeout][1h][a list.txt]"


@pytest.mark.parametrize("script", ["cpu.sbatch", "gpu.sbatch"])
def test_without_a_list_it_is_tasks_txt(tmp_path: Path, script: str) -> None:
    assert started(tmp_path, script) == "[tasks.txt]"


def test_each_element_of_an_array_has_a_list_and_an_output_of_its_own(tmp_path: Path) -> None:
    words = ("--retries", "0", "--output", "all %a.out")
    assert started(tmp_path, "array.sbatch", *words) == "[--retries][0][--output][all 3.out][tasks.3.txt]"
    assert started(tmp_path, "array.sbatch") == "[tasks.3.txt]"


@pytest.mark.parametrize("script", ALL)
def test_its_head_says_how_to_call_it(script: str) -> None:
    head = (SCRIPTS / script).read_text().split("#SBATCH")[0]
    assert f"#   sbatch {script} [options of mpifarm]" in head
