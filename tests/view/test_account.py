"""From the files of a list to what became of each task and each attempt."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpifarm import FarmError
from mpifarm.journal.holder import this_process
from mpifarm.view import account, findings, reasons, series, slottime
from mpifarm.view.account import Account, Kind, State

from .runs import T0, Ran, Run

LIST = Path("tasks.txt")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def kinds(found: Account) -> list[Kind]:
    return [Kind(kind) for kind in found.kinds.tolist()]


def states(found: Account) -> list[State]:
    return [State(state) for state in found.states.tolist()]


def stamp(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S ", time.localtime(T0 + at))


def test_what_became_of_each_task() -> None:
    run = Run(["true", "false", "sleep 9", "echo 4", "", "# no task"])
    run.add(Ran(0), Ran(1, 1).failed(), Ran(2, 1, 5, number=15, why=None))
    found = account.read(LIST)
    assert states(found) == [State.DONE, State.FAILED, State.STOPPED, State.UNRUN]
    assert kinds(found) == [Kind.SUCCEEDED, Kind.FAILED, Kind.STOPPED]


def test_a_success_that_progress_does_not_have_runs_again() -> None:
    run = Run(["true", "echo 2"])
    run.add(Ran(0), Ran(1, 1))
    Path("progress.tasks.txt.tfin").write_text(f"0 n1-1 1.000 0 {int(T0)} 7\n")
    assert states(account.read(LIST)) == [State.DONE, State.STOPPED]


def test_what_fastrecovery_stands_for_is_done() -> None:
    run = Run(["true", "echo 2", "echo 3"])
    Path("fastrecovery.tasks.txt.tfin").write_text(f"# max: 2 {run.offsets[2]}\n{run.offsets[0]}\n")
    assert states(account.read(LIST)) == [State.UNRUN, State.DONE, State.UNRUN]


def test_a_done_file_says_that_all_is_done() -> None:
    Run(["true", "echo 2"])
    Path("done.tasks.txt.tfin").write_text("done\n")
    assert states(account.read(LIST)) == [State.DONE, State.DONE]


def test_attempts_of_tasks_that_are_not_in_the_list_are_history() -> None:
    run = Run(["true"])
    run.add(Ran(0))
    line = "0\tn1\t1796000000.000\t2.000\t0\t0\t1\t0\t1\t1\t10\t0.000\t0.000\t-1\tgone\n"
    run.append("joblog", line)
    found = account.read(LIST)
    assert kinds(found) == [Kind.SUCCEEDED, Kind.HISTORY]
    assert "1 attempt of tasks that are no longer in the list" in findings.find(found).bad
    assert slottime.balance(found).parts[slottime.HISTORY] == 2.0


def test_without_a_log_an_attempt_that_was_stopped_counts_as_failed_and_that_is_said() -> None:
    run = Run(["sleep 9"])
    run.add(Ran(0, number=15, why=None))
    Path("log.tasks.txt.tfin").unlink()
    found = account.read(LIST)
    assert kinds(found) == [Kind.FAILED]
    assert "no log.tasks.txt.tfin" in findings.find(found).bad
    assert [(reason.how, reason.tasks) for reason in reasons.grouped(found)] == [("killed by SIGTERM", 1)]


def test_a_failure_is_known_in_the_log_whatever_number_the_task_has_there() -> None:
    run = Run(["false", "true"])
    run.add(Ran(0).failed())
    log = Path("log.tasks.txt.tfin")
    log.write_text(log.read_text().replace("task 1 (offset 0)", "task 25 (tasks.txt:288)"))
    assert kinds(account.read(LIST)) == [Kind.FAILED]


@pytest.mark.parametrize(
    "err", ["In/1.dat is missing", "50 %\r100 %\rIn/1.dat is missing", "In/1.dat is missing\nmpifarm: hint"]
)
def test_failures_are_grouped_by_their_end_and_the_last_line_without_digits(err: str) -> None:
    run = Run([f"./fit {number}" for number in range(6)])
    run.append("log", f"{stamp(0)}something else\n")
    run.add(*(Ran(number).failed(err=err.replace("1", str(number))) for number in range(3)))
    run.add(Ran(3, number=9).failed("killed by SIGKILL", code=0), Ran(4).failed("timed out"), Ran(4, 5, attempt=2))
    found = [(reason.how, reason.gist, reason.tasks, reason.attempts) for reason in reasons.grouped(account.read(LIST))]
    assert found == [
        ("exit code 1", "In/#.dat is missing", 3, 3),
        ("killed by SIGKILL", "", 1, 1),
        ("timed out", "", 0, 1),
    ]


def test_where_the_log_tells_them_apart_the_last_line_is_that_of_standard_error() -> None:
    run = Run(["a", "b"])
    run.add(Ran(0).failed(err="stderr:\n    no\n    stdout:\nstdout:\n    yes"), Ran(1).failed(err="stdout:\n    yes"))
    assert {reason.gist for reason in reasons.grouped(account.read(LIST))} == {"stdout:", ""}


def test_a_pause_or_the_log_tells_of_another_start() -> None:
    run = Run([f"true {number}" for number in range(5)])
    run.append("log", f"{stamp(-3)}started: 2 workers on 1 node, 4 slots, mpifarm 0.1.0\n")
    run.add(Ran(0), Ran(1, 1.2))
    run.append("log", f"{stamp(9)}started: 1 worker on 1 node, 2 slots, mpifarm 0.1.0\n")
    run.add(Ran(2, 10), Ran(3, 11.5), Ran(4, 500))
    found = account.read(LIST)
    assert [(round(each.begin - T0, 3), round(each.end - T0, 3)) for each in found.stretches] == [
        (-3, 2.2),
        (9, 12.5),
        (500, 501),
    ]
    assert [stretch.cut for stretch in found.stretches] == [True, True, False]
    assert slottime.balance(found).slots == [4, 2, 1]


def test_the_time_of_the_slots_adds_up() -> None:
    run = Run([f"true {number}" for number in range(5)])
    run.append("log", f"{stamp(-1)}started: 2 workers on 2 nodes, 3 slots, mpifarm 0.1.0\n")
    run.add(Ran(0, 0, 2), Ran(1, 3, 1).failed(), Ran(2, 0, 4, node="n2", number=15, why=None), Ran(3, 4, 6))
    run.append("log", f"{stamp(7)}worker 2 on n2 is lost: 1 tasks that it had are dealt again\n")
    whole = account.read(LIST)
    found = slottime.balance(whole)
    there = series.busy(whole, found.slots, found.lost).slots
    assert (round(there[0]), round(there[-1])) == (3, 2), "one is lost with its node"
    assert found.held_s == 11 + 8 + 11
    assert found.parts == {
        slottime.DONE: 8, slottime.FAILED: 1, slottime.STOPPED: 4, slottime.REPEATED: 0, slottime.HISTORY: 0,
        slottime.START: 2, slottime.BETWEEN: 1, slottime.TAIL: 0, slottime.DRAIN: 0, slottime.LOST: 3, slottime.UNUSED: 11,
    }  # fmt: skip


@given(
    ran=st.lists(
        st.builds(
            Ran,
            task=st.integers(0, 3),
            start=st.floats(0, 400),
            seconds=st.floats(0, 100),
            code=st.integers(0, 1),
            node=st.sampled_from(["a", "b"]),
            slot=st.integers(1, 3),
            why=st.sampled_from([None, "exit code 1"]),
        ),
        min_size=1,
        max_size=30,
    )
)
@settings(max_examples=2 * settings().max_examples // 5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sums_and_series_hold_whatever_ran(ran: list[Ran]) -> None:
    for name in os.listdir():
        Path(name).unlink()
    run = Run(["a", "b", "c", "d"])
    run.add(*ran)
    found = account.read(LIST)
    slots = slottime.balance(found)
    assert sum(slots.parts.values()) == pytest.approx(slots.held_s)
    busy = series.busy(found, slots.slots, slots.lost)
    spent = sum(float(f"{one.seconds:.3f}") for one in ran)
    assert float((busy.busy * np.diff(busy.edges)).sum()) == pytest.approx(spent, abs=1e-3)
    pace = series.pace(found)
    assert pace.pace.size <= series.MOST_MARKS
    findings.find(found)


def test_a_farm_that_runs_and_one_that_is_gone_are_called_so() -> None:
    Run(["true", "false"]).add(Ran(0))
    lock = Path("lock.tasks.txt.tfin")
    lock.write_text("mpifarm host=nid1 pid=47 born=1 boot= space= job=9 restart=0 dealt=0\n")
    found = findings.find(account.read(LIST))
    assert "1 of 2 tasks are done so far: 1 are running or wait" in found.verdict
    assert "running (process 47 on nid1, Slurm job 9 (restart 0))" in found.covers
    os.utime(lock, (1, 1))
    assert "ended without a word" in findings.find(account.read(LIST)).covers
    gone = replace(this_process(), pid=2**22 + 1)  # more than Linux gives out
    lock.write_text(gone.text())
    assert "ended without a word" in findings.find(account.read(LIST)).covers, "seen to be dead, a moment ago"


def test_no_run_of_that_name_is_refused() -> None:
    LIST.write_text("true\n")
    with pytest.raises(FarmError, match=r"no run of tasks\.txt here"):
        account.read(LIST)


def test_the_line_of_the_list_is_named_comments_counted_and_what_is_gone_is_said() -> None:
    run = Run(["true", "false"])
    run.add(Ran(0), Ran(1).failed())
    assert findings.find(account.read(LIST)).reasons[0].task.place == "tasks.txt:3"
    LIST.unlink()
    assert findings.find(account.read(LIST)).reasons[0].task.place == "not in the list"


@given(cut=st.integers(0, 400), zeros=st.booleans(), kind=st.sampled_from(["joblog", "log", "progress"]))
@settings(max_examples=2 * settings().max_examples // 5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_torn_file_is_read_as_far_as_it_goes(cut: int, zeros: bool, kind: str) -> None:
    for name in os.listdir():
        Path(name).unlink()
    run = Run(["true", "false", "echo 3"])
    run.add(Ran(0), Ran(1).failed(err="x"), Ran(2, 3))
    path = Path(f"{kind}.tasks.txt.tfin")
    path.write_bytes(path.read_bytes()[:cut] + bytes(64 * zeros))
    findings.find(account.read(LIST))


@pytest.mark.parametrize(
    ("words", "share"), [(", 64000 MiB a node", 16_000), (", at least 32000 MiB a node", 8_000), ("", None)]
)
def test_the_memory_of_a_node_is_that_of_the_last_start_that_tells_of_it(words: str, share: int | None) -> None:
    run = Run(["true", "true"])
    run.add(Ran(0), Ran(1, slot=4))
    run.append("log", f"{stamp(-3)}started: 1 worker on 1 node, 4 slots{words and ', 5 MiB a node'}, mpifarm 0.1.0\n")
    run.append("log", f"{stamp(-2)}started: 1 worker on 1 node, 4 slots{words}, mpifarm 0.1.0\n")
    run.append("log", f"{stamp(-1)}started: 1 worker on 1 node, 4 slots, mpifarm 0.1.0\n")
    run.append("log", f"{stamp(0)}worker 1 on n1 is lost, 7 MiB a node\n")
    found = findings.find(account.read(LIST)).share
    assert (found and found.slot_kib / 1024) == share
