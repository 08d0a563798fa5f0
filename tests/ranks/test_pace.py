"""How fast a run goes, with workers that a test plays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import ended_record, report

from mpifarm.ended import Ended
from mpifarm.journal.lines import JOBLOG_HEADER
from mpifarm.ranks.pace import Pace
from mpifarm.ranks.wire import Tag
from mpifarm.view import earlier
from mpifarm.view.estimate import MOST_TAKEN, Left, RunTimes

from .played import Farm, MakeFarm

JOBLOG = Path("joblog.tasks.txt.tfin")
LENGTH = len("> echo 00\n")


@pytest.fixture
def many(make_farm: MakeFarm) -> MakeFarm:
    Path("tasks.txt").write_text("".join(f"echo {number:02}\n" for number in range(80)))
    return make_farm


def pace_of(farm: Farm) -> Pace:
    return farm.manager._notices._pace


def ran_before(seconds: float, count: int = 40, **changed: int) -> None:
    """Write the joblog of an earlier run, of which nothing counts as done any more."""
    told = {"seq": 1, "exit": 0, "signal": 0, **changed}
    line = "{seq}\tn1\t1795344287.000\t{took:.3f}\t0\t0\t{exit}\t{signal}\t1\t1\t1824\t0.001\t0.002\t0\techo 00\n"
    JOBLOG.write_bytes(JOBLOG_HEADER + (line.format(**told, took=seconds) * count).encode())


def end_tasks(farm: Farm, now: float, count: int, first: int = 0, **fields: float) -> None:
    """Two slots end a task each second."""
    for number in range(first, first + count):
        farm.say(1, Tag.REPORT, report(number, 2), now)
        farm.grants(now)
        farm.say(1, Tag.REPORT, report(number + 1, 1, ended_record(number * LENGTH, 1, 0, 0, b"", b"", **fields)), now)


def test_rate_share_and_cpu_time_are_those_of_what_has_ended(many: MakeFarm) -> None:
    farm = many()
    farm.grants(0.0)
    for second in range(1, 21):
        end_tasks(farm, float(second), 2, 2 * (second - 1), seconds=0.5, user_s=0.25, system_s=0.125)
        farm.grants(float(second))
    pace = pace_of(farm)
    told = pace.numbers(80, 0, 0, 20.0)
    assert (told.total, told.done, told.failed, pace.attempts) == (80, 40, 0, 40)
    assert pace.times.ended == 40
    assert told.per_s == pytest.approx(2.0, rel=0.1)
    assert pace.used_cpu_s == pytest.approx(40 * 0.375)
    assert pace.busy == pytest.approx(40 * 0.5 / (4 * 20), rel=0.1)
    assert told.end
    assert told.end.low_s <= told.end.likely_s <= told.end.high_s


def test_what_was_stopped_says_nothing_of_how_long_tasks_take(many: MakeFarm) -> None:
    farm = many()
    farm.say(1, Tag.REPORT, report(0, 2))
    farm.grants()
    farm.say(1, Tag.REPORT, report(1, 1, ended_record(0, status=-15, flags=Ended.INTERRUPTED, seconds=9.0)))
    assert pace_of(farm).times.ended == 0
    farm.say(1, Tag.REPORT, report(2, 1, ended_record(LENGTH, status=3, seconds=9.0)))
    assert pace_of(farm).times.ended == 1


def test_of_many_reports_in_a_second_a_sample_is_looked_at(many: MakeFarm) -> None:
    farm = many()
    pace = pace_of(farm)
    pace.times.room = 3
    end_tasks(farm, 0.5, 5, seconds=1.0, user_s=1.0)
    assert (pace.times.ended, pace.cpu_s, pace.attempts) == (3, 3.0, 5)
    assert pace.used_cpu_s == pytest.approx(5.0)
    pace.tick(1.5)
    assert pace.times.room == MOST_TAKEN


def test_an_estimate_runs_down_until_the_next_one_is_made(many: MakeFarm) -> None:
    ran_before(10.0)
    farm = many()
    farm.say(1, Tag.REPORT, report(0, 2), 100.0)
    farm.grants(100.0)
    pace = pace_of(farm)
    first, soon, later = (pace.end(now) for now in (100.0, 104.0, 150.0))
    assert first and soon and later
    assert soon.likely_s == pytest.approx(first.likely_s - 4.0)
    assert later.likely_s > first.likely_s - 50.0  # nothing has ended meanwhile, and that is known by then


def test_what_lies_idle_in_the_end_waits_for_the_oldest_task(many: MakeFarm) -> None:
    Path("tasks.txt").write_text("echo 00\necho 01\n")
    farm = many()
    farm.say(1, Tag.REPORT, report(0, 1), 10.0)
    farm.grants(10.0)
    farm.say(2, Tag.REPORT, report(0, 1), 40.0)
    farm.grants(40.0)
    told = pace_of(farm).numbers(2, 0, 0, 100.0)
    assert (told.waiting, told.running, told.slots) == (0, 2, 4)
    assert told.oldest
    assert told.oldest.age_s == pytest.approx(90, abs=2)
    assert (told.oldest.node, told.oldest.command) == ("n1", "echo 00")


def test_before_enough_have_ended_earlier_runs_tell_when_it_will_have(many: MakeFarm) -> None:
    ran_before(10.0)
    farm = many()
    farm.grants(0.0)
    pace = pace_of(farm)
    assert pace.end(0.0) is None
    assert pace._earlier._times is None, "nothing is dealt yet: it is not read"
    farm.say(1, Tag.REPORT, report(0, 2))
    farm.grants(0.0)
    end = pace.end(0.0)
    assert end
    assert end.likely_s == pytest.approx(80 * 10 / 4, rel=0.15)
    assert end.rough
    for second in range(35):
        end_tasks(farm, 1.0 + second, 1, second, seconds=0.001)
    left, ages = pace._left(), np.zeros(1)
    alone = pace.times.end(left, ages)
    assert alone, "enough have ended: what was before counts no more"
    assert pace.times.end(left, ages, pace._earlier.times()) == alone


def test_earlier_runs_count_for_as_many_tasks_as_are_lacking() -> None:
    before, known, left = RunTimes(), RunTimes(), Left(400, 4, 4)
    before.take(np.full(10_000, 10.0))
    likely = []
    for _ in range(4):
        known.take(np.full(8, 1.0))
        end = known.end(left, np.zeros(4), before)
        assert end
        likely.append(end.likely_s)
    assert likely == sorted(likely, reverse=True)
    assert likely[0] == pytest.approx(101 * (8 * 1.0 + 22 * 10.0) / 30, rel=0.25)
    assert likely[-1] == pytest.approx(101, rel=0.25)


@pytest.mark.parametrize("odd", [{"exit": 3}, {"signal": 9}, {"seq": 0}])
def test_only_successes_of_tasks_of_the_list_tell_of_it(many: MakeFarm, odd: dict[str, int]) -> None:
    ran_before(10.0, **odd)
    farm = many()
    farm.say(1, Tag.REPORT, report(0, 2))
    farm.grants(0.0)
    assert pace_of(farm).end(0.0) is None


def test_of_a_long_joblog_the_end_is_read_and_what_this_run_writes_is_not(
    many: MakeFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran_before(500.0, 1000)
    begun = JOBLOG.read_bytes()
    ran_before(10.0, 50)
    new = JOBLOG.read_bytes().removeprefix(JOBLOG_HEADER)
    JOBLOG.write_bytes(begun + new)
    monkeypatch.setattr(earlier, "MOST_BYTES", len(new))
    past = earlier.Earlier(JOBLOG, len(begun) + len(new))
    JOBLOG.write_bytes(begun + new + new.replace(b"\t10.000\t", b"\t70.000\t"))
    assert (past.times().ended, past.times().mean_s) == (50, 10.0)
    monkeypatch.setattr(earlier, "MOST_BYTES", len(new) + 7)  # a part of a line is none
    assert earlier.Earlier(JOBLOG, len(begun) + len(new)).times().ended == 50
    assert earlier.Earlier(Path("none"), 9999).times().ended == 0
    assert earlier.Earlier(JOBLOG, len(JOBLOG_HEADER)).times().ended == 0
