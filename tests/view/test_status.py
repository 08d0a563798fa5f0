"""What people read."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpifarm.schedule.answers import Counts, Outcome
from mpifarm.settings import Config, Job
from mpifarm.site.offer import Offer
from mpifarm.view import status


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.6, "60 s"),
        (99, "99 s"),
        (120, "2 min"),
        (5999, "1 h 40 min"),
        (86400, "24 h 0 min"),
        (200000, "2 d 7 h"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert status.duration(seconds) == text


def test_the_status_line_tells_rate_and_rest() -> None:
    line = status.line(Counts(done=20, failed=1, leased=4, waiting=16, failed_attempts=3), 51, 10, 4, 10.0)
    assert line == "30/51 done, 3 attempts failed (1 task for good), 4 running or queued on 4 slots, 2.0/s, about 10 s left"


def test_the_status_line_says_nothing_it_does_not_know() -> None:
    assert status.line(Counts(waiting=5), 5, 0, 4, 0.0) == "0/5 done, 0 running or queued on 4 slots"


@pytest.mark.parametrize(
    ("outcome", "counts", "text"),
    [
        (Outcome.ALL_SUCCEEDED, Counts(done=4), "all 6 tasks are done, 4 of them now, in 3 s"),
        (
            Outcome.SOME_FAILED,
            Counts(done=3, failed=1),
            "5 of 6 tasks are done, 1 failed (see log): start again to try them again",
        ),
        (Outcome.WORK_LEFT, Counts(done=1, waiting=3), "3 of 6 tasks are done: start again to go on"),
    ],
)
def test_the_last_line_says_how_it_ended_and_what_to_do(outcome: Outcome, counts: Counts, text: str) -> None:
    assert status.verdict(outcome, counts, 6, 2, 3.0, Path("log")) == text


def job(nodes: int, cpus: int = 8) -> Job:
    return Job("1", 0, nodes, cpus, None)


@pytest.mark.parametrize(
    ("hellos", "config", "words"),
    [
        ([Offer(8, 8, 8, "n1")], Config("l", node="n0", job=job(2)), []),
        ([Offer(8, 8, 8, "n0")], Config("l", node="n0", job=job(2)), ["2 nodes and 1 in use", "srun -N"]),
        ([Offer(4, 8, 8, "n1")] * 2, Config("l", node="n0", job=job(2)), ["share node n1", "--ntasks-per-node=1"]),
        ([Offer(4, 8, 8, "n1")] * 2, Config("l", node="n1"), []),  # a laptop
        ([Offer(1, 1, 1, "n1")], Config("l", node="n0", job=job(2)), ["1 of the job's 8 CPUs", "srun -c 8"]),
        ([Offer(8, 1, 8, "n1")], Config("l", node="n0", job=job(2), threads=8), ["bound to 1 of 8", "may use all"]),
        ([Offer(1, 1, 4, "n1")], Config("l", node="n1"), ["bound to 1 of 4", "--bind-to none", "THREADS"]),
        ([Offer(1, 1, 4, "n1")], Config("l", node="n1", threads=1), []),
        ([Offer(64, 4, 4, "n1")], Config("l", node="n1", threads=64), []),  # tasks that wait, not compute
    ],
)
def test_who_works_where_is_told_and_what_could_be_better(hellos: list[Offer], config: Config, words: list[str]) -> None:
    first, *others = status.placement(dict(enumerate(hellos)), config)
    assert first.startswith(f"{len(hellos)} worker")
    assert len(others) == bool(words)
    assert [word for word in words if word not in others[0]] == []
