"""The batch scripts that people copy: what they start, by a srun that a test plays. See also test_resubmit."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "slurm"
ALL = sorted(path.name for path in SCRIPTS.glob("*.sbatch"))
STARTERS = [*ALL, "runcommands.sh"]


PYTHON = """#!/bin/sh
[ "$1" = -I ] && [ "$2" = -c ] && [ -z "$LACKING" ]
"""
SRUN = """#!/bin/sh
if [ "$1" = --help ]; then
    [ -n "$OLD" ] || echo "      --overlap               Force steps to overlap on the same resources"
    exit
fi
printf '[%s]' "$@"
echo done > done.tasks.txt.tfin
"""


def run(here: Path, script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a job, by a srun that prints its words, each in brackets, and a python that has mpifarm."""
    for name, body in (("srun", SRUN), ("squeue", "#!/bin/sh\necho 2\n"), ("a python", PYTHON)):
        (here / name).write_text(body)
        (here / name).chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "MPIFARM"))}
    job = {
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_ARRAY_TASK_ID": "3",
        "PATH": f"{here}:{os.environ['PATH']}",
        "MPIFARM_PYTHON": f"{here}/a python",
    }
    command = ["bash", str(SCRIPTS / script), *arguments]
    return subprocess.run(
        command, env={**inherited, **job, **environ}, cwd=here, capture_output=True, text=True, check=False, timeout=60
    )


def started(here: Path, script: str, *arguments: str, **environ: str) -> str:
    """Run a script; return the words behind `python -I -m mpifarm --manager-works`."""
    words = step(here, script, *arguments, **environ)
    return words.partition(f"[{here}/a python][-I][-m][mpifarm][--manager-works]")[2]


def step(here: Path, script: str, *arguments: str, **environ: str) -> str:
    """Run a script; return the words of its srun."""
    ended = run(here, script, *arguments, **environ)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


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


def test_each_has_the_template_that_stands_in_it_or_is_set(tmp_path: Path) -> None:
    assert started(tmp_path, "each.sbatch") == "[--each][./run {} > {#}.out][args.txt]"
    words = ("--colsep", "\\t", "some args.tsv")
    told = started(tmp_path, "each.sbatch", *words, TEMPLATE="./fit '{1}' {2}")
    assert told == "[--each][./fit '{1}' {2}][--colsep][\\t][some args.tsv]"


def test_the_job_array_in_the_head_of_each_is_given_as_it_is_written(tmp_path: Path) -> None:
    (line,) = [line for line in (SCRIPTS / "each.sbatch").read_text().splitlines() if "TEMPLATE='SLURM" in line]
    template, script, elements = shlex.split(line.removeprefix("#").replace("sbatch ", "", 1))
    told = started(tmp_path, script, elements, TEMPLATE=template.partition("=")[2])
    assert told == "[--each][SLURM_ARRAY_TASK_ID={} ./element.sh][1-1000]"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "tasks.txt").write_text("echo 1\n")
    return tmp_path


@pytest.mark.parametrize("script", STARTERS)
def test_the_farms_step_leaves_room_for_those_of_the_tasks(here: Path, script: str) -> None:
    assert step(here, script, "tasks.txt").startswith("[--overlap]")


@pytest.mark.parametrize("script", STARTERS)
def test_a_slurm_from_before_20_11_is_not_given_an_option_that_it_does_not_know(here: Path, script: str) -> None:
    assert "overlap" not in step(here, script, "tasks.txt", OLD="yes")


@pytest.mark.parametrize("script", STARTERS)
def test_a_rank_has_all_of_its_node_unless_sbatch_was_told_how_many_cpus(here: Path, script: str) -> None:
    """With -c all nodes would have to be as large as the first one, and with --overlap a smaller one gets one CPU."""
    words = step(here, script, "tasks.txt", SLURM_CPUS_ON_NODE="64")
    assert "[-c]" not in words
    assert "[--cpu-bind=none]" in words  # TaskPluginParam=autobind=threads would bind it to one CPU
    assert "[-c][8]" in step(here, script, "tasks.txt", SLURM_CPUS_ON_NODE="64", SLURM_CPUS_PER_TASK="8")


@pytest.mark.parametrize("script", STARTERS)
def test_where_mpifarm_is_not_installed_one_line_says_what_to_do(here: Path, script: str) -> None:
    (here / "empty").mkdir()
    for environ in ({"LACKING": "yes"}, {"MPIFARM_PYTHON": str(here / "empty" / "python")}):
        ended = run(here, script, "tasks.txt", **environ)
        assert (ended.returncode, ended.stdout) == (2, "")
        (line,) = ended.stderr.splitlines()
        assert line.startswith(f"{script}: ")
        assert "set MPIFARM_PYTHON, or python= in this script" in line


@pytest.mark.parametrize("script", ALL)
def test_it_asks_for_whole_nodes_of_any_size(script: str) -> None:
    asked = [line for line in (SCRIPTS / script).read_text().splitlines() if line.startswith("#SBATCH")]
    assert "#SBATCH --exclusive" in asked
    assert not [line for line in asked if "-c " in line or "--cpus" in line]


@pytest.mark.parametrize("script", ALL)
def test_its_head_says_how_to_call_it(script: str) -> None:
    head = (SCRIPTS / script).read_text().split("#SBATCH")[0]
    assert f"#   sbatch {script} [options of mpifarm]" in head
