"""What is not done, as a list; one task; and GNU Parallel's columns: from files that a farm has left, or might have."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from mpifarm import FarmError
from mpifarm.journal import table
from mpifarm.tasks import tfin
from mpifarm.view import failed, joblog, show, stdout

from .runs import Ran, Run

DATA = Path(__file__).parent.parent / "data"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run() -> Run:
    """A run of which one task is done, one has failed, one was stopped, and one was never run."""
    made = Run(
        ["echo a", "./fit 'b c'", "sleep\t60", "echo \x1b[2J \udcff".encode(errors="surrogateescape").decode("latin-1")]
    )
    made.add(Ran(0), Ran(1, 2.0).failed(err="no such file"), Ran(1, 4.0, attempt=2).failed("killed by SIGSEGV", code=3))
    made.add(Ran(2, 5.0, number=15, why=None))
    return made


def test_all_that_is_not_done_is_printed_as_it_stands_in_the_list(
    run: Run, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert failed.write("tasks.txt", quiet=False) == 0
    printed = capfdbinary.readouterr()
    assert printed.out == b"".join(Path("tasks.txt").read_bytes().splitlines(keepends=True)[2:])
    assert printed.err == b"mpifarm: tasks.txt: 3 of 4 tasks are not done\n"


def test_what_was_appended_was_never_run(run: Run, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with Path("tasks.txt").open("a") as file:
        file.write("# more\n\necho new")
    assert failed.write("tasks.txt", quiet=True) == 0
    printed = capfdbinary.readouterr()
    assert printed.out.splitlines()[-1] == b"echo new"
    assert (len(printed.out.splitlines()), printed.err) == (4, b"")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: Path("tasks.txt").unlink(), "tasks.txt is not there any more"),
        (lambda: Path("tasks.txt").write_text("echo a\necho b\n"), "tasks.txt was edited since its last start"),
        (lambda: Path("tasks.txt").write_text("echo a\n"), "tasks.txt was cut since its last start"),
    ],
)
def test_of_a_list_that_is_another_one_by_now_the_lines_are_those_that_were_dealt(
    run: Run, change: object, said: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert callable(change)
    change()
    failed.write("tasks.txt", quiet=False)
    printed = capfdbinary.readouterr()
    assert printed.out.startswith(b"./fit 'b c'\nsleep\t60\n")
    assert f"{said}: these are the lines as they were dealt" in printed.err.decode()
    with pytest.raises(FarmError, match="Seq would be the line of another task"):
        joblog.write("tasks.txt")
    with pytest.raises(FarmError, match="that line may be of another task"):
        show.write(":3", "tasks.txt")


def test_a_run_that_taskfarmer_left_half_done_is_read(here: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    shutil.copytree(DATA / "taskfarmer-killed", here, dirs_exist_ok=True)
    assert failed.write("tasks.txt", quiet=True) == 0
    left = capfdbinary.readouterr().out.splitlines()
    assert joblog.write("tasks.txt") == 0
    _, *done = capfdbinary.readouterr().out.splitlines()
    records = Path("tasks.txt.tfin").read_bytes().splitlines()
    assert 0 < len(done) < len(records)
    assert len(left) + len(done) == len([record for record in records if record.strip(b"> ")])
    assert {line.split(b"\t")[6] for line in done} == {b"0"}


def test_files_that_are_being_rewritten_are_not_read(run: Run) -> None:
    Path("intent.tasks.txt.tfin").touch()
    with pytest.raises(FarmError, match="being rewritten, or that was cut short"):
        failed.write("tasks.txt", quiet=True)


def test_a_reader_who_leaves_is_told_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    monkeypatch.setattr(stdout, "_STDOUT", write)
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
    assert failed.write("tasks.txt", quiet=True) == 2
    os.close(write)


def test_on_a_terminal_nothing_does_anything() -> None:
    assert (
        stdout.shown("a\tb \x1b[2J \x9b\u202e é\r\n".encode() + b"\xff\n")
        == "a\tb \\x1b[2J \\x9b\\u202e é\\r\n\\xff\n".encode()
    )


def test_a_task_is_shown_with_its_attempts_and_the_line_to_run_it(
    run: Run, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert show.write(":3", "tasks.txt") == 0
    by_line = capfdbinary.readouterr().out
    assert show.write("2", "tasks.txt") == 0
    printed = capfdbinary.readouterr().out
    assert printed == by_line
    head, command, first, said, second, hand = printed.decode().splitlines()
    assert head == "task 2 (tasks.txt:3): failed, 2 attempts"
    assert command == "command: ./fit 'b c'"
    assert first.endswith(": exit code 1") and first.startswith("attempt 1 on n1-1, ")
    assert said == "    no such file"
    assert second.endswith(": killed by SIGSEGV")
    assert hand.startswith("by hand: cd ")
    assert (
        "MPIFARM_SEQ=2 MPIFARM_TASK=9 MPIFARM_ATTEMPT=2 MPIFARM_SLOT=1 MPIFARM_NODE=n1 /bin/sh -c './fit '\\''b c'\\'''"
        in hand
    )


def test_the_line_to_run_by_hand_runs_the_command(here: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Run(['echo "it\'s" $MPIFARM_SEQ; pwd; cat'])
    assert show.write("1", "tasks.txt") == 0
    line = capfdbinary.readouterr().out.splitlines()[-1].removeprefix(b"by hand: ")
    ran = subprocess.run(["/bin/sh", "-c", line], cwd="/", capture_output=True, text=True, check=True)
    assert ran.stdout == f"it's 1\n{here.resolve()}\n"


def test_what_was_stopped_and_what_was_not_run_is_shown_so(run: Run, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    show.write("3", "tasks.txt")
    show.write("4", "tasks.txt")
    show.write("1", "tasks.txt")
    printed = capfdbinary.readouterr().out
    assert b"task 3 (tasks.txt:4): not done, 1 attempt\n" in printed
    assert b"stopped with the farm (signal 15)" in printed
    assert b"task 4 (tasks.txt:5): not run, 0 attempts\n" in printed
    assert b"task 1 (tasks.txt:2): done, 1 attempt\n" in printed


@pytest.mark.parametrize("which", ["0", "5", "99999999999", ":1", ":6", ":0", "x", "", "3-4", "other.txt:3"])
def test_a_task_that_is_not_there_is_refused(run: Run, which: str) -> None:
    with pytest.raises(FarmError, match="--show"):
        show.write(which, "tasks.txt")


def test_a_command_that_stands_twice_has_only_its_own_attempts(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    run = Run(["./x", "./x"])
    run.add(Ran(0, slot=1).failed(err="first"), Ran(1, slot=2).failed(err="second"))
    show.write("2", "tasks.txt")
    printed = capfdbinary.readouterr().out
    assert b"second" in printed and b"first" not in printed


def test_the_nine_columns_have_a_line_for_each_task_that_has_run(
    run: Run, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert joblog.write("tasks.txt") == 0
    header, *lines = capfdbinary.readouterr().out.splitlines()
    assert header.split(b"\t") == b"Seq Host Starttime JobRuntime Send Receive Exitval Signal Command".split()
    told = [line.split(b"\t", 8) for line in lines]
    assert [(row[0], row[6], row[7], row[8]) for row in told] == [
        (b"2", b"0", b"0", b"echo a"),
        (b"3", b"3", b"0", b"./fit 'b c'"),
        (b"4", b"0", b"15", b"sleep\t60"),
    ]


def test_a_success_that_does_not_count_is_not_in_the_nine_columns(
    run: Run, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    Path("progress.tasks.txt.tfin").write_text("")
    joblog.write("tasks.txt")
    assert [line[:2] for line in capfdbinary.readouterr().out.splitlines()[1:]] == [b"3\t", b"4\t"]


@pytest.mark.parametrize("odd", ["", "\r", "\ufeff", " # comment", "   "])
def test_many_lines_of_the_nine_columns_are_those_that_are_made_one_by_one(
    odd: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    made = Run([f"echo {number}" for number in range(300)] + [odd] * bool(odd) + ["./last é"])
    for task in range(0, 290, 2):
        made.add(Ran(task, task * 1.5, seconds=task / 7, node=f"n{task % 31}"))
        made.add(Ran(task + 1, -2e9 if task == 280 else 3.0, node="nid").failed(code=task % 200 + 1))
    made.add(Ran(280, 9.0, attempt=2).failed(), *(Ran(task, 9.0, attempt=2) for task in range(1, 99, 2)))
    made.append("joblog", "torn")
    for chunk_bytes in (10**6, 3000, 2000):
        monkeypatch.setattr(tfin, "CHUNK_BYTES", chunk_bytes)
        told = []
        for many in (1, 10**6):
            monkeypatch.setattr(table, "MANY", many)
            joblog.write("tasks.txt")
            told.append(capfdbinary.readouterr().out)
        assert told[0] == told[1]
        lines = told[0].splitlines()
        assert len(lines) == 1 + 290
        assert lines[2].split(b"\t") == b"3\tn1\t1796000009.000\t1.000\t0\t0\t0\t0\techo 1".split(b"\t")


def test_a_joblog_of_another_program_is_refused(run: Run) -> None:
    Path("joblog.tasks.txt.tfin").write_text("Seq\tHost\n1\tx\n")
    with pytest.raises(FarmError, match="another program's"):
        joblog.write("tasks.txt")
    with pytest.raises(FarmError, match="another program's"):
        show.write("1", "tasks.txt")
