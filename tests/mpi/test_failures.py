"""Failures as they happen, with real ranks: told at once, and soon decided under --max-fails."""

from __future__ import annotations

import re
import signal
import sys

import pytest

from .farms import Farms, held, wait_until
from .test_sick import on_the_sick

TYPO = "./alignn S"
SLOTS = 4  # of two workers


def typos(count: int) -> list[str]:
    return [f"{TYPO}{number}" for number in range(1, count + 1)]


@pytest.mark.short
@pytest.mark.parametrize(
    ("ranks", "count", "retries", "limit", "most"),
    [
        (3, 31, "2", "0", 0),
        pytest.param(2, 1000, "2", "5", 5, marks=pytest.mark.long),
        pytest.param(3, 1000, "0", "0.5%", 5, marks=pytest.mark.long),
    ],
)
def test_too_many_failures_stop_a_farm_early(
    farms: Farms, ranks: int, count: int, retries: str, limit: str, most: int
) -> None:
    farms.tasks(*typos(count))
    ended = farms.run(ranks, "--threads", str(SLOTS), "--retries", retries, "--max-fails", limit, "tasks.txt")
    assert ended.code == 1
    tried = set(farms.attempted())
    assert most < len(tried) <= most + 1 + SLOTS * (ranks - 1) * (int(retries) + 1)
    (told,) = [line for line in ended.said if " end    " in line]
    numbers = (
        r" 0 of ([\d,]+) done, (\d+) failed \(1 reason\), ([\d,]+) left(?: \((\d+) of them failed once, at least\))?, in "
    )
    found = re.search(numbers, told)
    assert found
    total, failed, left, undecided = (int((number or "0").replace(",", "")) for number in found.groups())
    assert (total, failed + left, left - undecided) == (count, count, count - len(tried))
    assert f": more have failed than --max-fails {limit} allows; slots " in told
    noted = re.search(r"ended: (.*), in ", farms.log()[-1])
    assert noted and f" {noted[1]}, in " in told, "the log says so, too"


@pytest.mark.short
def test_if_nothing_was_left_to_run_the_end_says_so_even_when_quiet(farms: Farms) -> None:
    farms.tasks("true", "exit 3")
    ended = farms.run(2, "--quiet", "--threads", "2", "--max-fails", "0", "tasks.txt")
    assert ended.code == 1
    end, why, following = ended.said
    assert " end    1 of 2 done, 1 failed (1 reason), in " in end
    assert ": more have failed than --max-fails 0 allows; slots " in end
    assert why.startswith("mpifarm: log.tasks.txt.tfin says why: mend that, and start the same line again; or")
    assert following == f"mpifarm: next: {sys.executable} -m mpifarm --failed tasks.txt > again.txt"


def test_a_long_task_ends_well_though_the_farm_has_been_stopped_by_another(farms: Farms) -> None:
    long, bad, *others = farms.tasks(held("long"), "exit 1", *(10 * ["sleep 0.1"]))
    farm = farms.start(2, "--threads", "2", "--max-fails", "0", "tasks.txt")
    wait_until(lambda: "nothing more is started, and 1 task may end" in farm.err(), "it gives up")
    (farms.directory / "go").touch()
    ended = farm.wait()
    assert ended.code == 1
    assert long in farms.progress()
    assert len(farms.progress()) < 1 + len(others)
    assert bad in farms.left()


def test_a_sick_node_does_not_stop_a_farm_in_which_others_do_well(farms: Farms) -> None:
    offsets = farms.tasks(*(f"sleep 0.05 && echo {number}" for number in range(60)))
    ended = farms.run(3, "--threads", "2", "--max-fails", "1", "tasks.txt", before=on_the_sick("PATH=/nowhere"))
    assert ended.code == 0
    assert sorted(farms.progress()) == offsets


def test_a_list_with_a_typo_is_told_within_seconds(farms: Farms) -> None:
    farms.tasks(*typos(5000))
    farm = farms.start(3, "--threads", str(SLOTS), "tasks.txt")
    wait_until(lambda: "ALL of the first" in farm.err(), "it is said that all of them have failed")
    farm.signal(signal.SIGINT)
    ended = farm.wait()
    assert ended.code == 3
    said = ended.said
    (told,) = [line for line in said if " failed task " in line]
    assert "exit code 127 after " in told
    assert f'not found": {TYPO}' in told
    (alarm,) = [line for line in said if "ALL of the first" in line]
    assert f"ALL of the first {3 * 2 * SLOTS} attempts have failed alike (exit code 127, " in alarm
    assert said.index(told) < said.index(alarm)


def test_what_a_task_prints_does_nothing_to_the_terminal(farms: Farms) -> None:
    farms.tasks(r"printf '\033]0;owned\007\033[2Jgone\n' >&2; exit 9")
    ended = farms.run(2, "--threads", "1", "--retries", "0", "tasks.txt")
    (told,) = [line for line in ended.said if " failed task " in line]
    assert told.isprintable()
    assert r'"\x1b]0;owned\x07\x1b[2Jgone": printf' in told
