"""What real farms leave, read back: what is not done as a list, one task, GNU Parallel on our joblog; and --on-end."""

from __future__ import annotations

import shutil
import signal
import subprocess

import pytest

from .farms import Farms, held, wait_until

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
