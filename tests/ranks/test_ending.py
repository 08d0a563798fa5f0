"""How a run ends: a table of what has come up in it, and runs of a farm that is played."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import ended_record, report

from mpifarm.ended import Ended
from mpifarm.journal import fastrecovery
from mpifarm.ranks import wire
from mpifarm.ranks.ending import Ending
from mpifarm.ranks.patience import READER_S
from mpifarm.ranks.wire import Note, Tag
from mpifarm.schedule.answers import Counts, How, Lost, Outcome
from mpifarm.view.facts import End, Stop

from .played import FASTRECOVERY, LIST, MakeFarm

STOPPED, NOT_STARTED = Ended.INTERRUPTED, Ended.NOT_STARTED


class Run:
    """What an ending asks of others, and what it has said. As it stands: nothing runs, nobody is here, nothing was done."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.ends: list[tuple[Stop, str]] = []
        self.schedule = SimpleNamespace(stopping=None, workers={}, suspects=list, counts=Counts(), gave_up=False)
        self.custody = SimpleNamespace(stopped=False, unchanged=False, waits=False, given_up=0, taken=0, recorded=0)
        self.custody.give_up = lambda: vars(self.custody).update(waits=False, given_up=1)
        self.deadline = SimpleNamespace(stopped=False, longest=None)
        notices = SimpleNamespace(total=3, max_fails="1", warn=self.said.append)
        notices.end = lambda counts, stop, by, longest_s, now: End("l", "log", 3, counts.done, stop=stop, by=by)
        notices.verdict = lambda end, *_: self.ends.append((end.stop, end.by))
        witness = SimpleNamespace(stopping=self.said.append)
        self.ending = Ending(self.schedule, self.custody, self.deadline, notices, witness)  # type: ignore[arg-type]

    def end(self, outcome: Outcome = Outcome.WORK_LEFT) -> tuple[Outcome, Stop]:
        """Let the tasks end; return how it ends, and what has stopped it."""
        self.ending.tasks_ended(outcome)
        self.ending.decide()
        outcome = self.ending.last_words(1.0)
        assert len(self.ends) == 1, "it is said once"
        return outcome, self.ends[0][0]

    def put(self, **facts: Any) -> None:
        """Say what is so: schedule_stopping=How.DRAIN, for one."""
        for name, fact in facts.items():
            whose, _, what = name.partition("_")
            assert hasattr(getattr(self, whose), what)
            setattr(getattr(self, whose), what, fact)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_as_the_tasks_end_so_does_the_run(outcome: Outcome) -> None:
    run = Run()
    run.put(schedule_workers={1: ("n1", 2)})
    left = Stop.WORKERS_LEFT if outcome is Outcome.WORK_LEFT else Stop.NOTHING
    run.ending.attempts_ended(wire.unpack_report(report(1, 1, ended_record(0))))
    assert run.end(outcome) == (outcome, left)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_if_it_could_not_be_written_work_is_left(outcome: Outcome) -> None:
    run = Run()
    run.put(custody_stopped=True, schedule_stopping=How.KILL)
    assert run.end(outcome) == (Outcome.WORK_LEFT, Stop.TROUBLE)


@pytest.mark.parametrize(
    ("facts", "asks", "outcome", "stop", "by"),
    [
        (
            {"schedule_stopping": How.KILL},
            ("SIGTERM: stopping", "SIGINT: stopping"),
            Outcome.WORK_LEFT,
            Stop.ASKED,
            "SIGTERM",
        ),
        ({"schedule_stopping": How.KILL, "deadline_stopped": True}, (), Outcome.WORK_LEFT, Stop.LIMIT, ""),
        ({"schedule_stopping": How.KILL, "deadline_stopped": True}, ("TERM: x",), Outcome.WORK_LEFT, Stop.LIMIT, ""),
        ({"schedule_gave_up": True}, (), Outcome.SOME_FAILED, Stop.MAX_FAILS, "1"),
        ({"schedule_gave_up": True, "schedule_stopping": How.KILL}, ("TERM: x",), Outcome.WORK_LEFT, Stop.ASKED, "TERM"),
        ({"schedule_stopping": How.KILL}, ("TERM: stopping",), Outcome.ALL_SUCCEEDED, Stop.NOTHING, ""),
    ],
)
def test_what_has_stopped_it_is_told_and_by_whom(
    facts: dict[str, Any], asks: tuple[str, ...], outcome: Outcome, stop: Stop, by: str
) -> None:
    run = Run()
    run.put(**facts)
    for why in asks:
        run.ending.stop_asked(why)
    assert run.end(outcome) == (outcome, stop)
    assert run.ends == [(stop, by)]


@pytest.mark.parametrize(
    "different",
    [
        {},
        {"schedule_stopping": How.DRAIN},
        {"custody_stopped": True},
        {"schedule_workers": {1: ("n1", 2)}},
        {"schedule_suspects": lambda: [(0, 1, False)]},
    ],
    ids=str,
)
def test_if_nobody_was_able_to_run_anything_another_run_is_not_asked_for(different: dict[str, Any]) -> None:
    run = Run()
    run.put(**different)
    outcome, stop = run.end()
    assert (outcome is Outcome.NO_WORKER) == (stop is Stop.NO_WORKER) == (not different)
    assert outcome is Outcome.WORK_LEFT or not different


@pytest.mark.parametrize(
    ("reports", "outcome"),
    [
        ([[NOT_STARTED]], Outcome.NO_WORKER),
        ([[NOT_STARTED], [NOT_STARTED | STOPPED, NOT_STARTED]], Outcome.NO_WORKER),
        ([[NOT_STARTED, STOPPED]], Outcome.WORK_LEFT),
        ([[0], [NOT_STARTED]], Outcome.WORK_LEFT),
    ],
)
def test_what_has_not_started_was_not_tried(reports: list[list[int]], outcome: Outcome) -> None:
    run = Run()
    for flags in reports:
        ended = [ended_record(9 * number, status=1, flags=Ended(flag)) for number, flag in enumerate(flags)]
        run.ending.attempts_ended(wire.unpack_report(report(1, 1, *ended)))
    assert run.end()[0] is outcome


def test_who_is_missing_is_told_with_the_reason_and_who_is_back_is_not() -> None:
    run = Run()
    for rank, node in ((1, "n1"), (2, "n2"), (3, ""), (4, "n4")):
        run.ending.worker_lost(Lost(rank, node, 0, []))
    run.ending.worker_broken(2, "n2", "no processes are left")
    run.ending.worker_joined(4)
    run.end()
    assert run.ends == [
        (Stop.NO_WORKER, "worker 1 on n1 is lost; n2: no processes are left; worker 3 has not come"),
    ]


@pytest.mark.parametrize(
    "different",
    [{}, {"deadline_stopped": False}, {"custody_unchanged": False}, {"custody_stopped": True}, {"asked": True}],
    ids=str,
)
def test_if_the_job_was_too_short_another_run_is_not_asked_for(different: dict[str, Any]) -> None:
    run = Run()
    run.put(schedule_stopping=How.KILL, deadline_stopped=True, custody_unchanged=True)
    if different == {"asked": True}:
        run.ending.stop_asked("TERM: stopping")
    else:
        run.put(**different)
    outcome, stop = run.end()
    assert (outcome is Outcome.SOME_FAILED) == (stop is Stop.TOO_SHORT) == (not different)
    assert outcome is Outcome.WORK_LEFT or not different


def test_it_goes_on_until_what_the_tasks_have_printed_is_taken() -> None:
    run = Run()
    run.put(custody_waits=True)
    run.ending.decide()
    run.ending.tasks_ended(Outcome.ALL_SUCCEEDED)
    run.ending.decide()
    assert run.ending.outcome is None
    run.put(custody_waits=False)
    run.ending.decide()
    assert run.ending.outcome is Outcome.ALL_SUCCEEDED


@pytest.mark.parametrize(
    ("stopping", "waits", "outcome"),
    [
        (None, True, None),
        (How.DRAIN, True, None),
        (How.KILL, True, Outcome.WORK_LEFT),
        (How.KILL, False, Outcome.SOME_FAILED),
    ],
)
def test_who_does_not_read_is_given_up_in_a_stop_that_kills_and_what_he_has_not_taken_is_left(
    stopping: How | None, waits: bool, outcome: Outcome | None
) -> None:
    run = Run()
    run.put(schedule_stopping=stopping, custody_waits=waits)
    run.ending.tasks_ended(Outcome.SOME_FAILED)
    run.ending.hurry(0.0)
    assert not run.custody.given_up, "he has a moment"
    run.ending.hurry(READER_S)
    run.ending.decide()
    assert run.ending.outcome is outcome


def _end_of(make_farm: MakeFarm, notes: Note, why: bytes) -> Outcome:
    """Return how a farm ends in which one worker breaks down over what it had, and the other has nothing to say."""
    farm = make_farm(lost_after_s=8.0)
    farm.say(1, Tag.REPORT, report(0, 2))
    assert farm.grants() == {1: [(0, 1), (9, 1)]}
    farm.say(1, Tag.REPORT, report(2, 0, notes=notes, written=why))
    for second in range(12):
        farm.manager.turn(float(second))
    farm.manager.finish(12.0)
    return farm.manager.close(12.0)


def test_a_run_in_which_no_node_can_run_anything_is_an_error_with_its_reasons_and_nobody_is_suspected(
    make_farm: MakeFarm, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _end_of(make_farm, Note.BROKEN | Note.LACKING, b"no processes are left") is Outcome.NO_WORKER
    why = "n1: no processes are left; worker 2 on n2 is lost"
    *_, end, _, last = capfd.readouterr().err.splitlines()
    assert f": no worker could run anything: {why}" in end
    assert last == "mpifarm: next: mend that, or start elsewhere"
    checkpoint = fastrecovery.read(FASTRECOVERY)
    assert checkpoint
    assert checkpoint.suspects == []
    assert checkpoint.left.tolist() == [0, 9]


def test_a_run_in_which_somebody_came_to_be_suspected_has_learnt_something_and_another_one_goes_on(
    make_farm: MakeFarm,
) -> None:
    assert _end_of(make_farm, Note.BROKEN, b"") is Outcome.WORK_LEFT
    checkpoint = fastrecovery.read(FASTRECOVERY)
    assert checkpoint
    assert checkpoint.suspects == [(0, 1, False), (9, 1, False)]


@pytest.mark.parametrize(
    ("signalled", "succeeds", "grows", "outcome"),
    [
        (False, False, False, Outcome.SOME_FAILED),
        (True, False, False, Outcome.WORK_LEFT),
        (False, True, False, Outcome.WORK_LEFT),
        (False, False, True, Outcome.WORK_LEFT),
    ],
)
def test_a_second_job_that_ends_before_anything_new_was_begun_or_finished_is_a_failure(
    make_farm: MakeFarm, signalled: bool, succeeds: bool, grows: bool, outcome: Outcome
) -> None:
    """In the first job all three tasks were begun, and none finished."""
    farm = make_farm(end=100.0, threads=3)
    for end in (100.0, 200.0):
        farm.say(1, Tag.REPORT, report(0, 2), end - 100.0)
        farm.say(2, Tag.REPORT, report(0, 1 + grows), end - 100.0)
        granted = farm.grants(end - 100.0)
        if end > 100.0 and signalled:
            farm.manager.stop(How.KILL, end - 95.0, "TERM")
        farm.manager.turn(end - 5.0)
        flags = Ended.INTERRUPTED
        for rank, tasks in granted.items():
            records = [ended_record(offset, attempt, -15, flags) for offset, attempt in tasks]
            if succeeds and rank == 2 and end > 100.0:
                records = [ended_record(offset, attempt) for offset, attempt in tasks]
            farm.say(rank, Tag.REPORT, report(len(tasks), 0, *records), end)
        farm.manager.turn(end)
        last = farm.manager.close(end)
        if end == 100.0:
            assert last is Outcome.WORK_LEFT
            if grows:
                Path("tasks.txt").write_text(LIST + "echo 4\n")
            farm = make_farm(began=100.0, end=200.0)
    assert last is outcome
