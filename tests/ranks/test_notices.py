"""What is said with --quiet, and without."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fakes import ended_record, report

from mpifarm.ranks.suspicions import LASTS_S
from mpifarm.ranks.wire import Tag

from .played import LENGTH, MakeFarm, log


@pytest.mark.parametrize(
    ("status", "quiet", "last"),
    [
        (0, False, "end    all 3 tasks are done, 3 of them now, in 0 s"),
        (0, True, None),
        (1, False, "mpifarm: 0 of 3 tasks are done, 3 failed (see log.tasks.txt.tfin): start again to try them again"),
        (1, True, "mpifarm: 0 of 3 tasks are done, 3 failed (see log.tasks.txt.tfin): start again to try them again"),
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
    assert len(said) == 1 or not quiet or not last


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
