"""What people read."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpifarm.schedule.answers import Counts, Outcome
from mpifarm.view import status
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
    ("counts", "total", "text"),
    [
        (
            Counts(done=7, failed=6),
            1000,
            (
                "stopped by --max-fails 5%: 6 tasks have failed for good (see log), 12 are done, 982 were not run:"
                " mend them, and start again to go on"
            ),
        ),
        (
            Counts(failed=1, undecided=2),
            9,
            (
                "stopped by --max-fails 5%: 1 task has failed for good, 2 more at least once (see log), 5 are done,"
                " 1 was not run: mend them, and start again to go on"
            ),
        ),
        (
            Counts(done=3, failed=1),
            9,
            "1 task has failed for good (see log), which is more than --max-fails 5%; 8 are done: mend it, and start again",
        ),
    ],
)
def test_who_has_given_up_says_why_and_what_was_not_run(counts: Counts, total: int, text: str) -> None:
    assert status.gave_up("5%", counts, total, 5, Path("log")) == text


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
    ("outcome", "counts", "text"),
    [
        (Outcome.ALL_SUCCEEDED, Counts(done=4), "all 6 tasks are done, 4 of them now, in 3 s"),
        (
            Outcome.SOME_FAILED,
            Counts(done=3, failed=1),
            "5 of 6 tasks are done, 1 failed (see log): start again to try it again",
        ),
        (Outcome.WORK_LEFT, Counts(done=1, waiting=3), "3 of 6 tasks are done: start again to go on"),
    ],
)
def test_the_last_line_says_how_it_ended_and_what_to_do(outcome: Outcome, counts: Counts, text: str) -> None:
    assert status.verdict(outcome, counts, 6, 2, 3.0, Path("log")) == text


def test_a_list_of_one_task_has_not_all_of_them_done() -> None:
    assert status.verdict(Outcome.ALL_SUCCEEDED, Counts(done=1), 1, 0, 3.0, Path("log")) == "the one task is done, in 3 s"
    failed = status.verdict(Outcome.SOME_FAILED, Counts(failed=1), 1, 0, 3.0, Path("log"))
    assert failed == "0 of 1 task is done, 1 failed (see log): start again to try it again"
