"""The plan of --check beside real farms of one, two and four ranks. How near they come: `tests/bench/checked.py`."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pytest

from mpifarm.view import attempts, plan

from .farms import Farms

SLOTS = 3


@pytest.mark.long
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_a_real_farm_is_no_faster_than_planned_and_does_the_same(farms: Farms, ranks: int) -> None:
    draw = random.Random(1)
    lengths = [round(draw.lognormvariate(-0.7, 0.5), 2) for _ in range(36)]
    farms.tasks(*(f"sleep {length}" for length in lengths))
    planned, played = plan.plan(np.array(lengths), ranks, SLOTS)
    assert played == len(lengths)
    farm = farms.run(ranks, "--threads", str(SLOTS), "--manager-works", "tasks.txt")
    assert farm.code == 0
    rows = attempts.read(farms.directory / "joblog.tasks.txt.tfin").rows
    span_s = float((rows["start"] + rows["seconds"]).max() - rows["start"].min())
    assert rows["seconds"].sum() / (ranks * SLOTS) <= span_s
    ideal, _ = plan.plan(rows["seconds"][np.argsort(rows["offset"])], ranks, SLOTS)
    assert planned.seconds <= ideal.seconds * 1.1  # a sleep is never shorter than it says


def test_a_list_that_has_run_is_planned_from_its_own_times(farms: Farms) -> None:
    farms.tasks("sleep 0.2", "sleep 0.2", "false")
    assert farms.run(0, "--retries", "0", "tasks.txt").code == 1
    said = farms.run(0, "--check", "--nodes", "2", "-j", "1", "tasks.txt")
    assert (said.code, said.err) == (0, "")
    text = said.out.decode()
    assert "3 tasks, 2 done already, 1 to run" in text
    assert re.search(r"1 task, 0\.\d+ s a task in the mean, as 2 attempts of earlier runs took; 1 slot on each node", text)
    assert not Path(farms.directory / "lock.tasks.txt.tfin").exists()
