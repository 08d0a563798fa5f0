"""The first failures, told at once and not too many of them, and the alarm if nothing else comes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mpifarm.journal.lines import Attempt
from mpifarm.ranks.alarm import MOST_KINDS, Alarm
from mpifarm.schedule.quarantine import ROUNDS
from mpifarm.view.failures import Failure

SLOTS = 4


class Told:
    """An alarm, and what it has said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.alarms: list[str] = []
        self.more: list[Failure] = []
        self.placed = 0
        self.schedule = SimpleNamespace(done=0, gave_up=False, workers={1: ("n1", SLOTS - 1), 2: ("n2", 1)})
        notices = SimpleNamespace(
            failed=lambda text, _: self.said.append(text), more=self.more.append, wants_more=True,
            alarm=self.alarms.append, max_fails="",
        )  # fmt: skip
        custody = SimpleNamespace(place=self._place)
        self._alarm = Alarm(self.schedule, custody, notices)  # type: ignore[arg-type]

    def _place(self, offset: int) -> str:
        self.placed += 1
        return f"tasks.txt:{offset}"

    def fail(self, times: int = 1, status: int = 127, err: bytes = b"not found") -> None:
        for seq in range(1, times + 1):
            attempt = Attempt(seq, 1, seq, 1, "n1", 1, status, 0, 1.7e9, 0.1, 0.0, 0.0, 0, 0, 0, b"./x")
            self._alarm.failed(attempt, memoryview(err))


def test_the_first_failure_is_told_at_once_and_those_like_it_are_not() -> None:
    told = Told()
    told.fail(ROUNDS * SLOTS - 1)
    assert told.said == ['task 1 (tasks.txt:1) on n1, exit code 127 after 0.10 s: "not found": ./x']
    assert told.alarms == []


def test_of_other_kinds_a_few_are_told_and_nothing_is_looked_up_for_the_rest() -> None:
    told = Told()
    for status in range(1, 100):
        told.fail(2, status)
    assert told.placed == MOST_KINDS
    assert len(told.said) == MOST_KINDS
    assert len(told.more) == 2 * 99 - MOST_KINDS


def test_if_the_first_ones_all_fail_alike_that_is_said_once() -> None:
    told = Told()
    told.fail(10 * ROUNDS * SLOTS)
    (alarm,) = told.alarms
    assert f"ALL of the first {ROUNDS * SLOTS} attempts have failed alike" in alarm


def test_a_farm_that_stops_already_needs_no_advice() -> None:
    told = Told()
    told.schedule.gave_up = True
    told.fail(10 * ROUNDS * SLOTS)
    assert told.alarms == []


def test_workers_that_come_later_count() -> None:
    told = Told()
    told.fail(ROUNDS * SLOTS - 1)
    told.schedule.workers[3] = ("n3", SLOTS)
    told.fail(ROUNDS * SLOTS)
    assert told.alarms == []
    told.fail()
    assert len(told.alarms) == 1


@pytest.mark.parametrize("different", [{"status": 1}, {"err": b"out of memory"}])
def test_if_one_has_failed_in_another_way_there_is_no_alarm(different: dict[str, int]) -> None:
    told = Told()
    told.fail(ROUNDS * SLOTS - 1)
    told.fail(**different)  # type: ignore[arg-type]
    told.fail(10 * SLOTS)
    assert told.alarms == []


def test_if_anything_has_succeeded_there_is_no_alarm() -> None:
    told = Told()
    told.fail(ROUNDS * SLOTS - 1)
    told.schedule.done = 1
    told.fail(10 * SLOTS)
    assert told.alarms == []
