"""What is said with --quiet, and without."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from fakes import ended_record, report

from mpifarm.ranks.suspicions import LASTS_S
from mpifarm.ranks.wire import Tag
from mpifarm.site.offer import Offer
from mpifarm.view.tally import LEAST_KIB, Histogram

from .played import LENGTH, MakeFarm, log


@pytest.mark.parametrize(
    ("status", "quiet", "last"),
    [
        (0, False, "end    all 3 tasks are done, 3 of them now, in 0 s"),
        (0, True, None),
        (1, False, "mpifarm: next: python -m mpifarm --failed tasks.txt > again.txt"),
        (1, True, "mpifarm: next: python -m mpifarm --failed tasks.txt > again.txt"),
    ],
)
def test_the_verdict_is_said_unless_all_is_well_and_nobody_wants_to_hear_that(
    make_farm: MakeFarm, capfd: pytest.CaptureFixture[str], status: int, quiet: bool, last: str | None
) -> None:
    farm = make_farm(quiet=quiet, retries=0)
    farm.say(1, Tag.REPORT, report(0, 3))
    farm.say(2, Tag.REPORT, report(0, 3))
    granted = farm.grants()
    for rank, tasks in granted.items():
        ends = [ended_record(offset, status=status) for offset, _ in tasks]
        farm.say(rank, Tag.REPORT, report(len(tasks), 0, *ends))
    assert sum(map(len, granted.values())) == 3, LENGTH
    farm.manager.turn(0.0)
    farm.manager.finish(0.0)
    farm.manager.close(0.0)
    said = capfd.readouterr().err.splitlines()
    last_said = re.sub(r"^mpifarm \d\d:\d\d:\d\d ", "", said[-1]) if said else None
    assert last_said == last
    assert len(said) == (3 if last else 0) or not quiet
    assert not status or "end    0 of 3 done, 3 failed (1 reason), in 0 s" in said[-3]


def test_what_the_tasks_take_of_their_node_is_told_once_and_once_more_when_it_is_too_much(
    make_farm: MakeFarm, capfd: pytest.CaptureFixture[str]
) -> None:
    farm = make_farm(report_every_s=1.0)
    notices = farm.manager._notices
    schedule = farm.manager._schedule
    gib = 1024**2
    notices._offers.update({1: Offer(2, 2, 2, "n1", memory_kib=64 * gib), 2: Offer(4, 4, 4, "n2", memory_kib=16 * gib)})
    peaks = Histogram(LEAST_KIB)
    now, told = 0.0, []
    for peak_gib, count in ((1, 9), (1, 1), (1, 50), (3.7, 1), (5, 1)):
        peaks.add(np.full(count, peak_gib * gib))
        now += 2.0
        notices.status(schedule, peaks, now)
        notices.hush()
        told.append([line.partition(" memory ")[2] for line in capfd.readouterr().err.splitlines() if " memory " in line])
    assert told == [
        [],
        ["peak 1 GiB a task; a node of 16 GiB has room for 14, and 4 run at a time"],
        [],
        [
            (
                "peak 3.7 GiB a task; a node of 16 GiB has room for 3, and 4 run at a time;"
                " 4 slots of the largest would take 15 GiB, too much: THREADS=3"
            )
        ],
        [],
    ]


def test_of_a_node_whose_memory_is_not_known_nothing_is_said(
    make_farm: MakeFarm, capfd: pytest.CaptureFixture[str]
) -> None:
    farm = make_farm(report_every_s=1.0)
    peaks = Histogram(LEAST_KIB)
    peaks.add(np.full(1000, 1e9))
    farm.manager._notices._offers[1] = Offer(2, 2, 2, "n1", memory_kib=1024)
    farm.manager._notices.status(farm.manager._schedule, peaks, 2.0)
    farm.manager._notices.hush()
    assert " memory " not in capfd.readouterr().err


def test_a_node_that_is_suspected_for_a_moment_is_in_the_log_and_nobody_hears_of_it(
    make_farm: MakeFarm, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("tasks.txt").write_text("".join(f"echo {number}\n" for number in range(100)))
    farm = make_farm()
    seen = 0
    for now in (10.0, 20.0, 30.0):  # six failures in a row
        farm.say(1, Tag.REPORT, report(seen, 2), now)
        granted = farm.grants(now)[1]
        seen += len(granted)
        ends = (ended_record(offset, attempt, status=3) for offset, attempt in granted)
        farm.say(1, Tag.REPORT, report(seen, 0, *ends), now)
        farm.manager.turn(now)
    suspected = "node n1: the last 6 attempts there have all failed"
    assert suspected in log()
    for after_s, is_said in ((-10.0, False), (-9.0, False), (2.0, True)):
        farm.manager.turn(30.0 + LASTS_S + after_s)
        farm.manager.turn(30.0 + LASTS_S + after_s)  # what was said is written
        assert (suspected in capfd.readouterr().err) == is_said
