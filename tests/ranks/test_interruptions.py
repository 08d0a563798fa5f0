"""Who was interrupted is told by name, and how far he was; of very many, some are."""

from __future__ import annotations

from pathlib import Path

from fakes import ended_record, report

from mpifarm.ended import Ended
from mpifarm.ranks.interruptions import MOST_TOLD
from mpifarm.ranks.wire import Tag
from mpifarm.schedule.answers import How

from .played import LENGTH, MakeFarm, log


def interrupt(make_farm: MakeFarm, count: int) -> list[str]:
    """Let rank 1 have *count* tasks, all of which print and are interrupted; return the lines of the log about them."""
    Path("tasks.txt").write_text("echo 1\n" * (4 * count))  # it gets its share of them at once
    farm = make_farm()
    farm.say(1, Tag.REPORT, report(0, count))
    granted = [offset for offset, _ in farm.grants()[1]]
    assert granted == [LENGTH * number for number in range(count)]
    farm.manager.stop(How.KILL, 0.0, "TERM: stopping")
    ends = [ended_record(offset, status=-15, flags=Ended.INTERRUPTED, err=b"!") for offset in granted]
    farm.say(1, Tag.REPORT, report(count, 0, *ends, written=b"!" * count))
    farm.manager.turn(0.0)
    farm.manager.finish(0.0)
    farm.manager.close(0.0)
    return [line for line in log().splitlines() if "interrupted" in line or line == "        !"]


def test_the_first_are_named_and_the_rest_is_counted(make_farm: MakeFarm) -> None:
    *named, rest = interrupt(make_farm, MOST_TOLD + 2)
    assert len(named) == 2 * MOST_TOLD
    assert f"interrupted: task {MOST_TOLD} (" in named[-2]
    assert rest.endswith(" interrupted: 2 more tasks, which the joblog names")


def test_none_is_counted_where_all_are_named(make_farm: MakeFarm) -> None:
    assert len(interrupt(make_farm, MOST_TOLD)) == 2 * MOST_TOLD
