"""One thing is not called several."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mpifarm
from mpifarm.words import count, done_of


@pytest.mark.parametrize(("number", "text"), [(0, "0 processes"), (1, "1 process"), (2, "2 processes")])
def test_one_is_one_and_everything_else_is_several(number: int, text: str) -> None:
    assert count(number, "process", "es") == text


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [(0, 3, "0 of 3 tasks are done"), (1, 3, "1 of 3 tasks is done"), (0, 1, "0 of 1 task is done")],
)
def test_what_is_done_is_said_in_the_number_of_it(done: int, total: int, text: str) -> None:
    assert done_of(done, total) == text


def test_no_message_counts_tasks_by_hand() -> None:
    """What a number stands before is counted by `count`, or is right for one of it, too."""
    by_hand = re.compile(
        r"(?<!all )\{[^}{]*\} (more )?(tasks|lines|workers|ranks|nodes|slots|processes)\b(?! at a time|\.txt)"
    )
    root = Path(mpifarm.__file__).parent
    lines = [line for path in root.rglob("*.py") for line in path.read_text().splitlines()]
    assert [line for line in lines if "count(" not in line and by_hand.search(line)] == []
