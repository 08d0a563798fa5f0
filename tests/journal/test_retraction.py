"""What has failed for good is taken back in the log when it succeeds, by this run or a later one; nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import open_journal, success
from lists import scanned
from test_journal import ATTEMPT, NAMES, NOTHING

from mpifarm.journal import resume, retraction
from mpifarm.journal.journal import Journal
from mpifarm.journal.lines import Attempts
from mpifarm.tasks.scan import records_at

LOG = Path("log")
WHEN = "2026-11-22 12:00:01"
FAILED = f"{WHEN} failed for good: task 2 (tasks.txt:2), attempt 3, n0-1, exit code 3, 0.004 s: echo 2\n"
TAKEN_BACK = "2026-11-23 08:30:00 succeeded: task 2 (tasks.txt:2), attempt 1, n0-1, had failed for good on ...: echo 2\n"
OF_EARLIER_VERSIONS = FAILED.replace("tasks.txt:2", "offset 9")
CONVICTED = f"{WHEN} failed for good: task 2 (tasks.txt:2) has lost its worker 3 times in turn: echo 2\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def known(log: str, *left: int) -> dict[int, str]:
    """Return which tasks of four have failed for good, and when, if those at *left* go again."""
    LOG.write_text(log)
    kept, scan = scanned(b"echo 1\necho 2\necho 3\necho 1\n")
    again, _ = records_at(scan, np.array(left, dtype=np.int64))
    retractions = retraction.read(LOG, again, scan)
    del kept  # the scan reads by its descriptor
    found: dict[int, str] = {}
    for offset in (0, 9, 18, 27):
        batch = success(replace(ATTEMPT, offset=offset))
        found |= {attempt.offset: when for attempt, when in retractions.take(batch)}
        assert not list(retractions.take(batch))
    return found


@pytest.mark.parametrize("entry", [FAILED, CONVICTED, OF_EARLIER_VERSIONS, FAILED.replace("tasks.txt", "a), (b")])
def test_what_is_left_and_has_failed_for_good_is_known(entry: str) -> None:
    assert known("2026-11-22 11:00:00 something else\n" + entry, 0, 9) == {9: WHEN}


@pytest.mark.parametrize(
    ("log", "left"),
    [
        (FAILED, (0, 18)),  # it is done
        (FAILED.replace("failed for good", "failed"), (9,)),
        (FAILED + TAKEN_BACK, (9,)),
        (FAILED.replace("echo 2", "echo x"), (9,)),  # another command was there
        ("    " + FAILED, (9,)),  # a task has printed that
        ("    0123456789 12345" + FAILED[20:], (9,)),
        (FAILED[:-9], (9,)),  # torn
        ("", (9,)),
    ],
)
def test_what_has_not_failed_for_good_is_not_taken_back(log: str, left: tuple[int, ...]) -> None:
    assert known(log, *left) == {}


def edited(command: str, name: str = "task 9 (tasks.txt:12)") -> str:
    """Return the entry of a task that stood somewhere else."""
    return FAILED.replace("task 2 (tasks.txt:2)", name).replace("echo 2", command)


@pytest.mark.parametrize(
    "name",
    ["task 1 (tasks.txt:1)", "task 9 (a list:12)", "task 0 (tasks.txt)", *(f"task 9 (offset {at})" for at in (0, 5, 1000))],
)
def test_a_task_that_has_moved_since_is_known_by_its_command(name: str) -> None:
    assert known(edited("echo 2", name), 0, 9) == {9: WHEN}
    taken_back = TAKEN_BACK.replace("task 2 (tasks.txt:2)", name).replace("on ...", f"on {WHEN}")
    assert known(edited("echo 2", name) + taken_back, 0, 9) == {}


def test_of_two_that_are_left_with_that_command_none_is_known() -> None:
    assert known(edited("echo 1"), 0, 9, 27) == {}


def test_a_task_of_that_command_that_is_done_is_not_another_one() -> None:
    assert known(edited("echo 1", "task 1 (tasks.txt:1)"), 27) == {}


def test_the_last_word_counts() -> None:
    assert known(FAILED + TAKEN_BACK + FAILED.replace("12:00:01", "13:00:00"), 9) == {9: "2026-11-22 13:00:00"}


def test_the_end_of_a_long_log_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retraction, "_LOOK_BYTES", len(FAILED) + 20)
    monkeypatch.setattr(retraction, "_CHUNK_BYTES", 7)
    other = FAILED.replace("task 2 (tasks.txt:2)", "task 1 (tasks.txt:1)").replace("echo 2", "echo 1")
    assert known(other + FAILED, 0, 9) == {9: WHEN}


def test_a_log_that_is_not_there_says_nothing() -> None:
    _, scan = scanned(b"echo 1\n")
    again, _ = records_at(scan, np.array([0], dtype=np.int64))
    assert not list(retraction.read(Path("none"), again, scan).take(success(ATTEMPT)))


def logged(farm: Journal) -> list[str]:
    farm.flush()
    return [line[20:] for line in NAMES.log.read_text(errors="replace").splitlines()]


def batch() -> Attempts:
    return success(ATTEMPT)


def test_a_success_of_this_run_takes_back_what_this_run_has_said() -> None:
    farm = open_journal(NAMES, None, resume.Resume())
    farm.failed(ATTEMPT, NOTHING, NOTHING, final=True)
    farm.flush()
    stamp = NAMES.log.read_text(errors="replace")[:19]
    farm.succeeded(batch(), None, NOTHING, NOTHING)
    farm.succeeded(batch(), None, NOTHING, NOTHING)
    _, said = logged(farm)
    begins = f"succeeded: task 18 (tasks.txt:21), attempt 1, nid-0001-2, had failed for good on {stamp}: echo\ttask 17"
    assert said.startswith(begins)


def test_a_success_after_a_failure_that_was_not_the_last_one_is_no_entry() -> None:
    farm = open_journal(NAMES, None, resume.Resume())
    farm.failed(ATTEMPT, NOTHING, NOTHING, final=False)
    farm.succeeded(batch(), None, NOTHING, NOTHING)
    assert len(logged(farm)) == 1
