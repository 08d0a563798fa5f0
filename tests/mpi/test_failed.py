"""What real farms leave, read back: what is not done as a list, one task, GNU Parallel on our joblog; and --on-end."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from .farms import Farms, held, wait_until

DATA = Path(__file__).parent.parent / "data"
SUMS = 'echo "$MPIFARM_DONE $MPIFARM_FAILED $MPIFARM_LEFT $MPIFARM_EXIT rank=$PMI_RANK" >> sums'


def left(farms: Farms) -> bytes:
    """Return what is left, and keep it as a list."""
    ended = farms.run(0, "--failed", "tasks.txt")
    assert ended.code == 0
    (farms.directory / "again.txt").write_bytes(ended.out)
    return ended.out


def test_three_kinds_of_failures_fed_back_run_just_these(farms: Farms) -> None:
    bad = ["echo 'no such file' >&2; exit 4", "kill -9 $$", "sleep 60"]
    farms.tasks("# a comment", "echo done >> ran", *(f"echo again >> ran; {line}" for line in bad), "", "echo done >> ran")
    assert farms.run(3, "--threads", "2", "--retries", "0", "--timeout", "1", "tasks.txt").code == 1
    assert left(farms).decode().splitlines() == [f"echo again >> ran; {line}" for line in bad]
    (farms.directory / "ran").unlink()
    assert farms.run(2, "--threads", "2", "--retries", "0", "--timeout", "1", "again.txt").code == 1
    assert (farms.directory / "ran").read_text() == "again\n" * 3
    shown = farms.run(0, "--show", ":3", "tasks.txt").out.decode()
    assert shown.startswith("task 2 (tasks.txt:3): failed, 1 attempt\n")
    assert "\n    stderr:\n        no such file\n" in shown


def test_a_run_that_goes_on_and_one_that_was_killed_are_read(farms: Farms) -> None:
    farms.tasks("echo 0", held(1), "echo 2")
    farm = farms.start(0, "--threads", "1", "tasks.txt")
    wait_until((farms.directory / "held.1").exists, "a task is held")
    ended = farms.run(0, "--failed", "tasks.txt")
    assert ended.out.decode().splitlines() == [held(1), "echo 2"]
    assert "is being run by process " in ended.err
    farm.signal(signal.SIGKILL)
    farm.wait()
    assert left(farms).decode().splitlines() == [held(1), "echo 2"]


@pytest.mark.skipif(shutil.which("parallel") is None, reason="no GNU Parallel")
def test_gnu_parallel_goes_on_from_the_joblog(farms: Farms) -> None:
    farms.tasks("# a comment", "echo a >> ran", "echo b >> ran; test -e mended", "echo c >> ran")
    assert farms.run(0, "--retries", "1", "tasks.txt").code == 1
    farms_joblog = farms.run(0, "--joblog", "tasks.txt")
    assert (farms_joblog.code, farms_joblog.err) == (0, "")
    for options in (["--retry-failed", "--joblog", "j"], ["--resume-failed", "--joblog", "j", "::::", "tasks.txt"]):
        (farms.directory / "j").write_bytes(farms_joblog.out)
        for name in ("ran", "mended"):
            (farms.directory / name).unlink(missing_ok=True)
        (farms.directory / "mended").touch()
        subprocess.run(["parallel", "--will-cite", *options], cwd=farms.directory, check=True, stdin=subprocess.DEVNULL)
        assert (farms.directory / "ran").read_text() == "b\n"
    _, *lines = (farms.directory / "j").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines[3:] if line.startswith("3\t")] == ["3"]


@pytest.mark.skipif(shutil.which("parallel") is None, reason="no GNU Parallel")
def test_who_goes_by_the_names_of_columns_reads_our_own_joblog_and_who_counts_nine_of_them_does_not(farms: Farms) -> None:
    farms.tasks("# a comment", "echo a", "echo 'b  c'; exit 3")
    assert farms.run(0, "--retries", "0", "--threads", "1", "tasks.txt").code == 1
    own = farms.file("joblog")
    (farms.directory / "nine").write_bytes(farms.run(0, "--joblog", "tasks.txt").out)
    by_name = 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } NR > 1 { print $at["Exitval"], $at["Command"] }'
    retry = ["parallel", "--will-cite", "--dry-run", "--retry-failed", "--joblog"]

    def said(*command: str) -> str:
        return subprocess.run(command, cwd=farms.directory, capture_output=True, text=True, check=True).stdout

    wanted = ["0 echo a", "3 echo 'b  c'; exit 3"]
    assert sorted(said("awk", "-F", r"\t", by_name, own.name).splitlines()) == wanted
    assert sorted(f"{row['Exitval']} {row['Command']}" for row in farms.joblog()) == wanted  # Python's csv
    table = np.genfromtxt(own, delimiter="\t", names=True, dtype=None, encoding="utf-8")
    assert sorted(table["Exitval"].tolist()) == [0, 3]
    assert said(*retry, "nine").split("\n") == ["", "echo 'b  c'; exit 3", ""]  # the comment is no command
    assert said(*retry, own.name).splitlines()[-1].startswith("1\t1\t")  # and would run that


def mended(farms: Farms, name: str) -> None:
    """Mend what a list lacks, and run it; nothing of it is left then, nor of the list of what is left."""
    (farms.directory / "mended").touch()
    assert farms.run(0, "--retries", "0", name).code == 0
    ended = farms.run(0, "--failed", name)
    assert (ended.code, ended.out) == (0, b"")


LACKING = ["echo 1 >> ran; [ -e mended ]", "echo 2 >> ran; [ -e mended ]"]


@pytest.mark.parametrize("how", ["plain", "edited", "grown", "output"])
def test_what_failed_is_a_list_that_runs_to_its_end_once_it_is_mended(farms: Farms, how: str) -> None:
    more = ["--output", "out"] if how == "output" else []
    farms.tasks("# a head", "echo a", LACKING[0], "", "# above a line", LACKING[1], "echo b")
    assert farms.run(2, "--retries", "0", *more, "tasks.txt").code == 1
    wanted = LACKING
    if how == "edited":
        farms.tasks("# another head", "echo new", LACKING[1], "echo a", LACKING[0])
        assert farms.run(2, "--retries", "0", "--edited", "tasks.txt").code == 1
        wanted = LACKING[::-1]
    elif how == "grown":
        with (farms.directory / "tasks.txt").open("a") as file:
            file.write("# more\necho c")  # and its newline is to come
        wanted = [*LACKING, "echo c"]
    assert left(farms).decode() == "".join(f"{line}\n" for line in wanted)
    first = (farms.directory / "again.txt").read_bytes()
    assert farms.run(0, "--retries", "0", "again.txt").code == 1
    ended = farms.run(0, "--failed", "again.txt")
    assert ended.out.decode().splitlines() == [line for line in wanted if line in LACKING]
    if how != "grown":
        assert ended.out == first  # nothing of it is done, and it comes back as it is
    mended(farms, "again.txt")
    assert farms.run(0, "--retries", "0", *more, "tasks.txt").code == 0
    assert left(farms) == b""
    if how == "output":
        assert sorted((farms.directory / "out").read_text().split()) == ["a", "b"]


def test_what_taskfarmer_left_half_done_is_a_list_that_runs_to_its_end(farms: Farms) -> None:
    shutil.copytree(DATA / "taskfarmer-killed", farms.directory, dirs_exist_ok=True)
    first = left(farms)
    again = farms.directory / "again.txt"
    again.write_bytes(first.replace(b"sleep", b"true"))
    assert farms.run(0, "--retries", "0", "again.txt").code == 1
    failed = farms.run(0, "--failed", "again.txt").out
    assert failed == b"".join(line for line in first.splitlines(keepends=True) if b"exit 3" in line)
    again.write_bytes(again.read_bytes().replace(b"exit 3", b"true"))
    assert farms.run(0, "--edited", "again.txt").code == 0
    ended = farms.run(0, "--failed", "again.txt")
    assert (ended.code, ended.out) == (0, b"")
    assert left(farms) == first  # nobody has run that list


@pytest.mark.parametrize("ranks", [0, 3])
def test_the_command_for_the_end_runs_once_when_all_is_written(farms: Farms, ranks: int) -> None:
    farms.tasks("true", "false", "true")
    ended = farms.run(ranks, "--retries", "0", "--on-end", f"{SUMS}; exit 9", "tasks.txt")
    assert ended.code == 1
    assert ended.said[-1] == "mpifarm: --on-end: has ended with exit code 9; the exit code is that of the run: 1"
    assert (farms.directory / "sums").read_text() == "2 1 0 1 rank=\n"


def test_the_command_for_the_end_runs_when_all_was_done_and_not_when_the_start_is_refused(farms: Farms) -> None:
    farms.tasks("true", "true")
    assert farms.run(0, "tasks.txt").code == 0
    assert farms.run(0, "--on-end", f"ls done.*; {SUMS}", "tasks.txt").code == 0
    assert farms.run(0, "--on-end", SUMS, "none.txt").code == 2
    assert (farms.directory / "sums").read_text() == "2 0 0 0 rank=\n"


def test_a_second_interrupt_ends_the_command_for_the_end(farms: Farms) -> None:
    farms.tasks("true", held(1))
    farm = farms.start(0, "--threads", "2", "--on-end", f"{SUMS}; touch ending; exec sleep 600", "tasks.txt")
    wait_until((farms.directory / "held.1").exists, "a task is held")
    farm.signal(signal.SIGINT)
    wait_until((farms.directory / "ending").exists, "the command runs")
    farm.signal(signal.SIGINT)
    ended = farm.wait()
    assert ended.code == 3
    assert "--on-end: ended, since a signal has come" in ended.err
    assert (farms.directory / "sums").read_text() == "1 0 1 3 rank=\n"
