"""The list and its files: written in the order that counts, and not at all when they are somebody else's."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from fakes import ended_record, report

from mpifarm.ranks import wire
from mpifarm.ranks.wire import Message, Stop, Tag
from mpifarm.schedule.answers import How, Outcome
from mpifarm.schedule.suspects import NOTHING, Dealt, parse

from .played import FASTRECOVERY, MakeFarm, progress


def test_whoever_has_taken_over_the_list_is_not_written_into(make_farm: MakeFarm) -> None:
    farm = make_farm()
    farm.say(1, Tag.REPORT, report(0, 1))
    farm.grants()
    before = FASTRECOVERY.read_bytes()
    Path("lock.tasks.txt.tfin").unlink()
    Path("lock.tasks.txt.tfin").write_text("somebody else")
    farm.say(1, Tag.REPORT, report(1, 1, ended_record(0)))
    farm.manager.turn(60.0)
    assert not progress()
    assert farm.stops() == [(1, Stop.KILL), (2, Stop.KILL)]
    farm.say(1, Tag.BEAT, wire.pack_beat(), 60.0)
    farm.manager.turn(60.0)
    farm.manager.finish(60.0)
    assert farm.manager.close(60.0) is Outcome.WORK_LEFT
    assert FASTRECOVERY.read_bytes() == before
    assert Path("lock.tasks.txt.tfin").read_text() == "somebody else"


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ESTALE])
def test_a_list_whose_file_system_is_gone_stops_the_farm(
    make_farm: MakeFarm, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], number: int
) -> None:
    farm = make_farm()
    farm.say(1, Tag.REPORT, report(0, 1))
    farm.grants()
    fstat, gone = os.fstat, farm.manager._custody._descriptor

    def failing(descriptor: int) -> os.stat_result:
        if descriptor == gone:
            raise OSError(number, os.strerror(number))
        return fstat(descriptor)

    monkeypatch.setattr(os, "fstat", failing)
    farm.manager.turn(1.0)
    assert farm.stops() == [(1, Stop.KILL), (2, Stop.KILL)]
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.startswith(f"mpifarm: cannot read tasks.txt.tfin: {os.strerror(number)}: stopping")


def test_a_checkpoint_is_written_every_20_seconds(make_farm: MakeFarm) -> None:
    farm = make_farm()
    farm.say(1, Tag.REPORT, report(0, 2))
    farm.grants()
    farm.say(1, Tag.REPORT, report(2, 0, ended_record(0)))
    before = FASTRECOVERY.read_bytes()
    farm.manager.turn(19.0)
    assert FASTRECOVERY.read_bytes() == before
    farm.manager.turn(20.0)
    lines = FASTRECOVERY.read_text().splitlines()
    assert lines[0].startswith("# max: 2 18 ")
    assert lines[1:] == ["9"]


def test_the_end_is_written_down_and_the_lock_given_back(make_farm: MakeFarm) -> None:
    farm = make_farm()
    farm.say(1, Tag.REPORT, report(0, 3))
    farm.say(2, Tag.REPORT, report(0, 3))
    granted = farm.grants()
    for rank, tasks in granted.items():
        farm.say(rank, Tag.REPORT, report(3, 3, *(ended_record(offset) for offset, _ in tasks)))
    farm.manager.turn(0.0)
    farm.manager.finish(0.0)
    assert farm.manager.close(0.0) is Outcome.ALL_SUCCEEDED
    assert Path("done.tasks.txt.tfin").read_bytes().splitlines()[0] == b"done"
    assert not Path("fastrecovery.tasks.txt.tfin").exists()
    assert not Path("lock.tasks.txt.tfin").exists()


def test_the_lock_says_how_far_dealing_goes_before_a_grant_leaves(
    make_farm: MakeFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm = make_farm()
    lock = Path("lock.tasks.txt.tfin")
    said: list[Dealt] = []
    send = farm.comm.send

    def watched(rank: int, tag: Tag, message: Message) -> None:
        said.append(parse(lock.read_text()))
        send(rank, tag, message)

    monkeypatch.setattr(farm.comm, "send", watched)
    assert farm.grants() == {}
    assert parse(lock.read_text()) == NOTHING
    farm.say(1, Tag.REPORT, report(0, 1))
    assert farm.grants() == {1: [(0, 1)]}
    farm.say(2, Tag.REPORT, report(0, 2))
    assert farm.grants() == {2: [(9, 1), (18, 1)]}
    assert said == [Dealt(9), Dealt(27)]
    farm.manager.stop(How.DRAIN, 0.0, "USR2")
    farm.manager.turn(0.0)
    assert parse(lock.read_text()) == Dealt(27)
    farm.manager.stop(How.KILL, 0.0, "TERM")
    farm.manager.turn(0.0)
    assert parse(lock.read_text()) == NOTHING, "a farm that is killed while it stops accuses nobody"
