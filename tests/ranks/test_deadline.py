"""The end of the job: nothing more is started, and what runs is ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import ended_record, report
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.ended import Ended
from mpifarm.ranks import deadline
from mpifarm.ranks.deadline import Deadline
from mpifarm.ranks.wire import Stop, Tag
from mpifarm.schedule.answers import How, Outcome
from mpifarm.settings import Config
from mpifarm.view import snapshot

from .played import MakeFarm, log


def test_near_the_end_of_the_job_nothing_is_started_and_then_what_runs_is_ended(
    make_farm: MakeFarm, capfd: pytest.CaptureFixture[str]
) -> None:
    farm = make_farm(end=1000.0, lost_after_s=2000.0)
    farm.say(1, Tag.REPORT, report(0, 1))
    assert farm.grants(939.0) == {1: [(0, 1)]}
    farm.manager.turn(940.0)
    assert farm.stops() == [(1, Stop.DRAIN), (2, Stop.DRAIN)]
    farm.manager.turn(989.0)
    assert not farm.stops()
    farm.manager.turn(990.0)
    assert farm.stops() == [(1, Stop.KILL), (2, Stop.KILL)]
    farm.say(1, Tag.REPORT, report(1, 0, ended_record(0, status=-15, flags=Ended.INTERRUPTED, seconds=3720.0)), 991.0)
    farm.manager.turn(991.0)
    assert farm.manager.outcome is Outcome.WORK_LEFT
    assert "interrupted by the end of the job: task 1 (tasks.txt:1), attempt 1, n1-1, had run 3720.000 s: echo 1\n" in log()
    assert farm.manager.close(991.0) is Outcome.WORK_LEFT
    *_, longest, end, why, last = capfd.readouterr().err.splitlines()
    assert longest.endswith(
        "has interrupted 1 task (see the log); the longest, task 1 (tasks.txt:1), had run 62 min: echo 1"
    )
    assert "end    0 of 3 done, 3 left, in 17 min: stopped by the end of the job; slots " in end
    assert why == "mpifarm: 3 tasks are left; what is done is not run again"
    assert last == "mpifarm: next: start the same line again"


@pytest.mark.parametrize(
    ("options", "starts_until"),
    [
        ({}, 40 - 10),  # a quarter of the time: 60 s would leave nothing of it
        ({"margin_s": 5.0}, 40 - 5),
        ({"margin_s": 5.0, "time_request_s": 15.0}, 40 - 15),
        ({"margin_s": 20.0, "time_request_s": 15.0}, 40 - 20),
    ],
)
def test_margin_and_time_request_say_when_nothing_more_is_started(
    make_farm: MakeFarm, options: dict[str, float], starts_until: float
) -> None:
    farm = make_farm(end=40.0, **options)
    farm.manager.turn(starts_until - 0.1)
    assert farm.manager.outcome is None
    farm.manager.turn(starts_until)
    assert farm.manager.outcome is Outcome.WORK_LEFT, "nothing runs, nothing may start: the job's hours are saved"


def limits(config: Config, end: float, now: float) -> dict[How, float]:
    """Return when a job that ends at *end* is stopped, and how: each limit, found by asking."""
    found: dict[How, float] = {}
    made = Deadline(config, end, now)
    asked = [end - left for left in (1e9, *(n / 100 for n in range(10_000, 0, -1)), 0.0)]
    for moment in asked:
        while limit := made.take(moment, max(found, default=None)):
            found[limit[0]] = moment
    return found


@pytest.mark.parametrize(
    ("end", "options", "before_the_end"),
    [
        (3600.0, {}, (60, 10, 5)),
        (80.0, {}, (20, 10, 5)),
        (8.0, {}, (2, 2, 1)),  # and not TERM 2 s before it, KILL 3 s behind it
        (20.0, {"margin_s": 2.0}, (2, 2, 1)),
        (20.0, {"margin_s": 2.0, "time_request_s": 15.0}, (15, 2, 1)),
        (100.0, {"margin_s": 12.0}, (12, 10, 5)),
        (1.0, {"margin_s": 0.01}, (0.1, 0.1, 0.05)),
        (3600.0, {"kill_after_s": 20.0}, (60, 25, 5)),
        (3600.0, {"kill_after_s": 600.0}, (60, 60, 5)),  # the end of the job goes before
        (3600.0, {"kill_after_s": 600.0, "margin_s": 90.0}, (90, 90, 5)),
        (3600.0, {"kill_after_s": 0.5}, (60, 5.5, 5)),
        (8.0, {"kill_after_s": 20.0}, (2, 2, 1)),
        (0.1, {}, (0.1, 0.1, 0.05)),
        (-30.0, {}, (0.1, 0.1, 0.05)),  # it should have ended: the clocks differ
    ],
)
def test_what_ignores_its_term_is_killed_before_the_end(
    end: float, options: dict[str, float], before_the_end: tuple[float, ...]
) -> None:
    found = limits(Config("tasks.txt", **options), end, 0.0)  # type: ignore[arg-type]
    wanted = dict(zip((How.DRAIN, How.KILL, How.KILL_NOW), before_the_end, strict=True))
    assert {how: round(end - moment, 2) for how, moment in found.items()} == wanted


@given(
    end=st.floats(-100, 1e6),
    began=st.floats(0, 1e6),
    request=st.floats(0, 1e6),
    margin=st.none() | st.floats(1e-9, 1e6),
    kill_after=st.floats(1e-3, 1e6),
)
def test_the_limits_come_in_their_order_and_before_the_end(
    end: float, began: float, request: float, margin: float | None, kill_after: float
) -> None:
    end += began
    config = Config("tasks.txt", margin_s=margin, time_request_s=request, kill_after_s=kill_after)
    drain, kill, kill_now = [limit[0] for limit in deadline._limits(config, end, began)]
    assert drain <= kill <= kill_now < end
    assert kill_now - kill <= kill_after + 1e-6
    assert end - kill_now >= min(deadline.FLUSH_S, (end - kill) / 2) - 1e-6, "there is time to write it down"


def test_who_ignores_the_term_of_the_end_of_the_job_is_killed_before_it(make_farm: MakeFarm) -> None:
    farm = make_farm(end=8.0)
    farm.say(1, Tag.REPORT, report(0, 1))
    assert farm.grants(0.0) == {1: [(0, 1)]}
    told = {}
    for moment in range(9):
        farm.manager.turn(float(moment))
        told[moment] = {stop for _, stop in farm.stops()}
    assert [moment for moment, stops in told.items() if Stop.KILL_NOW in stops] == [7]
    assert [moment for moment, stops in told.items() if Stop.KILL in stops] == [6]


def test_whose_term_it_was_his_is_the_kill(make_farm: MakeFarm, capfd: pytest.CaptureFixture[str]) -> None:
    farm = make_farm(end=100.0)
    farm.say(1, Tag.REPORT, report(0, 1))
    farm.grants(0.0)
    farm.manager.stop(How.KILL, 89.9, "SIGTERM")
    farm.manager.turn(96.0)
    assert {stop for _, stop in farm.stops()} == {Stop.KILL, Stop.KILL_NOW}
    farm.say(1, Tag.REPORT, report(1, 0, ended_record(0, status=-9, flags=Ended.INTERRUPTED)), 96.0)
    farm.manager.turn(96.0)
    assert farm.manager.close(96.0) is Outcome.WORK_LEFT
    assert "the end of the job has" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "away_s", "moves_s"),
    [
        ({}, 7000.0, 7000.0),  # suspended: Slurm moves the end of the job by as much
        ({}, 50.0, 0.0),  # a file system that hung
        ({"walltime_s": 10_000.0}, 7000.0, 0.0),  # whoever has said so has not said how that is meant
    ],
)
def test_the_end_of_a_job_that_was_suspended_moves(
    make_farm: MakeFarm, options: dict[str, float], away_s: float, moves_s: float
) -> None:
    farm = make_farm(end=10_000.0, lost_after_s=1e6, **options)
    farm.manager.was_away(away_s)
    farm.manager.turn(10_000.0 - deadline.MARGIN_S + moves_s - 1.0)
    assert farm.stops() == []
    farm.manager.turn(10_000.0 - deadline.MARGIN_S + moves_s)
    assert farm.stops() == [(1, Stop.DRAIN), (2, Stop.DRAIN)]


def test_people_are_told_the_end_of_a_job_that_was_suspended_as_it_is_now(
    make_farm: MakeFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the status file, by the bar, and where it is said that the job is too short."""
    monkeypatch.setattr("time.time", lambda: 1e9)
    farm = make_farm(end=10_000.0, lost_after_s=1e6)
    for away_s, end_s in ((0.0, 10_000.0), (7000.0, 17_000.0)):
        farm.manager.was_away(away_s)
        farm.manager.turn(10.0 + away_s)
        told = snapshot.parse(Path("status.tasks.txt.tfin").read_bytes(), "tasks.txt")
        assert told.run.job_end == 1e9 + end_s - (10.0 + away_s)
        assert farm.manager._notices._pace.numbers(3, 0, 0, 10.0 + away_s).job_end == told.run.job_end
