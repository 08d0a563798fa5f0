"""--check, as it is typed: what it prints, what it ends with, and that it touches nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from .runs import Ran, Run


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def content() -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path().iterdir() if path.is_file()}


def check(*options: str, code: int = 0, environ: Mapping[str, str] | None = None) -> str:
    before = content()
    command = [sys.executable, "-m", "mpifarm", "--check", *options, "tasks.txt"]
    ended = subprocess.run(command, env={**os.environ, **(environ or {})}, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (code, ""), ended
    assert content() == before
    return ended.stdout


def refused(*options: str) -> str:
    command = [sys.executable, "-m", "mpifarm", *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1), ended
    return ended.stderr


def test_errors_come_first_with_their_lines_and_the_end_says_what_a_start_would_do() -> None:
    Path("tasks.txt").write_text("cd sub\n" + "./fit 1 > out\n" + "".join(f"echo '{number}\n" for number in range(9)))
    lines = check(code=2).splitlines()
    assert lines[0].startswith('tasks.txt:3-4: error: a quote is open in "echo \'0": put lines 3 to 4 into a script, ')
    assert lines[3] == "tasks.txt: and 3 more such lines"
    assert lines[4].startswith('tasks.txt:1: remark: "cd sub" alone')
    assert lines[5].startswith('tasks.txt:2: remark: "./fit" does not exist')
    assert "tasks.txt: 11 tasks, none of which is done" in lines
    assert "tasks.txt: 6 errors: a start would be refused; 2 remarks" in lines


def test_what_is_done_is_not_planned_and_times_are_those_of_earlier_runs() -> None:
    run = Run([f"true {number}" for number in range(40)])
    run.add(*(Ran(task, seconds=60.0) for task in range(8)), Ran(8, seconds=9999.0).failed())
    text = check("--nodes", "4", "-j", "8")
    assert "tasks.txt: 40 tasks, 8 done already, 32 to run" in text
    assert "a start would not be refused; 0 remarks" in text
    assert "32 tasks, 60 s a task in the mean, as 8 attempts of earlier runs took; 8 slots on each node" in text
    rows = re.findall(r"^tasks.txt: +(\d+) +(\S+ \S+) +(\S+) +(#SBATCH.*)$", text, re.MULTILINE)
    assert [row[0] for row in rows] == ["1", "2", "4"]
    assert rows[0][1:] == ("4 min", "0.067", "#SBATCH -N 1 -t 00:10:00")
    assert "--manager-works" in text


@pytest.mark.parametrize("option", ["--edited", "--rerun"])
def test_an_edited_list_would_be_refused_but_with_the_options_for_that(option: str) -> None:
    run = Run(["true 1", "true 2"])
    run.add(Ran(0), Ran(1))
    Path("tasks.txt").write_text("true 1\ntrue 3\n")
    assert "tasks.txt: error: it was edited since it was dealt, and 2 tasks of it as it was then are done" in check(code=2)
    check(option)
    Path("tasks.txt").write_text("true 1\ntrue 2\ntrue 3\n")  # it may grow
    assert "3 tasks, 2 done already, 1 to run" in check()


def test_files_of_another_program_are_an_error_in_one_line() -> None:
    Run(["true 1"]).add(Ran(0))
    Path("joblog.tasks.txt.tfin").write_text("Seq\tHost\n1\tx\n")
    assert "tasks.txt: error: joblog.tasks.txt.tfin:1: not the header" in check(code=2)


def test_dry_run_is_the_same_and_untrusted_text_does_nothing_to_a_terminal() -> None:
    Path("tasks.txt").write_bytes(b"./a\x1b[31m 'x\n\xff\xfe\n./b\x1b[2J\n")
    text = check(code=2)
    assert "\x1b" not in text
    command = [sys.executable, "-m", "mpifarm", "--dry-run", "tasks.txt"]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == text


ON_A_TERMINAL = """
import sys
from mpifarm import cli
from mpifarm.view import checked
checked._LINE_EVERY_S = 0.0
sys.exit(cli.main(["--check", "tasks.txt"]))
"""


def test_on_a_terminal_it_tells_how_far_it_is_and_takes_that_line_away() -> None:
    Path("tasks.txt").write_text("".join(f"true {number}\n" for number in range(20_000)))
    ours, theirs = os.openpty()
    try:
        ended = subprocess.run([sys.executable, "-c", ON_A_TERMINAL], stdout=subprocess.PIPE, stderr=theirs, check=True)
        said = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    *lines, last = said.split("\r")
    assert lines[0] == ""
    shares = [int(share) for line in lines for share in re.findall(r"^mpifarm: checking, (\d+) % read $", line)]
    assert len(shares) == len(lines) - 1
    assert len(shares) > 1
    assert shares == sorted(shares)
    assert (shares[-1], last) == (100, "\x1b[K")
    assert ended.stdout.decode() == check()


def test_the_path_and_the_threads_are_those_of_the_environment() -> None:
    Path("bin").mkdir()
    Path("bin/fit").write_text("#!/bin/sh\n")
    Path("bin/fit").chmod(0o755)
    Path("tasks.txt").write_text("fit 1\n")
    assert '"fit" is not in PATH' in check()
    text = check("--task-time", "1m", environ={"PATH": f"{Path('bin').resolve()}:{os.environ['PATH']}", "THREADS": "7"})
    assert "is not in PATH" not in text
    assert "7 slots on each node" in text


def test_bad_input_is_one_line_and_exit_code_2() -> None:
    assert "no task list none.txt" in refused("--check", "none.txt")
    Path("tasks.txt").write_text("true\n")
    assert "--nodes is for --check" in refused("--nodes", "4", "tasks.txt")
    assert "--task-time is for --check" in refused("--task-time", "4m", "tasks.txt")
    assert "a number of nodes" in refused("--check", "--nodes", "0", "tasks.txt")
    assert sorted(path.name for path in Path().iterdir()) == ["tasks.txt"]
    assert "it has no tasks" not in check()
    assert "give --task-time" in check("--nodes", "4")


def test_a_reader_that_leaves_early_is_told_of_in_one_line() -> None:
    Path("tasks.txt").write_text("true\n")
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "mpifarm", "--check", "tasks.txt"]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert ended.returncode == 2
    assert ended.stderr == "mpifarm: --check: cannot write to standard output: Broken pipe\n"


def test_neither_mpi_nor_a_helper_is_needed() -> None:
    Path("tasks.txt").write_text("true\n")
    code = "import sys, mpifarm.cli as c; print(c.main(['--check', 'tasks.txt']), 'mpi4py' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.endswith("0 False\n")
