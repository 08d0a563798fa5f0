"""What a node cannot read yet: looked for again, given to others, and in the end the node is broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import reports

from mpifarm.ended import Ended
from mpifarm.ranks import wire
from mpifarm.ranks.unread import UNREAD_S
from mpifarm.ranks.wire import Note, Stop, Tag

from .played import Rank

GIVEN_BACK = Ended.INTERRUPTED | Ended.NOT_STARTED


@pytest.mark.parametrize(("offset", "length"), [(1, 9), (0, 8), (0, 19), (19, 90), (900, 9)])
def test_a_record_that_is_not_there_is_waited_for_and_is_no_attempt(rank: Rank, offset: int, length: int) -> None:
    rank.sent.clear()
    rank.grant((offset, length), (0, 9))
    assert rank.launcher.started == [(0, 2, 1, 3.0, b"echo 1")]
    for now in (0.5, 1.0, 2.0, 2.9):
        rank.worker.turn(now, backlog=0)
    assert len(rank.launcher.started) == 1
    assert reports(rank.sent) == []


def test_a_list_that_is_seen_late_is_read_then(rank: Rank, tmp_path: Path) -> None:
    tfin = tmp_path / "tasks.txt.tfin"
    content = tfin.read_bytes()
    tfin.unlink()
    rank.grant((0, 9), (9, 10))
    rank.worker.turn(0.5, backlog=0)
    tfin.write_bytes(content[:9])
    rank.worker.turn(1.0, backlog=0)
    assert rank.launcher.started == [(0, 1, 1, 3.0, b"echo 1")]
    tfin.write_bytes(content)
    rank.worker.turn(2.9, backlog=0)
    assert len(rank.launcher.started) == 1, "the pause is longer now"
    rank.worker.turn(3.0, backlog=0)
    assert rank.launcher.started[1:] == [(9, 2, 1, 3.0, b"echo 2")]


def unseen(rank: Rank, tmp_path: Path) -> bytes:
    """Let the list be invisible until what was granted has been given back; return the list."""
    content = (tmp_path / "tasks.txt.tfin").read_bytes()
    (tmp_path / "tasks.txt.tfin").unlink()
    rank.grant((0, 9), (9, 10))
    rank.sent.clear()
    for now in (1.0, 2.0, 3.0, 3.1):
        rank.worker.turn(now, backlog=0)
    return content


def test_what_this_node_cannot_read_goes_to_others_soon_and_it_asks_for_no_more(rank: Rank, tmp_path: Path) -> None:
    unseen(rank, tmp_path)
    (back,) = reports(rank.sent)
    assert back.ended["offset"].tolist() == [0, 9]
    assert back.ended["flags"].tolist() == [GIVEN_BACK] * 2
    assert (back.credit, back.notes) == (0, wire.NO_NOTE)
    rank.sent.clear()
    rank.grant((19, 9))  # it was on its way
    (back,) = reports(rank.sent)
    assert (back.ended["offset"].tolist(), back.credit) == ([19], 0)


def test_when_it_sees_the_list_again_it_asks_for_tasks_again(rank: Rank, tmp_path: Path) -> None:
    content = unseen(rank, tmp_path)
    rank.sent.clear()
    (tmp_path / "tasks.txt.tfin").write_bytes(content)
    rank.worker.turn(6.9, backlog=0)
    assert reports(rank.sent) == []
    rank.worker.turn(7.0, backlog=0)
    (asks,) = reports(rank.sent)
    assert (asks.credit, asks.ended.size) == (2, 0)
    rank.grant((9, 10))
    assert rank.launcher.started == [(9, 1, 1, 3.0, b"echo 2")]


def test_a_node_that_does_not_see_the_list_for_a_minute_is_broken(rank: Rank, tmp_path: Path) -> None:
    unseen(rank, tmp_path)
    rank.sent.clear()
    for now in range(4, int(UNREAD_S)):
        rank.worker.turn(float(now), backlog=0)
    assert reports(rank.sent) == []
    rank.worker.turn(UNREAD_S, backlog=0)
    (broken,) = reports(rank.sent)
    assert (broken.credit, broken.notes) == (0, Note.BROKEN | Note.LACKING)


@pytest.mark.parametrize("how", [Stop.DRAIN, Stop.KILL])
def test_what_could_not_be_read_is_given_back_at_a_stop(rank: Rank, how: Stop) -> None:
    rank.grant((900, 9))
    rank.sent.clear()
    rank.tell(Tag.STOP, wire.pack_stop(how))
    (back,) = reports(rank.sent)
    assert (back.ended["offset"].tolist(), back.ended["flags"].tolist()) == ([900], [GIVEN_BACK])
    rank.worker.turn(5.0, backlog=0)
    assert rank.launcher.started == []


def test_a_worker_that_was_taken_for_lost_forgets_what_it_could_not_read(rank: Rank) -> None:
    rank.grant((900, 9))
    rank.sent.clear()
    rank.tell(Tag.STOP, wire.pack_stop(Stop.REJOIN))
    rank.worker.turn(5.0, backlog=0)
    assert [tag for tag, _ in rank.sent] == [Tag.HELLO, Tag.REPORT]
    assert reports(rank.sent)[0].credit == 2
