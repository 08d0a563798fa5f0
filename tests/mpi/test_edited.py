"""An edited list is gone on with: by real farms, which are killed in the middle of it, and by what TaskFarmer has left.

What has run is told by the tasks themselves: each appends to a file of its own.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from .farms import DEADLINE_S, Farm, Farms
from .kills import seeds

DATA = Path(__file__).parents[1] / "data"
TASKS = 80
STARTS = 12
OPTIONS = ("--threads", "4", "--retries", "0", "--output", "all.out")


@pytest.fixture
def tasklist(farms: Farms) -> Path:
    """Return a list to be, of whose samples S4 and S7 fail; each sample that does not is printed, and noted."""
    align = farms.directory / "align.sh"
    align.write_text('#!/bin/sh\ncase "$1 $2" in S4*|"S7 ") exit 1 ;; esac\necho "$1"; echo "$1" >> ran\n')
    align.chmod(0o755)
    return farms.directory / "tasks.txt"


def lines_of(name: str) -> str:
    """Return the list of that name, of which all print to standard output."""
    return re.sub(" > .*", "", (DATA / name).read_text())


@pytest.mark.parametrize("ranks", [0, 2])
def test_what_was_mended_and_what_is_new_runs_and_nothing_else(farms: Farms, tasklist: Path, ranks: int) -> None:
    tasklist.write_text(lines_of("edited-before.txt"))
    assert farms.run(ranks, *OPTIONS, "tasks.txt").code == 1
    tasklist.write_text(lines_of("edited-after.txt"))
    ended = farms.run(ranks, *OPTIONS, "--edited", "tasks.txt")
    assert ended.code == 0
    assert any(line.endswith("task 9") and "all.out keeps 1 block of what is gone" in line for line in ended.said)
    assert any("11 tasks, 9 done" in line for line in ended.said)
    ran = (farms.directory / "ran").read_text().split()
    assert sorted(ran) == sorted(f"S{number}" for number in (1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13))
    assert sorted((farms.directory / "all.out").read_text().split()) == sorted(ran)
    tfin = (farms.directory / "tasks.txt.tfin").read_bytes()
    assert len(farms.progress()) == len(set(farms.progress())) == 11
    assert all(tfin[offset : offset + 12] == b"> ./align.sh" for offset in farms.progress())
    assert [line["Command"].split()[1] for line in farms.joblog() if line["Offset"] == "-1"] == ["S4", "S7", "S9"]
    told = [line for line in farms.log() if "was edited since the last run" in line]
    assert len(told) == 1 and 'is "./align.sh S7 --lenient' in told[0]
    before = farms.snapshot()
    again = farms.run(ranks, *OPTIONS, "--edited", "tasks.txt")
    assert again.code == 0 and farms.snapshot() == before
    assert "has not changed since the last run" in again.said[0]


def test_a_list_that_taskfarmer_left_half_done_is_edited(farms: Farms) -> None:
    for path in (DATA / "taskfarmer-killed").iterdir():
        shutil.copy(path, farms.directory)
    tasklist = farms.directory / "tasks.txt"
    before = len(farms.progress())
    lines = tasklist.read_text().splitlines()
    tasklist.write_text("\n".join(["echo new", *lines]) + "\n")
    ended = farms.run(0, "--threads", "8", "--retries", "0", "--edited", "tasks.txt")
    assert ended.code == 1
    assert len(farms.progress()) == len(set(farms.progress())) == 48
    assert ended.out.count(b"\n") == 48 - before


class Owner:
    """Who edits the list between two runs, and kills them."""

    def __init__(self, farms: Farms, seed: int) -> None:
        self._farms = farms
        self._random = random.Random(seed)
        self._names = list(range(TASKS))
        self._next = TASKS
        (farms.directory / "evidence").mkdir()
        self._write()

    @property
    def names(self) -> list[int]:
        """What the list has now, by line."""
        return self._names

    def edit(self) -> None:
        """Take lines out, mend some, write new ones."""
        for _ in range(5):
            at = self._random.randrange(len(self._names))
            self._names[at : at + self._random.randrange(2)] = range(self._next, self._next + self._random.randrange(3))
            self._next += 3
        self._write()

    def _write(self) -> None:
        self._farms.tasks(*(f"echo {name} >> evidence/{name}; sleep 0.05; echo block {name}" for name in self._names))

    def recorded(self) -> set[int]:
        """Return the names that progress tells of, as the .tfin file beside it has them."""
        tfin = (self._farms.directory / "tasks.txt.tfin").read_bytes()
        found = [int(tfin[offset:].split(b"\n")[0].split()[-1]) for offset in self._farms.progress()]
        assert len(found) == len(set(found))
        return set(found)

    def runs(self) -> dict[int, int]:
        """Return how often each has been started."""
        return {int(path.name): path.read_text().count("\n") for path in (self._farms.directory / "evidence").iterdir()}

    def harass(self, farm: Farm) -> None:
        """Kill it while it rewrites its files, or a while later, or not at all."""
        what = self._random.choice(("due", "due", "intent", "intent", "done", "later", "never"))
        until = time.monotonic() + (self._random.uniform(0.5, 2.0) if what == "later" else DEADLINE_S)
        files = self._farms.directory
        while time.monotonic() < until and farm.processes():
            met = (
                (what == "due" and any(files.glob("*.due")))
                or (what == "intent" and self._farms.file("intent").exists())
                or (what == "done" and self._farms.file("lock").exists() and not any(files.glob("*.due")))
            )
            if met:
                time.sleep(self._random.choice((0.0, 0.0, 0.002, 0.005)))
                break
        if what != "never":
            with suppress(ProcessLookupError):
                os.kill(farm.pid, signal.SIGKILL)


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("ranks", [0, 3])
def test_whenever_it_is_killed_nothing_that_is_done_runs_again_and_nothing_new_is_left_out(
    farms: Farms, ranks: int, seed: int
) -> None:
    owner = Owner(farms, seed)
    settled: set[int] = set()
    counted: dict[int, int] = {}
    met: Counter[str] = Counter()  # what a kill has left
    for start in range(STARTS):
        farm = farms.start(ranks, *OPTIONS, "--edited", "tasks.txt")
        owner.harass(farm)
        farm.wait()
        met["intended"] += farms.file("intent").exists()
        met["due"] += any(farms.directory.glob("*.due"))
        if not farms.file("intent").exists() and (farms.directory / "tasks.txt.tfin").exists():
            recorded, runs = owner.recorded(), owner.runs()
            assert settled & set(owner.names) <= recorded, "what was done is forgotten"
            assert all(runs[name] == counted[name] for name in settled), "what is done has run again"
            settled, counted = recorded, runs
        if start % 2:
            owner.edit()
            settled &= set(owner.names)
    assert farms.run(ranks, *OPTIONS, "--edited", "tasks.txt").code == 0
    assert owner.recorded() == set(owner.names)
    assert all(owner.runs()[name] == counted[name] for name in settled)
    blocks = (farms.directory / "all.out").read_text().split("block ")[1:]
    assert len(blocks) == len(set(blocks))
    assert {int(block) for block in blocks} >= set(owner.names)
    left = {path.name for path in farms.directory.iterdir()}
    assert not [name for name in left if name.endswith((".due", ".new")) or name.startswith("intent")]
    print(f"seed {seed}: {STARTS} starts, of which a kill left {dict(met)}")
