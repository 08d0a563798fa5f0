"""The report of real farms: of one that has failures of three kinds, of one that is stopped, and of one that runs."""

from __future__ import annotations

import html
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mpifarm.view import account, slottime
from mpifarm.view.account import State

from .farms import Farms, held, wait_until


def report(farms: Farms) -> str:
    """Write a report beside the farm's files, by the program itself; return its text, a blank between two words."""
    ended = farms.run(0, "--report", "report.html", "tasks.txt")
    assert (ended.code, ended.out, ended.err) == (0, b"", "")
    page = (farms.directory / "report.html").read_text()
    return " ".join(html.unescape(re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)).split())


def test_failures_of_three_kinds_stand_in_the_report_with_their_reasons_and_an_example(farms: Farms) -> None:
    missing = [f"echo 'No such file: in/{number}.dat' >&2; exit 4" for number in range(5)]
    farms.tasks("# a comment", *missing, "kill -9 $$", "sleep 60", *(f"echo {number}" for number in range(4)))
    assert farms.run(3, "--threads", "2", "--retries", "1", "--timeout", "1", "tasks.txt").code == 1
    text = report(farms)
    assert "4 of 11 tasks are done: 7 failed (3 reasons)." in text
    assert "1 start," in text
    assert re.search(r" 5 10 exit code 4: No such file: in/#\.dat tasks\.txt:[2-6] on \S+ echo 'No such file", text)
    assert re.search(r" 1 2 killed by SIGKILL \(largest memory [\d.]+ [KM]iB\) tasks\.txt:7 on \S+ kill -9 \$\$", text)
    assert re.search(r" 1 2 timed out tasks\.txt:8 on \S+ sleep 60", text)


def test_what_a_stopped_farm_has_ended_is_no_failure_and_two_starts_are_two(farms: Farms) -> None:
    farms.tasks("true", held(1), held(2), "echo 3")
    farm = farms.start(2, "--threads", "2", "tasks.txt")
    wait_until((farms.directory / "held.2").exists, "a task is held")
    text = report(farms)
    assert "are done so far: " in text
    assert "the farm is running" in text
    farm.signal(signal.SIGTERM)
    assert farm.wait().code == 3
    assert "2 were stopped and have to run again" in report(farms)
    (farms.directory / "go").touch()
    assert farms.run(2, "--threads", "2", "tasks.txt").code == 0
    text = report(farms)
    assert "All 4 tasks are done." in text
    assert "2 starts," in text
    assert "None has failed." in text
    assert "stopped with the farm" in text


def test_neither_mpi_nor_a_helper_is_needed(farms: Farms) -> None:
    farms.tasks("true")
    assert farms.run(0, "tasks.txt").code == 0
    code = "import sys, mpifarm.cli as c; print(c.main(['--report', 'r.svg', 'tasks.txt']), 'mpi4py' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=farms.directory, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("0 False\n", "")
    ended = farms.run(2, "--report", "two.svg", "tasks.txt")
    assert (ended.code, ended.err) == (0, "")
    assert (farms.directory / "two.svg").read_bytes().endswith(b"</svg>\n")


def test_the_time_of_the_slots_adds_up_in_a_real_farm(farms: Farms, monkeypatch: pytest.MonkeyPatch) -> None:
    farms.tasks(*["sleep 0.1"] * 20)
    assert farms.run(3, "--threads", "2", "tasks.txt").code == 0
    monkeypatch.chdir(farms.directory)
    found = account.read(Path("tasks.txt"))
    slots = slottime.balance(found)
    assert (found.tasks(State.DONE), slots.slots) == (20, [4])
    assert sum(slots.parts.values()) == pytest.approx(slots.held_s)
    assert 0 < slots.busy <= 1
