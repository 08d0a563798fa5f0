"""Lists of arguments in real farms: killed and gone on with, over a range, and what the looks tell of them.

What a task got stands in its output: each result is there once, whatever was killed when.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from .farms import Farms, wait_until

ODD = ["a b", "it's", '"q"', "$HOME", "`x`", "#c", "*", "a\\b", "{}", "-n", "~", "a;b", "a\tb", "é", "!", ">x", "%s"]
WORK = '#!/bin/sh\nsleep 0.05\nprintf "<%s>\\n" "$@"\n'
COLUMNS = "is for the columns of arguments, of which --each TEMPLATE makes commands: give --each, too, or leave it out"
OPTIONS = ("--threads", "2", "--retries", "0", "--output", "all.out")


@pytest.fixture
def work(farms: Farms) -> Path:
    """Return the directory of a program that prints its arguments."""
    program = farms.directory / "work"
    program.write_text(WORK)
    program.chmod(0o755)
    return farms.directory


@pytest.mark.parametrize("ranks", [0, 3])
def test_a_killed_run_goes_on_and_each_argument_has_its_result_once(farms: Farms, work: Path, ranks: int) -> None:
    arguments = [f"{odd} {number}" for number in range(4) for odd in ODD]
    (work / "tasks.txt").write_text("\n".join(arguments) + "\n")
    line = (*OPTIONS, "--each", "./work {}", "tasks.txt")
    farm = farms.start(ranks, *line)
    wait_until(lambda: farms.progressed(10), "some tasks are done")
    farm.signal(signal.SIGKILL)
    farm.wait()
    done = len(farms.progress())
    assert 10 <= done < len(arguments)
    ended = farms.run(ranks, *line)
    assert ended.code == 0, ended.err
    assert any(f"{len(arguments)} tasks, " in said and " done" in said for said in ended.said)
    assert sorted((work / "all.out").read_text().splitlines()) == sorted(f"<{argument}>" for argument in arguments)
    assert len(farms.progress()) == len(set(farms.progress())) == len(arguments)


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_range_that_was_killed_goes_on_by_the_same_line(farms: Farms, work: Path, ranks: int) -> None:
    line = (*OPTIONS, "--each", "SLURM_ARRAY_TASK_ID={} ./element.sh", "1-30,40-60:5")
    (work / "element.sh").write_text('#!/bin/sh\nsleep 0.05\necho "$SLURM_ARRAY_TASK_ID"\n')
    (work / "element.sh").chmod(0o755)
    progress = work / "progress.element.sh.1-30,40-60:5.tfin"
    farm = farms.start(ranks, *line)
    wait_until(lambda: progress.exists() and progress.read_bytes().count(b"\n") > 5, "some elements are done")
    farm.signal(signal.SIGKILL)
    farm.wait()
    assert not (work / "done.element.sh.1-30,40-60:5.tfin").exists()
    assert farms.run(ranks, *line).code == 0
    elements = sorted(map(int, (work / "all.out").read_text().split()))
    assert elements == [*range(1, 31), *range(40, 61, 5)]
    assert farms.run(0, "--status", "element.sh.1-30,40-60:5").out.startswith(b"element.sh.1-30,40-60:5  DONE")
    assert farms.run(0, "--status", *line[-3:]).out.startswith(b"element.sh.1-30,40-60:5  DONE")


def test_the_number_in_a_template_is_the_number_that_a_task_sees(farms: Farms, work: Path) -> None:
    (work / "tasks.txt").write_text("name\na\n\nb\n\n\nc")
    ended = farms.run(2, "--each", "echo $MPIFARM_SEQ {#} {}", "--header", "tasks.txt")
    assert ended.code == 0
    assert sorted(ended.out.decode().splitlines()) == ["1 1 a", "3 3 b", "6 6 c"]
    assert "mpifarm: tasks.txt: 3 tasks; 3 empty lines, no tasks" in ended.said


def test_what_has_failed_is_named_by_the_line_of_its_argument_by_whoever_looks(farms: Farms, work: Path) -> None:
    (work / "tasks.txt").write_text("name\na a\n#b\n\nc\n")
    template = "echo got {}; test {} != c"
    ended = farms.run(0, "--retries", "0", "--each", template, "--header", "tasks.txt")
    assert ended.code == 1
    assert any("failed task 4 (tasks.txt:5) on " in said for said in ended.said)
    with (work / "tasks.txt").open("a") as file:
        file.write("d\n")
    failed = farms.run(0, "--failed", "tasks.txt")
    assert failed.out == b"echo got c; test c != c\necho got d; test d != c\n"
    assert failed.said[-1] == (
        "mpifarm: these are commands, as --each has made them: a list by themselves, which is run without --each"
    )
    shown = farms.run(0, "--show", ":3", "tasks.txt").out.splitlines()
    assert shown[:2] == [b"task 2 (tasks.txt:3): done, 1 attempt", b"command: echo got '#b'; test '#b' != c"]
    assert b"line 5" in farms.run(0, "--status", "tasks.txt").out
    joblog = farms.run(0, "--joblog", "tasks.txt").out.splitlines()[1:]
    assert [(line.split(b"\t")[0], line.split(b"\t")[6]) for line in joblog] == [(b"1", b"0"), (b"2", b"0"), (b"4", b"1")]
    (work / "tasks.txt").write_text("name\na a\n#b\n\nC\n")
    assert farms.run(0, "--joblog", "tasks.txt").code == 2
    assert any("was edited since its last start" in said for said in farms.run(0, "--failed", "tasks.txt").said)


def test_check_is_about_the_commands_and_names_the_lines_of_the_arguments(farms: Farms, work: Path) -> None:
    (work / "tasks.txt").write_text("name\n1\n2\n\n2\n")
    line = ("--each", "./work {}", "--header", "tasks.txt")
    out = farms.run(0, "--check", *line).out.decode()
    assert 'tasks.txt:5: remark: "./work 2" is the same as line 3' in out
    assert "tasks.txt: 3 tasks, none of which is done" in out
    assert farms.run(0, *line).code == 0
    assert "3 tasks, 3 done already, 0 to run" in farms.run(0, "--check", *line).out.decode()
    other = farms.run(0, "--check", "--each", "./work -v {}", "--header", "tasks.txt")
    assert other.code == 2
    assert "tasks.txt: --each './work {}' --header has become --each './work -v {}' --header" in other.out.decode()
    without = farms.run(0, "--check", "tasks.txt")
    assert without.code == 2
    assert "error: tasks.txt was begun with --each './work {}' --header" in without.out.decode()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--colsep", ",", "tasks.txt"),
            f"--colsep {COLUMNS}",
        ),
        (
            ("--header", "tasks.txt"),
            f"--header {COLUMNS}",
        ),
        (("--header", "--each", "x", "1-9"), "--header is for the lines of a file, and 1-9 is a range: leave it out"),
        (
            ("--each", "tasks.txt"),
            "there is no task list, since tasks.txt is the value of --each: write --each VALUE tasks.txt",
        ),
    ],
)
def test_options_that_cannot_be_meant_are_refused(farms: Farms, arguments: tuple[str, ...], said: str) -> None:
    farms.tasks("echo 1")
    before = farms.snapshot()
    ended = farms.run(0, *arguments)
    assert (ended.code, ended.out, ended.err) == (2, b"", f"mpifarm: {said}\n")
    assert farms.snapshot() == before
