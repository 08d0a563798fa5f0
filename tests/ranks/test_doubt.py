"""Ends that may turn out to be interruptions wait for a moment, and nothing overtakes them."""

from __future__ import annotations

import pytest
from fakes import reports

from mpifarm.ended import Ended
from mpifarm.ranks import wire
from mpifarm.ranks.doubt import DOUBT_S
from mpifarm.ranks.wire import Stop, Tag

from .played import Rank


def flags(rank: Rank) -> list[int]:
    return [flag for report in reports(rank.sent) for flag in report.ended["flags"].tolist()]


@pytest.mark.parametrize("status", [-15, 128 + 15, -2, -10])
def test_a_task_that_dies_of_the_jobs_signal_before_the_worker_knows_of_it_is_interrupted(rank: Rank, status: int) -> None:
    rank.grant((0, 9), (9, 10))
    rank.launcher.end(0, status=status)
    rank.worker.turn(1.0, backlog=0)
    assert flags(rank) == [], "it waits a moment"
    rank.worker.on_signal(Stop.KILL, 1.1)
    rank.worker.turn(1.1, backlog=0)
    assert flags(rank) == [Ended.INTERRUPTED]


@pytest.mark.parametrize("status", [-15, 1, -9, -11])
def test_a_task_that_dies_for_a_reason_of_its_own_has_failed(rank: Rank, status: int) -> None:
    rank.grant((0, 9))
    rank.launcher.end(0, status=status)
    rank.worker.turn(1.0, backlog=0)
    rank.worker.turn(1.0 + DOUBT_S, backlog=0)
    rank.worker.on_signal(Stop.KILL, 9.0)
    assert flags(rank) == [0]


def test_what_ended_after_a_doubtful_end_is_told_after_it(rank: Rank) -> None:
    rank.grant((0, 9), (9, 10))
    rank.launcher.end(0, status=-15)
    rank.worker.turn(1.0, backlog=0)
    rank.launcher.end(9)
    rank.worker.turn(1.1, backlog=0)
    assert flags(rank) == []
    rank.worker.turn(1.0 + 2 * DOUBT_S, backlog=0)
    assert [offset for report in reports(rank.sent) for offset in report.ended["offset"].tolist()] == [0, 9]


def test_an_end_that_was_doubted_does_not_keep_it_from_joining_anew(rank: Rank) -> None:
    rank.grant((0, 9))
    rank.launcher.end(0, status=-15)
    rank.worker.turn(1.0, backlog=0)
    rank.sent.clear()
    rank.tell(Tag.STOP, wire.pack_stop(Stop.REJOIN))
    rank.worker.turn(1.1, backlog=0)
    assert [tag for tag, _ in rank.sent] == [Tag.HELLO, Tag.REPORT]


def test_a_doubtful_end_waits_and_its_slot_does_not(rank: Rank) -> None:
    rank.grant((0, 9))
    rank.sent.clear()
    rank.launcher.end(0, status=143)
    rank.worker.turn(1.0, backlog=0)
    (report,) = reports(rank.sent)
    assert (report.seen, report.credit, report.ended.size) == (1, 2, 0)
    rank.grant((9, 10))
    rank.launcher.end(9)
    rank.worker.turn(1.1, backlog=0)
    assert reports(rank.sent)[-1].credit >= 2
    rank.worker.turn(1.0 + DOUBT_S, backlog=0)
    last = reports(rank.sent)[-1]
    assert (last.credit, flags(rank)) == (2, [0, 0]), "each was counted once"


def test_short_tasks_with_such_exit_codes_run_as_fast_as_others(rank: Rank) -> None:
    """Those that have ended are told of only a second later, however many they are."""
    for turn, (offset, length) in enumerate([(0, 9), (9, 10), (19, 9)] * 5):
        rank.grant((offset, length), attempt=1 + turn)
        assert len(rank.launcher.started) == turn + 1
        rank.launcher.end(offset, attempt=1 + turn, status=143, seconds=0.01)
        rank.worker.turn(1.0 + turn / 100, backlog=0)
        report = reports(rank.sent)[-1]
        assert (report.credit >= 2, report.doubted) == (True, turn + 1)
    assert flags(rank) == []
    assert report.credit > 2, "as many as are needed to keep its slots busy"
    rank.worker.turn(3.0, backlog=0)
    assert flags(rank) == [0] * 15
    assert reports(rank.sent)[-1].doubted == 0


def test_a_doubtful_end_is_dropped_when_rank_0_deals_it_again(rank: Rank) -> None:
    rank.grant((0, 9), (9, 10))
    rank.launcher.end(0, status=143)
    rank.worker.turn(1.0, backlog=0)
    rank.sent.clear()
    rank.tell(Tag.STOP, wire.pack_stop(Stop.REJOIN))
    rank.worker.turn(1.1, backlog=0)
    assert rank.sent == [], "one still runs"
    rank.launcher.end(9, status=-9)
    rank.worker.turn(1.2, backlog=0)
    assert [tag for tag, _ in rank.sent] == [Tag.HELLO, Tag.REPORT]
    assert (reports(rank.sent)[0].credit, flags(rank)) == (2, [])
