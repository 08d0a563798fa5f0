"""README's "Coming from": our lines, run as they are typed, do what theirs do; these run where they are installed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CASE = Path(__file__).parent / "data" / "coming"
FARM = re.compile(r"\.tfin$|^(?:tasks|failed)\.txt$")

Done = tuple[list[str], dict[str, str]]  # lines of standard output, sorted, and files


def blocks() -> dict[str, list[tuple[str, str]]]:
    """Return the pairs of lines, theirs and ours, by whose they are."""
    _, _, section = (ROOT / "README.md").read_text().partition("\n## Coming from\n")
    section = section.partition("\n## ")[0]
    found: dict[str, list[tuple[str, str]]] = {}
    for part in re.split(r"^\*\*", section, flags=re.MULTILINE)[1:]:
        whose = part.partition("**")[0]
        for block in re.findall(r"^```sh\n(.*?)^```$", part, flags=re.MULTILINE | re.DOTALL):
            theirs, ours = block.splitlines()
            found.setdefault(whose, []).append((theirs, ours))
    return found


BLOCKS = blocks()


def test_each_of_them_is_there() -> None:
    assert {whose: len(pairs) for whose, pairs in BLOCKS.items()} == {
        **{"GNU Parallel": 2, "xargs": 1, "Job arrays": 2, "HyperQueue": 1, "disBatch": 2},
        **{"TACC's launcher": 1, "ParaFly": 1},
    }


@pytest.fixture
def here(tmp_path: Path) -> Path:
    here = tmp_path / "here"
    shutil.copytree(CASE, here)
    (here / "work").mkdir()
    return here


def run(line: str, here: Path, code: int = 0, **environ: str) -> Done:
    """Run a line in a copy of the case; return what it has printed and written."""
    where = Path(tempfile.mkdtemp(prefix="run.", dir=here.parent))
    shutil.copytree(here, where, dirs_exist_ok=True)
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "PMI", "OMPI", "MPIFARM"))
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    told = {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(where), "THREADS": "2", **environ}
    ended = subprocess.run(
        ["bash", "-c", line], cwd=where, env={**inherited, **told}, capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == code, ended.stderr
    before = {path.relative_to(here) for path in here.rglob("*")}
    files = {
        str(name): path.read_text()
        for path in where.rglob("*")
        if path.is_file() and (name := path.relative_to(where)) not in before and not FARM.search(name.name)
        and not name.parts[0].startswith(".")
    }  # fmt: skip
    return sorted(ended.stdout.splitlines()), files


def ours(whose: str, place: int, here: Path, code: int = 0) -> Done:
    return run(BLOCKS[whose][place][1], here, code)


def theirs(whose: str, place: int, here: Path) -> Done:
    line = BLOCKS[whose][place][0]
    if not shutil.which(line.split()[0]):
        pytest.skip(f"no {line.split()[0]} here")
    return run(line, here)


def test_gnu_parallel_with_columns(here: Path) -> None:
    """It runs the empty line, too."""
    printed, files = theirs("GNU Parallel", 0, here)
    assert files.pop("4.out") == "[]\n"
    assert (printed, files) == ours("GNU Parallel", 0, here)
    assert files == {"1.out": "[sample one.fq][4]\n", "2.out": "[b][x,y]\n", "3.out": "[it's][$HOME]\n"}


def test_gnu_parallel_with_combinations(here: Path) -> None:
    done = ours("GNU Parallel", 1, here)
    assert done == (["[a][1]", "[a][2]", "[b][1]", "[b][2]"], {})
    assert done == theirs("GNU Parallel", 1, here)


def names() -> list[str]:
    return (CASE / "names.txt").read_text().splitlines()


def test_xargs(here: Path) -> None:
    done = ours("xargs", 0, here)
    assert done == (sorted(f"[{name}]" for name in names()), {})
    assert done == theirs("xargs", 0, here)


def test_a_job_array_that_reads_its_line(here: Path) -> None:
    wrapped = shlex.split(BLOCKS["Job arrays"][0][0])[3]
    printed = [run(wrapped, here, SLURM_ARRAY_TASK_ID=str(element))[0] for element in range(1, len(names()) + 1)]
    assert ours("Job arrays", 0, here) == (sorted(line for lines in printed for line in lines), {})


def test_a_job_array_whose_program_reads_its_number(here: Path) -> None:
    sbatch, array, program = BLOCKS["Job arrays"][1][0].split()
    assert (sbatch, array, program) == ("sbatch", "--array=1-20:5", "element.sh")
    assert ours("Job arrays", 1, here) == (sorted(f"element {number}" for number in range(1, 21, 5)), {})


@pytest.mark.long
def test_hyperqueue(here: Path) -> None:
    """It gives each task a line of the file in HQ_ENTRY."""
    assert ours("HyperQueue", 0, here) == (sorted(f"entry {name}" for name in names()), {})


def test_disbatch_with_a_prefix_and_a_suffix(here: Path) -> None:
    """It puts them around each line as they are, and counts from 0 what has a command."""
    prefix, suffix, *lines = (CASE / "Tasks").read_text().splitlines()
    before, after = prefix.removeprefix("#DISBATCH PREFIX "), suffix.removeprefix("#DISBATCH SUFFIX ")
    printed, files = ours("disBatch", 0, here)
    assert printed == []
    for number, line in enumerate(filter(None, lines)):
        (log,) = run(f"{before}{line}{after}", here, DISBATCH_TASKID=str(number))[1].values()
        assert files.pop(f"log.{number + 1}") == log
    assert files == {}


def test_disbatchs_repeat(here: Path) -> None:
    assert ours("disBatch", 1, here) == (sorted(f"sim {number}" for number in (5, 7, 9, 11)), {})


@pytest.mark.long
def test_taccs_launcher(here: Path) -> None:
    """LAUNCHER_JID is the number of the line, from 1."""
    lines = (CASE / "jobs.txt").read_text().splitlines()
    expected: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        expected.update(run(line, here, LAUNCHER_JID=str(number))[1])
    assert set(expected) == {"out.1", "out.2"}
    assert ours("TACC's launcher", 0, here) == ([], expected)


@pytest.mark.long
def test_parafly(here: Path) -> None:
    """What it writes into failed.txt are the lines that failed."""
    printed, files = ours("ParaFly", 0, here)
    assert (printed, files) == (["[a]", "[b c]"], {})
    (failed,) = here.parent.glob("run.*/failed.txt")
    assert failed.read_text() == "./run d && false\n"
