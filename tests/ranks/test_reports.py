"""What workers report of attempts, and what of it the files say then."""

from __future__ import annotations

from pathlib import Path

from fakes import ended_record, report

from mpifarm.ended import Ended
from mpifarm.ranks import wire
from mpifarm.ranks.wire import Stop, Tag
from mpifarm.schedule.answers import How, Outcome
from mpifarm.schedule.retries import PAUSES_S

from .played import LENGTH, MakeFarm, log, progress


def test_tasks_that_end_well_are_written_down_in_the_same_turn(make_farm: MakeFarm) -> None:
    farm = make_farm(output="out")
    farm.say(1, Tag.REPORT, report(0, 2))
    assert farm.grants() == {1: [(0, 1), (9, 1)]}
    records = ended_record(9, out=b"two\n"), ended_record(0, out=b"one\n", err=b"!")
    farm.say(1, Tag.REPORT, report(2, 2, *records, written=b"two\none\n!"))
    assert farm.grants() == {1: [(18, 1)]}
    assert progress() == [f"9 n1-1 0.500 4 1700000000 {LENGTH}", f"0 n1-1 0.500 4 1700000000 {LENGTH}"]
    assert Path("out").read_bytes() == b"two\none\n"


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
    assert log().splitlines()[-4:] == ["    stderr:", "        err", "    stdout:", "        out"]
    assert [line.split()[0] for line in progress()] == ["9"]


def test_an_interrupted_attempt_is_no_failure(make_farm: MakeFarm) -> None:
    farm = make_farm()
    farm.say(1, Tag.REPORT, report(0, 2))
    farm.grants()
    farm.manager.stop(How.KILL, 0.0, "TERM: stopping")
    assert farm.stops() == [(1, Stop.KILL), (2, Stop.KILL)]
    ends = (
        ended_record(0, status=-15, flags=Ended.INTERRUPTED, out=b"so far\n"),
        ended_record(9, flags=Ended.INTERRUPTED | Ended.NOT_STARTED),
    )
    farm.say(1, Tag.REPORT, report(2, 0, *ends, written=b"so far\n"))
    farm.manager.turn(0.0)
    farm.manager.finish(0.0)
    assert farm.manager.close(0.0) is Outcome.WORK_LEFT
    assert "failed" not in log()
    head, *rest = log().splitlines()[-3:]
    assert head.endswith("interrupted: task 1 (tasks.txt:1), attempt 1, n1-1, had run 0.500 s: echo 1")
    assert rest == ["    stdout:", "        so far"]
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


def test_what_is_given_back_between_a_part_and_its_end_takes_nothing_of_it(make_farm: MakeFarm) -> None:
    farm = make_farm(output="out")
    farm.say(1, Tag.REPORT, report(0, 2))
    farm.grants()
    farm.say(1, Tag.REPORT, report(2, 0, written=b"a" * 10))
    farm.say(1, Tag.REPORT, report(2, 0, ended_record(9, flags=Ended.INTERRUPTED | Ended.NOT_STARTED)))
    farm.say(1, Tag.REPORT, report(2, 0, ended_record(0, out=b"b" * 10, out_total=20), written=b"b" * 10))
    farm.manager.turn(0.0)
    assert Path("out").read_bytes() == b"a" * 10 + b"b" * 10
    assert [line.split()[3] for line in progress()] == ["20"]


def test_an_output_of_which_a_part_is_missing_is_never_recorded(make_farm: MakeFarm) -> None:
    farm = make_farm(output="out")
    farm.say(1, Tag.REPORT, report(0, 1))
    farm.grants()
    farm.say(1, Tag.REPORT, report(1, 0, written=b"a" * 9))
    farm.say(1, Tag.REPORT, report(1, 0, ended_record(0, out=b"b" * 10, out_total=20), written=b"b" * 10))
    farm.manager.turn(0.0)
    assert progress() == []
    assert Path("out").read_bytes() == b""
    assert farm.stops() == [(1, Stop.KILL), (2, Stop.KILL)]


def test_what_came_of_an_output_that_could_not_be_read_to_its_end_is_forgotten(make_farm: MakeFarm) -> None:
    farm = make_farm(output="out")
    farm.say(1, Tag.REPORT, report(0, 1))
    farm.grants()
    farm.say(1, Tag.REPORT, report(1, 0, written=b"a" * 10))
    farm.say(1, Tag.REPORT, report(1, 1, ended_record(0, status=74, out_total=10)))
    farm.manager.turn(0.0)
    assert farm.grants() == {1: [(9, 1)]}
    farm.say(1, Tag.REPORT, report(1, 0, written=b"b" * 10))
    farm.say(1, Tag.REPORT, report(1, 0, ended_record(9, out_total=10)))
    farm.manager.turn(0.0)
    assert Path("out").read_bytes() == b"b" * 10
    assert farm.stops() == []


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
