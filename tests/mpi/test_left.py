"""What a task leaves running when it has ended: it is told, and killed in the end, on every node."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .farms import Farms

TOLD = re.compile(
    r"task (\d+) \(tasks.txt:\d+\) has ended with 0, and (\d+ process\w*) of it went on in the background: .*: (.*)"
)


@pytest.mark.short
@pytest.mark.parametrize("ranks", [pytest.param(0, marks=pytest.mark.long), 3])
def test_what_goes_on_in_the_background_is_told_by_task_and_killed_by_number(farms: Farms, ranks: int) -> None:
    """`&>` is bash's: dash takes it for an `&` and a `>`."""
    dash = Path("/bin/sh").resolve().name == "dash"
    lines = ["sleep 600 &> out.1" if dash else "sleep 600 > out.1 &", "echo two", "sleep 600 > out.3 &", "echo four"]
    farms.tasks(*lines)
    ended = farms.run(ranks, "--threads", "2", "tasks.txt")
    assert ended.code == 0
    told = [("1", "1 process", lines[0]), ("3", "1 process", lines[2])]
    assert sorted(match.groups() for line in ended.said if (match := TOLD.search(line))) == told
    assert sorted(match.groups() for line in farms.log() if (match := TOLD.search(line))) == told
    left_by = "(left by task 1 (tasks.txt:1), task 3 (tasks.txt:3))"
    killed = f"2 processes that went on in the background {left_by} had not ended: killed"
    assert ended.said[-2] == f"mpifarm: {killed}"
    assert farms.log()[-1].endswith(killed)


def test_many_such_tasks_make_a_few_lines_and_the_log_has_them_all(farms: Farms) -> None:
    farms.tasks(*["sleep 600 &"] * 6)
    ended = farms.run(0, "--threads", "2", "tasks.txt")
    assert len([line for line in ended.said if TOLD.search(line)]) == 3
    assert len([line for line in ended.said if "more tasks leave processes running" in line]) == 1
    assert sorted(match[1] for line in farms.log() if (match := TOLD.search(line))) == list("123456")


def test_what_ends_within_a_moment_is_part_of_the_task(farms: Farms) -> None:
    farms.tasks("{ sleep 0.05; echo late; } & echo early")
    ended = farms.run(2, "tasks.txt")
    assert (ended.code, ended.out) == (0, b"early\nlate\n")
    assert not [line for line in ended.said if "background" in line]


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_retry_never_runs_beside_what_its_first_attempt_has_put_into_a_session_of_its_own(
    farms: Farms, ranks: int
) -> None:
    loop = "while :; do echo $MPIFARM_ATTEMPT >> beats; sleep 0.02; done"
    farms.tasks(f"setsid -f sh -c '{loop}'; [ $MPIFARM_ATTEMPT = 2 ] || sleep 600; sleep 0.3")
    ended = farms.run(ranks, "--threads", "1", "--timeout", "1", "--retries", "1", "tasks.txt")
    assert ended.code == 0, ended.err
    beats = (farms.directory / "beats").read_text().split()
    assert beats == sorted(beats), "the first attempt goes on beside the second"
    assert set(beats) == {"1", "2"}
