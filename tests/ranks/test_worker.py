"""The worker: grants to its launcher, ends to rank 0, credit, and what it does when something is gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from fakes import FakeLauncher, reports

from mpifarm.launcher.frames import Reply
from mpifarm.launcher.launcher import Frame, Launcher
from mpifarm.ranks import wire, worker
from mpifarm.ranks.wire import Note, Stop, Tag
from mpifarm.ranks.worker import ManagerLost, Settings, State, Worker
from mpifarm.site.offer import Offer

from .played import Rank


def test_it_says_hello_and_asks_for_its_free_slots(rank: Rank) -> None:
    assert [tag for tag, _ in rank.sent] == [Tag.HELLO, Tag.REPORT]
    assert wire.unpack_hello(rank.sent[0][1]) == Offer(slots=2, cpus=4, usable_cpus=4, node="n1")
    assert reports(rank.sent)[0].credit == 2
    assert rank.launcher.orders == ["set up 2 slots from 5 on n1"]


def test_it_reads_the_command_at_the_granted_offset_and_drops_one_carriage_return(rank: Rank) -> None:
    rank.grant((0, 9), (9, 10), attempt=2)
    assert rank.launcher.started == [(0, 1, 2, 3.0, b"echo 1"), (9, 2, 2, 3.0, b"echo 2")]


def test_it_passes_ends_on_with_its_credit(rank: Rank) -> None:
    rank.grant((0, 9), (9, 10))
    rank.launcher.end(9, out=b"2\n")
    assert rank.worker.turn(1.0, backlog=0)
    report = reports(rank.sent)[-1]
    assert (report.seen, report.credit) == (2, 1)
    assert report.ended["offset"].tolist() == [9]
    assert bytes(report.output) == b"2\n"


def test_it_looks_for_messages_when_its_slots_may_be_idle_and_else_leaves_them_waiting_a_little(rank: Rank) -> None:
    assert rank.worker.patience_s == 0
    rank.grant((0, 9), (9, 10))
    assert rank.worker.patience_s == worker.PATIENCE_S
    rank.launcher.end(9)
    rank.worker.turn(1.0, backlog=0)
    assert rank.worker.patience_s == 0
    rank.grant((9, 10), attempt=2)
    rank.tell(Tag.STOP, wire.pack_stop(Stop.DRAIN))
    assert rank.worker.patience_s == 0, "it has been told to go, and the next message says when"


def test_a_stop_is_carried_out_and_nothing_more_is_asked_for(rank: Rank) -> None:
    for how, order in ((Stop.DRAIN, "recall"), (Stop.KILL, "terminate"), (Stop.KILL_NOW, "kill")):
        rank.tell(Tag.STOP, wire.pack_stop(how))
        assert rank.launcher.orders[-1] == order
    rank.grant((0, 9))
    assert rank.launcher.orders[-1] == "recall", "a grant that was on its way is given back"
    rank.launcher.end(0)
    rank.worker.turn(1.0, backlog=0)
    assert reports(rank.sent)[-1].credit == 0


def test_a_signal_makes_it_leave_and_tell_so(rank: Rank) -> None:
    rank.worker.on_signal(Stop.KILL, 1.0)
    report = reports(rank.sent)[-1]
    assert (report.credit, report.notes) == (0, Note.LEAVING)
    assert rank.launcher.orders[-1] == "terminate"


@pytest.mark.parametrize(("how", "complete"), [(Stop.FINALIZE, True), (Stop.VANISH, False)])
def test_told_to_leave_it_says_goodbye_and_learns_whether_somebody_is_lost(rank: Rank, how: Stop, complete: bool) -> None:
    rank.tell(Tag.STOP, wire.pack_stop(Stop.LEAVE))
    assert rank.launcher.orders[-1] == "close"
    assert reports(rank.sent)[-1].notes & Note.LEFT
    assert rank.worker.state is not State.GONE
    rank.tell(Tag.STOP, wire.pack_stop(how))
    assert (rank.worker.state, rank.worker.complete) == (State.GONE, complete)
    assert not rank.worker.turn(1.0, backlog=0)


def test_while_too_much_is_unsent_the_launcher_is_not_read(rank: Rank) -> None:
    rank.grant((0, 9))
    rank.launcher.end(0)
    assert not rank.worker.turn(1.0, backlog=worker.MOST_UNSENT_BYTES)
    assert rank.worker.turn(1.0, backlog=worker.MOST_UNSENT_BYTES - 1)


def test_without_its_launcher_it_tells_and_runs_nothing_more(rank: Rank) -> None:
    rank.grant((0, 9))
    rank.launcher.broken = True
    rank.worker.turn(1.0, backlog=0)
    report = reports(rank.sent)[-1]
    assert (report.credit, report.notes) == (0, Note.BROKEN)
    rank.launcher.broken = False
    rank.grant((9, 10))
    assert rank.launcher.started == [(0, 1, 1, 3.0, b"echo 1")]


def test_a_launcher_that_cannot_work_is_no_launcher(rank: Rank) -> None:
    rank.launcher.frames = [Frame(0, Reply.TROUBLE, 0, b"no place")]
    rank.worker.turn(1.0, backlog=0)
    report = reports(rank.sent)[-1]
    assert report.notes == Note.BROKEN | Note.LACKING
    assert bytes(report.output) == b"no place"


def test_it_beats_when_it_has_nothing_to_say(rank: Rank) -> None:
    for tenth in range(40):
        rank.tell(Tag.BEAT, wire.pack_beat(), tenth / 10)
        rank.worker.turn(tenth / 10, backlog=0)
    beats = [tag for tag, _ in rank.sent if tag is Tag.BEAT]
    assert 2 <= len(beats) <= 4, "one in lost_after / 8"


def test_a_manager_that_is_silent_for_too_long_is_lost_and_one_that_hangs_for_a_minute_is_not(rank: Rank) -> None:
    patience_s = 8.0 + worker.MANAGER_SLOW_S
    for second in range(int(patience_s) + 1):
        rank.worker.turn(float(second), backlog=0)
    with pytest.raises(ManagerLost):
        rank.worker.turn(patience_s + 0.1, backlog=0)


def test_a_worker_that_was_away_itself_waits_for_rank_0_as_long_as_ever(rank: Rank) -> None:
    rank.worker.turn(1.0, backlog=0)
    rank.sent.clear()
    rank.worker.turn(10_000.0, backlog=0)
    assert [tag for tag, _ in rank.sent] == [Tag.BEAT], "what is due is said at once"
    patience_s = 8.0 + worker.MANAGER_SLOW_S
    for second in range(int(patience_s) - 1):
        rank.worker.turn(10_000.0 + second, backlog=0)
    with pytest.raises(ManagerLost):
        for second in range(int(patience_s) - 1, int(patience_s) + 1):
            rank.worker.turn(10_000.0 + second, backlog=0)


@pytest.mark.parametrize(("lost_after_s", "patience_s"), [(120.0, 180.0), (8.0, 68.0), (1.0, 9.0)])
def test_a_manager_may_be_silent_for_a_minute_longer_and_less_where_losses_are_missed_soon(
    tmp_path: Path, lost_after_s: float, patience_s: float
) -> None:
    assert Settings("n1", 4, 4, 2, 1, 0.0, lost_after_s, tmp_path / "tfin", False).manager_patience_s == patience_s


def test_in_the_managers_process_there_are_no_beats(tmp_path: Path) -> None:
    rank = Rank(tmp_path, alone=True)
    rank.worker.turn(1e6, backlog=0)
    assert [tag for tag, _ in rank.sent] == [Tag.HELLO, Tag.REPORT]


def test_taken_for_lost_it_kills_forgets_and_joins_anew(rank: Rank) -> None:
    rank.grant((0, 9), (9, 10))
    rank.sent.clear()
    rank.tell(Tag.STOP, wire.pack_stop(Stop.REJOIN))
    assert rank.launcher.orders[-1] == "kill"
    for offset in (0, 9):
        rank.launcher.end(offset, status=-9)
        assert not rank.sent, "what it had is somebody else's by now"
        rank.worker.turn(0.5, backlog=0)
    assert [tag for tag, _ in rank.sent] == [Tag.HELLO, Tag.REPORT]
    assert (reports(rank.sent)[0].seen, reports(rank.sent)[0].credit) == (0, 2)
    rank.grant((0, 9), attempt=2)
    rank.launcher.end(0, attempt=2)
    rank.worker.turn(2.0, backlog=0)
    assert reports(rank.sent)[-1].ended["attempt"].tolist() == [2]


@pytest.mark.parametrize(("cpus", "usable", "widened"), [(1, 8, True), (2, 8, False), (1, 1, False), (8, 8, False)])
def test_tasks_may_use_what_the_launcher_took_from_the_rank(tmp_path: Path, cpus: int, usable: int, widened: bool) -> None:
    settings = Settings("n1", cpus, usable, 2, 1, 0.0, 8.0, tmp_path / "tfin", False)
    launcher = FakeLauncher()
    Worker(settings, cast(Launcher, launcher), lambda *_: None, 0.0)
    assert launcher.orders[0].endswith(", widened") is widened


@pytest.mark.parametrize(
    ("cpus", "usable", "slots", "mates", "each"),
    [
        (8, 8, 2, 1, 4),  # the rank has the node
        (8, 8, 3, 1, 2),
        (2, 2, 8, 1, 1),  # more slots than CPUs
        (1, 8, 2, 1, 4),  # the launcher has taken CPUs from the rank: the tasks get them back
        (4, 8, 2, 1, 2),  # the rank is bound to as many as its slots need, and its tasks with it
        (8, 8, 2, 2, 2),  # two workers on a node, bound to nothing
        (4, 8, 2, 2, 2),  # each bound to its half
        (1, 1, 1, 4, 1),
    ],
)
def test_a_slot_has_its_part_of_the_cpus_that_the_tasks_may_use(
    tmp_path: Path, cpus: int, usable: int, slots: int, mates: int, each: int
) -> None:
    settings = Settings("n1", cpus, usable, slots, 1, 0.0, 8.0, tmp_path / "tfin", False, mates, tell_cpus=True)
    assert settings.task_cpus == each
    assert replace(settings, tell_cpus=False).task_cpus == 0
    launcher = FakeLauncher()
    Worker(settings, cast(Launcher, launcher), lambda *_: None, 0.0)
    assert f", {each} CPUs each" in launcher.orders[0]
