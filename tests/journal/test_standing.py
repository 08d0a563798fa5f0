"""What is said of a list that is done, and of one that has grown."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from lists import LIST, TFIN, at_will, scanned, write

from mpifarm.journal import standing
from mpifarm.journal.names import Names

NAMES = Names(TFIN)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    NAMES.done.write_bytes(b"done")
    os.utime(NAMES.done, (0, time.mktime((2026, 11, 22, 12, 0, 1, 0, 0, -1))))


def test_a_list_that_is_done_says_when_and_the_ways_on() -> None:
    assert standing.finished(LIST, NAMES, 31, None) == (
        "tasks.txt: nothing was run: all 31 tasks were done by 2026-11-22 12:00:01;"
        " --rerun runs the list again (or delete progress.tasks.txt.tfin and done.tasks.txt.tfin),"
        " --again WHICH some of it (3,17-20); lines added at its end run by themselves"
    )


def test_with_an_output_nothing_can_be_run_again_but_all() -> None:
    said = standing.finished(LIST, NAMES, 31, "/work/all.out")
    assert "done, with their output in /work/all.out, by 2026-11-22" in said
    assert "done.tasks.txt.tfin and that file);" in said
    assert "--again" not in said


def test_one_task_is_one() -> None:
    said = standing.finished(LIST, NAMES, 1, None)
    assert "nothing was run: its task was done by" in said
    assert "--again" not in said


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (b"echo 1\n", b"echo 1\n# c\necho 2\n\necho 3", "; 2 more than when it was last run"),
        (b"echo 1\n", b"echo 1\n\n", ""),
        (b"echo 1\n", b"echo 1\n", ""),
        (b"echo 1\necho 2\n", b"echo 1\n", ""),
        (b"echo 1\necho 2\n", b"echo 1\necho 3\necho 4\n", ""),  # edited: how many are new is another question
        (None, b"echo 1\n", ""),
    ],
)
def test_a_list_that_has_grown_says_by_how_much(before: bytes | None, now: bytes, said: str) -> None:
    if before is not None:
        scanned(before)
    tasklist = write(now)
    assert standing.more(tasklist.scan(at_will)) == said
