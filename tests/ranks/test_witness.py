"""What rank 0 says of its run in the status file, with workers that a test plays."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import ended_record, report

from mpifarm.ranks.seniors import Seniors
from mpifarm.ranks.wire import Tag
from mpifarm.ranks.witness import EVERY_S
from mpifarm.schedule.answers import How, Seen
from mpifarm.settings import MaxFails
from mpifarm.view import snapshot
from mpifarm.view.snapshot import Snapshot, Tasks

from .played import MakeFarm

STATUS = Path("status.tasks.txt.tfin")


def told() -> Snapshot:
    return snapshot.parse(STATUS.read_bytes(), "tasks.txt")


def test_it_is_written_at_once_and_again_when_it_is_time(make_farm: MakeFarm) -> None:
    farm = make_farm()
    farm.say(1, Tag.REPORT, report(0, 2))
    assert farm.grants() == {1: [(0, 1), (9, 1)]}
    assert told().tasks == Tasks(3, 0, 0, 2, 1)
    assert [one.command for one in told().longest] == ["echo 1", "echo 2"]
    farm.say(1, Tag.REPORT, report(2, 1, ended_record(0, rss_kib=2000)))
    farm.grants(now=EVERY_S / 2)
    assert told().tasks.done == 0
    farm.grants(now=EVERY_S)
    assert told().tasks == Tasks(3, 1, 0, 2, 0)
    assert (told().seconds.median, told().rss_kib.peak, told().run.done) == (0.5, 2000, 1)


def test_failures_and_what_a_lost_worker_had_are_counted(make_farm: MakeFarm) -> None:
    farm = make_farm(retries=1)
    farm.say(1, Tag.REPORT, report(0, 2))
    farm.grants()
    farm.say(1, Tag.REPORT, report(2, 0, ended_record(0, status=3, err=b"no file 7\n"), written=b"no file 7\n"))
    farm.manager.lose(1)
    farm.grants(now=EVERY_S)
    seen = told()
    assert seen.attempts == snapshot.Attempts(failed=1, retried=1, lost=1)
    (reason,) = seen.reasons
    assert (reason.how, reason.last, reason.attempts, reason.tasks, reason.seqs) == ("exit code 3", "no file #", 1, 0, (1,))
    nodes = {node.node: (node.slots, node.failed, node.note) for node in seen.nodes}
    assert nodes == {"n1": (0, 1, "lost"), "n2": (2, 0, "")}


def test_slots_that_are_lost_were_busy_as_long_as_they_were_there(make_farm: MakeFarm) -> None:
    farm = make_farm()
    farm.say(1, Tag.REPORT, report(0, 2))
    farm.say(2, Tag.REPORT, report(0, 1))
    assert sum(map(len, farm.grants().values())) == 3
    farm.grants(now=EVERY_S)
    before = told().slots
    farm.manager.lose(1)
    farm.grants(now=2 * EVERY_S)
    after = told().slots
    assert before.share is not None
    assert after.share is not None
    assert (before.total, before.busy, after.total, after.busy) == (4, 3, 2, 1)
    assert before.share == pytest.approx(3 / 4)
    assert after.share == pytest.approx((3 + (3 + 1) / 2) / (4 + (4 + 2) / 2))


def test_the_last_word_is_how_it_ended_and_by_what(make_farm: MakeFarm) -> None:
    farm = make_farm()
    farm.manager.stop(How.DRAIN, 1.0, "SIGUSR2: draining")
    farm.grants(now=1.0)
    farm.manager.finish(1.0)
    farm.manager.close(1.0)
    assert (told().state, told().run.why, told().tasks) == ("stopped", "SIGUSR2: draining", Tasks(3, 0, not_run=3))


def test_what_has_failed_too_often_is_why_nothing_more_is_started(make_farm: MakeFarm) -> None:
    farm = make_farm(retries=0, max_fails=MaxFails("0", 0))
    farm.say(1, Tag.REPORT, report(0, 1))
    farm.grants()
    farm.say(1, Tag.REPORT, report(1, 1, ended_record(0, status=3)))
    farm.grants(now=1.0)
    farm.manager.finish(1.0)
    farm.manager.close(1.0)
    assert (told().state, told().run.why) == ("failed", "stopped by --max-fails 0")


def test_when_all_will_have_ended_is_told_as_soon_as_some_have(make_farm: MakeFarm) -> None:
    Path("tasks.txt").write_text("".join(f"echo {number}\n" for number in range(50)))
    farm = make_farm()
    now = 0.0
    for done in range(0, 20, 2):
        farm.say(1, Tag.REPORT, report(2 * done, 2))
        offsets = [offset for offset, _ in farm.grants(now)[1]]
        now += 1.0
        for offset in offsets:
            farm.say(1, Tag.REPORT, report(0, 0, ended_record(offset)), now)
    farm.grants(now + EVERY_S)
    end = told().end
    assert end.earliest is not None
    assert end.latest is not None
    assert told().written < end.earliest <= end.latest


def test_the_age_of_a_task_is_known_without_a_note_of_it() -> None:
    seniors = Seniors(0)
    for second in range(5000):
        seniors.dealt(10 * (second + 1), float(second))

    def oldest(*leases: tuple[int, int, int, int]) -> list[tuple[int, float]]:
        worker = Seen(1, "n1", 4, len(leases), 0, 0.0, list(leases))
        longest = seniors.told([worker], 5000.0, 5000.0, lambda offset, _: b"%d" % offset)
        return [(one.seq, one.since) for one in longest]

    assert len(seniors._times) <= 2048
    found = oldest((10, 1, 5, 2), (40_000, 1, 5, 4001), (49_990, 1, 5, 5000))
    assert [seq for seq, _ in found] == [2, 4001, 5000]
    for (_, since), dealt in zip(found, (1, 4000, 4999), strict=True):
        assert dealt <= since <= dealt + 0.01 * (5000 - dealt) + 2
    assert oldest((10, 2, 5, 2)) == [(2, 5000.0)]  # a retry, seen for the first time


def test_a_task_that_only_waited_for_a_slot_does_not_count_as_running_since_it_was_dealt() -> None:
    seniors = Seniors(0)
    for second in range(60):
        seniors.dealt(10 * (second + 1), float(second))

    def age(now: float, queued: int, *offsets: int) -> dict[int, float]:
        leases = [(offset, 1, 5, offset) for offset in offsets]
        worker = Seen(1, "n1", 1, 1, queued, 0.0, leases)
        longest = seniors.told([worker], now, now, lambda offset, _: b"%d" % offset)
        return {one.seq: now - one.since for one in longest}

    assert age(2.0, 40, 10) == {10: 0.0}  # dealt a second ago; nobody knows for how long it waited
    assert age(50.0, 5, 10) == {10: 48.0}
    assert age(52.0, 1, 300) == {300: 0.0}  # dealt at 30 s, and first now it has a slot
    assert age(54.0, 0, 300) == {300: 2.0}
    assert age(55.0, 0, 540) == {540: pytest.approx(1.0)}  # dealt when nothing waited any more


def test_a_task_that_has_not_failed_after_all_is_no_failed_task(make_farm: MakeFarm) -> None:
    """A node on which all fails is found out after its tasks: they are tried elsewhere, and may fail there, too."""
    Path("tasks.txt").write_text("".join(f"echo {number}\n" for number in range(100)))
    farm = make_farm(retries=0)
    seen = {1: 0, 2: 0}  # tasks that each rank was granted

    def fail(rank: int, status: int, now: float) -> int:
        """Let *rank* have two tasks, and both of them fail; return how many tasks have failed by then."""
        farm.say(rank, Tag.REPORT, report(seen[rank], 2), now)
        seen[rank] += 2
        granted = farm.grants(now)[rank]
        ends = (ended_record(offset, attempt, status=status) for offset, attempt in granted)
        farm.say(rank, Tag.REPORT, report(seen[rank], 0, *ends), now)
        farm.manager.turn(now + EVERY_S)
        reasons = {reason.how: reason.tasks for reason in told().reasons}
        assert told().tasks.failed == sum(reasons.values())
        return told().tasks.failed

    assert [fail(1, 3, now) for now in (10.0, 20.0)] == [2, 4]
    assert fail(1, 3, 30.0) == 0  # six in a row: it may be the node
    assert told().attempts == snapshot.Attempts(failed=6, retried=6, lost=0)
    assert fail(2, 4, 40.0) == 2
    assert {reason.how: reason.tasks for reason in told().reasons} == {"exit code 3": 0, "exit code 4": 2}


def test_the_end_of_the_job_is_named_as_what_has_stopped_it(make_farm: MakeFarm) -> None:
    farm = make_farm(end=1000.0)
    farm.grants(now=990.0)
    farm.manager.finish(990.0)
    farm.manager.close(990.0)
    assert (told().state, told().run.why) == ("stopped", "stopped by the end of the job")
