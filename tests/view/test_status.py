"""What people read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mpifarm.schedule.answers import Counts
from mpifarm.view import live, status
from mpifarm.view.facts import End, Room, Stop
from mpifarm.words import duration


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
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        (
            Counts(failed=1, leased=1),
            "--max-fails 0: 1 task has failed for good: nothing more is started, and 1 task may end",
        ),
        (Counts(failed=2), "--max-fails 0: 2 tasks have failed for good: nothing more is started"),
    ],
)
def test_who_gives_up_says_what_happens_now(counts: Counts, text: str) -> None:
    assert status.giving_up("0", counts) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"done": 10_000}, "all 10,000 tasks are done, 4 of them now, in 3 s"),
        ({"done": 1, "total": 1}, "the one task is done, in 3 s"),
        ({"failed": 212}, "9,788 of 10,000 done, 212 failed (1 reason), in 3 s"),
        ({"failed": 12}, "9,788 of 10,000 done, 12 failed (1 reason), 200 left, in 3 s"),
        ({"stop": Stop.LIMIT}, "9,788 of 10,000 done, 212 left, in 3 s: stopped by the end of the job"),
        ({"stop": Stop.ASKED, "by": "TERM"}, "9,788 of 10,000 done, 212 left, in 3 s: stopped by TERM"),
        (
            {"stop": Stop.MAX_FAILS, "by": "5%", "failed": 6, "undecided": 2},
            (
                "9,788 of 10,000 done, 6 failed (1 reason), 206 left (2 of them failed once, at least), in 3 s:"
                " more have failed than --max-fails 5% allows"
            ),
        ),
        (
            {"stop": Stop.MAX_FAILS, "by": "0", "failed": 211, "undecided": 1},
            (
                "9,788 of 10,000 done, 211 failed (1 reason), 1 left (failed once, at least), in 3 s:"
                " more have failed than --max-fails 0 allows"
            ),
        ),
        (
            {"stop": Stop.TROUBLE, "done": 10_000},
            "10,000 of 10,000 done, in 3 s: stopped by trouble with its files",
        ),
        (
            {"stop": Stop.NO_WORKER, "by": "n1: lost", "done": 0},
            "0 of 10,000 done, 10,000 left, in 3 s: no worker could run anything: n1: lost",
        ),
        ({"stop": Stop.WORKERS_LEFT}, "9,788 of 10,000 done, 212 left, in 3 s: no worker is left"),
        ({"stop": Stop.TOO_SHORT}, "9,788 of 10,000 done, 212 left, in 3 s: the job was too short for any of them"),
    ],
)
def test_the_last_line_has_the_numbers_and_what_has_stopped_it(changes: dict[str, Any], text: str) -> None:
    end = End("l", "log", **{"total": 10_000, "done": 9_788, "ran_s": 3.0, **changes})
    assert status.ended(end, 4, 1) == text


def test_more_reasons_than_are_told_apart_are_not_counted() -> None:
    assert status.ended(End("l", "log", 9, 0, 9), 0, 5) == "0 of 9 done, 9 failed, in 0 s"


def test_who_is_missing_is_told_once_and_of_many_a_few() -> None:
    assert status.missing(["n1: x", "n1: x", "n2: y"]) == "n1: x; n2: y"
    assert status.missing([f"n{number}" for number in range(5)]) == "n0; n1; n2; and 2 more"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "peak 1.9 GiB a task; a node of 512 GiB has room for 242, and 64 run at a time"),
        (
            {"peak_kib": 12 * 1024**2},
            (
                "peak 12 GiB a task; a node of 512 GiB has room for 38, and 64 run at a time;"
                " 64 slots of the largest would take 768 GiB, too much: THREADS=38"
            ),
        ),
        (
            {"cpus": 128},
            (
                "peak 1.9 GiB a task; a node of 512 GiB has room for 242, and 64 run at a time;"
                " there are 128 CPUs for 64 slots: THREADS=128"
            ),
        ),
    ],
)
def test_what_tasks_take_of_their_nodes_memory_is_told_when_it_is_known(changes: dict[str, int], text: str) -> None:
    room = Room(node_kib=512 * 1024**2, slots=64, cpus=64, ended=64, peak_kib=int(1.9 * 1024**2))
    room = replace(room, **changes)
    fit = live.fitting(room)
    assert fit is not None
    assert status.memory(room, fit) == text
