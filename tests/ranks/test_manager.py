"""The manager between real files and workers that a test plays."""

from __future__ import annotations

import os

from fakes import ended_record, report

from mpifarm.journal import fastrecovery
from mpifarm.ranks import wire
from mpifarm.ranks.wire import Note, Stop, Tag
from mpifarm.schedule.answers import Outcome
from mpifarm.site.offer import Offer

from .played import FASTRECOVERY, Farm, MakeFarm, log


def test_a_worker_without_a_launcher_gives_its_tasks_to_others(make_farm: MakeFarm) -> None:
    farm = make_farm()
    farm.say(1, Tag.REPORT, report(0, 2))
    farm.grants()
    farm.say(1, Tag.REPORT, report(2, 0, notes=Note.BROKEN))
    farm.say(2, Tag.REPORT, report(0, 2))
    assert farm.grants() == {2: [(0, 2), (9, 2)]}
    assert farm.manager.gone == set(), "the rank itself is well, and takes part in MPI_Finalize"


def test_workers_hear_from_the_manager_though_there_is_nothing_to_say(make_farm: MakeFarm) -> None:
    farm = make_farm(lost_after_s=8.0)
    farm.manager.turn(1.0)
    assert [message.source for message in farm.comm.take(Tag.BEAT)] == [1, 2]


def test_who_is_convicted_is_named_and_not_run(make_farm: MakeFarm) -> None:
    for number in range(1, 4):
        farm = make_farm()
        farm.say(1, Tag.REPORT, report(0, 1))
        granted = farm.grants()
        if number == 1:
            assert granted == {1: [(0, 1)]}
            farm.say(1, Tag.REPORT, report(1, 1, ended_record(0)))
            assert farm.grants() == {1: [(9, 1)]}
            farm.say(1, Tag.REPORT, report(2, 1, ended_record(9)))
            assert farm.grants() == {1: [(18, 1)]}
        else:
            assert granted == {1: [(18, 1)]}
        _kill(farm)
    farm = make_farm()
    farm.say(1, Tag.REPORT, report(0, 1))
    assert farm.grants() == {}
    assert farm.manager.outcome is Outcome.SOME_FAILED
    who = "failed for good: task 3 (tasks.txt:3) was running when its worker or the farm died, 3 times, the last one alone"
    assert any(line.endswith(f"{who}: echo 3") for line in log().splitlines())
    farm.manager.close(0.0)
    checkpoint = fastrecovery.read(FASTRECOVERY)
    assert checkpoint
    assert checkpoint.suspects == [(18, 3, True)]


def _kill(farm: Farm) -> None:
    """Let the manager be as good as dead: its lock is stale, and it says nothing more."""
    farm.manager._custody._lock._file.close()  # type: ignore[union-attr]
    os.utime("lock.tasks.txt.tfin", (1.7e9, 1.7e9))


def test_a_worker_that_was_lost_and_is_back_works_again(make_farm: MakeFarm) -> None:
    farm = make_farm(lost_after_s=10.0)
    farm.say(2, Tag.REPORT, report(0, 0))
    for second in range(1, 13):
        farm.say(2, Tag.BEAT, wire.pack_beat(), float(second))
        farm.manager.turn(float(second))
    farm.say(1, Tag.BEAT, wire.pack_beat(), 12.0)
    assert farm.stops() == [(1, Stop.REJOIN)]
    farm.say(1, Tag.HELLO, wire.pack_hello(Offer(2, 2, 2, "n1")), 12.0)
    farm.say(1, Tag.REPORT, report(0, 2), 12.0)
    assert farm.grants(12.0) == {1: [(0, 1), (9, 1)]}
    assert farm.manager.gone == set()
