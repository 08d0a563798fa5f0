"""What is said with --quiet, and without."""

from __future__ import annotations

import re

import pytest
from fakes import ended_record, report

from mpifarm.ranks.wire import Tag

from .played import LENGTH, MakeFarm


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
