"""The manager between real files and workers that a test plays."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import FakeComm, ended_record, report

from mpifarm.ended import Ended
from mpifarm.journal import fastrecovery
from mpifarm.journal.opening import open_run
from mpifarm.ranks import wire
from mpifarm.ranks.comm import Received
from mpifarm.ranks.manager import Manager
from mpifarm.ranks.wire import Message, Note, Stop, Tag
from mpifarm.schedule.answers import How, Outcome
from mpifarm.schedule.retries import PAUSES_S
from mpifarm.schedule.suspects import NOTHING, Dealt, parse
from mpifarm.settings import Config
from mpifarm.site.offer import Offer

LIST = "echo 1\necho 2\necho 3\n"
LENGTH = 9
FASTRECOVERY = Path("fastrecovery.tasks.txt.tfin")
MakeFarm = Callable[..., "Farm"]


class Farm:
    """A manager of two workers."""

    def __init__(self, end: float | None = None, began: float = 0.0, **options: object) -> None:
        config = Config("tasks.txt", **options)  # type: ignore[arg-type]
        self.comm = FakeComm(3)
        opened = open_run(config, began)
        assert opened.journal is not None
        self.manager = Manager(config, self.comm, opened, opened.journal, [1, 2], began, end)
        for rank in (1, 2):
            self.say(rank, Tag.HELLO, wire.pack_hello(Offer(2, 2, 2, f"n{rank}")), began)

    def say(self, rank: int, tag: Tag, message: Message, now: float = 0.0) -> None:
        self.manager.on_message(Received(rank, tag, message), now)

    def grants(self, now: float = 0.0) -> dict[int, list[tuple[int, int]]]:
        """Have a turn; return (offset, attempt) of what each rank was granted."""
        self.manager.turn(now)
        taken: dict[int, list[tuple[int, int]]] = {}
        for message in self.comm.take(Tag.GRANT):
            tasks = wire.unpack_grant(message.message)[["offset", "attempt"]].tolist()
            taken.setdefault(message.source, []).extend(tasks)
        return taken

    def stops(self) -> list[tuple[int, Stop]]:
        return [(message.source, wire.unpack_stop(message.message)) for message in self.comm.take(Tag.STOP)]


@pytest.fixture
def make_farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeFarm:
    monkeypatch.chdir(tmp_path)
    Path("tasks.txt").write_text(LIST)
    return Farm


def progress() -> list[str]:
    return Path("progress.tasks.txt.tfin").read_text().splitlines()


def log() -> str:
    return Path("log.tasks.txt.tfin").read_text()


def test_tasks_that_end_well_are_written_down_in_the_same_turn(make_farm: MakeFarm) -> None:
    farm = make_farm(output="out")
    farm.say(1, Tag.REPORT, report(0, 2))
    assert farm.grants() == {1: [(0, 1), (9, 1)]}
    records = ended_record(9, out=b"two\n"), ended_record(0, out=b"one\n", err=b"!")
    farm.say(1, Tag.REPORT, report(2, 2, *records, written=b"two\none\n!"))
    assert farm.grants() == {1: [(18, 1)]}
    assert progress() == [f"9 n1-1 0.500 4 1700000000 {LENGTH}", f"0 n1-1 0.500 4 1700000000 {LENGTH}"]
    assert Path("out").read_bytes() == b"two\none\n"


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


def test_a_failed_attempt_is_logged_with_what_it_printed_and_dealt_again(make_farm: MakeFarm) -> None:
    farm = make_farm(retries=1)
    farm.say(1, Tag.REPORT, report(0, 1))
    assert farm.grants() == {1: [(0, 1)]}
    failed = ended_record(0, status=-11, out=b"out\n", err=b"err\n")
    farm.say(1, Tag.REPORT, report(1, 0, failed, written=b"out\nerr\n"))
    farm.say(2, Tag.REPORT, report(0, 3))
    assert farm.grants() == {2: [(9, 1), (18, 1)]}
    farm.say(2, Tag.REPORT, report(2, 1, ended_record(9)))
    assert farm.grants() == {}
    assert farm.grants(now=PAUSES_S[0]) == {2: [(0, 2)]}
    assert "SIGSEGV" in log()
    assert log().splitlines()[1:] == ["    err", "    out"]
    assert [line.split()[0] for line in progress()] == ["9"]


def test_an_interrupted_attempt_is_no_failure(make_farm: MakeFarm) -> None:
    farm = make_farm()
    farm.say(1, Tag.REPORT, report(0, 2))
    farm.grants()
    farm.manager.stop(How.KILL, 0.0, "TERM: stopping")
    assert farm.stops() == [(1, Stop.KILL), (2, Stop.KILL)]
    ends = (
        ended_record(0, status=-15, flags=Ended.INTERRUPTED),
        ended_record(9, flags=Ended.INTERRUPTED | Ended.NOT_STARTED),
    )
    farm.say(1, Tag.REPORT, report(2, 0, *ends))
    farm.manager.turn(0.0)
    farm.manager.finish(0.0)
    assert farm.manager.close(0.0) is Outcome.WORK_LEFT
    assert "failed" not in log()
    assert Path("fastrecovery.tasks.txt.tfin").read_text().splitlines()[1:] == ["0", "9"]
    assert len(Path("joblog.tasks.txt.tfin").read_text().splitlines()) == 2, "what never started is no attempt"


def test_a_long_output_that_came_in_parts_is_one_block(make_farm: MakeFarm) -> None:
    farm = make_farm(output="out")
    for rank in (1, 2):
        farm.say(rank, Tag.REPORT, report(0, 1))
    farm.grants()
    for part in (b"a" * 10, b"b" * 10):
        farm.say(1, Tag.REPORT, report(1, 0, written=part))
        farm.say(2, Tag.REPORT, report(1, 0, written=part.upper()))
    farm.say(2, Tag.REPORT, report(1, 1, ended_record(9, out_total=20)))
    farm.say(1, Tag.REPORT, report(1, 1, ended_record(0, out_total=20)))
    farm.manager.turn(0.0)
    assert Path("out").read_bytes() == b"A" * 10 + b"B" * 10 + b"a" * 10 + b"b" * 10
    assert [line.split()[3] for line in progress()] == ["20", "20"]


def test_a_lost_workers_half_output_is_forgotten_and_its_late_report_is_dropped(make_farm: MakeFarm) -> None:
    farm = make_farm(output="out", lost_after_s=10.0)
    farm.say(1, Tag.REPORT, report(0, 1))
    assert farm.grants() == {1: [(0, 1)]}
    farm.say(1, Tag.REPORT, report(1, 0, written=b"half"))
    for second in range(1, 13):
        farm.say(2, Tag.BEAT, wire.pack_beat(), float(second))
        farm.manager.turn(float(second))
    assert farm.manager.gone == {1}
    farm.say(2, Tag.REPORT, report(0, 1), 12.0)
    assert farm.grants(12.0) == {2: [(0, 2)]}
    farm.say(1, Tag.REPORT, report(1, 1, ended_record(0, out_total=4)), 12.0)
    assert farm.stops() == [(1, Stop.REJOIN)], "it was not dead, but its tasks are dealt to others"
    assert farm.manager.gone == set()
    farm.say(2, Tag.REPORT, report(1, 1, ended_record(0, 2, out=b"whole"), written=b"whole"), 12.0)
    farm.manager.turn(12.0)
    assert Path("out").read_bytes() == b"whole"
    assert len(progress()) == 1


def test_a_worker_without_a_launcher_gives_its_tasks_to_others(make_farm: MakeFarm) -> None:
    farm = make_farm()
    farm.say(1, Tag.REPORT, report(0, 2))
    farm.grants()
    farm.say(1, Tag.REPORT, report(2, 0, notes=Note.BROKEN))
    farm.say(2, Tag.REPORT, report(0, 2))
    assert farm.grants() == {2: [(0, 2), (9, 2)]}
    assert farm.manager.gone == set(), "the rank itself is well, and takes part in MPI_Finalize"


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


def test_workers_hear_from_the_manager_though_there_is_nothing_to_say(make_farm: MakeFarm) -> None:
    farm = make_farm(lost_after_s=8.0)
    farm.manager.turn(1.0)
    assert [message.source for message in farm.comm.take(Tag.BEAT)] == [1, 2]


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
    assert "interrupted by the end of the job: task 1 (offset 0), attempt 1, n1-1, had run 3720.000 s: echo 1\n" in log()
    assert farm.manager.close(991.0) is Outcome.WORK_LEFT
    *_, longest, last = capfd.readouterr().err.splitlines()
    assert longest.endswith(
        "has interrupted 1 task (see the log); the longest, task 1 (tasks.txt:1), had run 62 min: echo 1"
    )
    assert last == "mpifarm: 0 of 3 tasks are done: start again to go on"


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
    who = "failed for good: task 3 (offset 18) was running when its worker or the farm died, 3 times, the last one alone"
    assert log().splitlines()[-1].endswith(f"{who}: echo 3")
    farm.manager.close(0.0)
    checkpoint = fastrecovery.read(FASTRECOVERY)
    assert checkpoint
    assert checkpoint.suspects == [(18, 3, True)]


def _kill(farm: Farm) -> None:
    """Let the manager be as good as dead: its lock is stale, and it says nothing more."""
    farm.manager._lock._file.close()  # type: ignore[union-attr]
    os.utime("lock.tasks.txt.tfin", (1.7e9, 1.7e9))


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
