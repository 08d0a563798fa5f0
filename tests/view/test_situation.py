"""Where a run stands, from files that fit each other or do not."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from mpifarm import FarmError, cli
from mpifarm.journal.holder import this_process
from mpifarm.view import board, crowd, lines, situation, snapshot
from mpifarm.view.snapshot import Longest, Node, Reason, Snapshot, Tasks

from .runs import T0, Ran, Run

LOCK = Path("lock.tasks.txt.tfin")
STATUS = Path("status.tasks.txt.tfin")
DONE = Path("done.tasks.txt.tfin")
ME = this_process()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def status(state: str = "running", pid: int = ME.pid, written: float | None = None) -> Snapshot:
    now = time.time() if written is None else written
    left = Tasks(3, 1, 0, 1, 1) if state == "running" else Tasks(3, 1, 1, not_run=1)
    told = Snapshot(1, "tasks.txt", state, left, now, run=snapshot.Run(ME.host, pid, started=now - 60))
    STATUS.write_bytes(told.text())
    return told


def asked() -> tuple[str, int]:
    found = situation.read(Path("tasks.txt"))
    return found.seen.state, found.code


def test_a_run_whose_manager_lives_is_running() -> None:
    Run(["a", "b", "c"])
    LOCK.write_text(ME.text())
    status()
    assert asked() == ("running", 0)


def test_one_whose_manager_is_dead_is_gone_and_nothing_of_it_runs() -> None:
    Run(["a", "b", "c"])
    LOCK.write_text(ME.text().replace(f"born={ME.born}", "born=1"))
    status()
    assert asked() == ("gone", 3)
    found = situation.read(Path("tasks.txt")).seen
    assert (found.tasks.running, found.tasks.waiting, found.tasks.not_run) == (0, 0, 2)


def test_one_whose_manager_is_silent_somewhere_else_is_gone() -> None:
    Run(["a", "b", "c"])
    LOCK.write_text(ME.text().replace(f"boot={ME.boot}", "boot=elsewhere"))
    status(written=time.time() - 240)
    os.utime(LOCK, (time.time() - 240,) * 2)
    assert asked() == ("gone", 3)
    assert "GONE: the manager" in board.drawn(situation.read(Path("tasks.txt")), {}, time.time())[0]
    assert "silent for 4 min" in board.drawn(situation.read(Path("tasks.txt")), {}, time.time())[0]


@pytest.mark.parametrize(("state", "code"), [("failed", 1), ("stopped", 3)])
def test_one_that_has_ended_says_how(state: str, code: int) -> None:
    Run(["a", "b", "c"])
    status(state)
    assert asked() == (state, code)


def test_done_is_what_has_a_done_file() -> None:
    Run(["a", "b", "c"])
    status("done")
    assert asked() == ("stopped", 3)
    DONE.write_text("done\n")
    assert asked() == ("done", 0)
    status("stopped")
    assert asked() == ("done", 0)


def test_what_went_on_since_the_last_word_is_told_by_the_other_files() -> None:
    run = Run(["a", "b", "c"])
    status("stopped", written=time.time() - 1000)
    run.add(Ran(0), Ran(1))
    found = situation.read(Path("tasks.txt"))
    assert (found.seen.state, found.seen.tasks.done, found.whole) == ("stopped", 2, False)


def test_a_start_that_has_not_written_yet_is_not_the_run_before_it() -> None:
    Run(["a", "b", "c"])
    LOCK.write_text(ME.text())
    status("failed", pid=ME.pid + 1)
    found = situation.read(Path("tasks.txt"))
    assert (found.seen.state, found.whole, found.code) == ("running", False, 0)


def test_a_last_word_that_could_not_be_written_is_not_running_for_ever() -> None:
    run = Run(["a", "b", "c"])
    status("running")
    run.add(Ran(0), Ran(1).failed(), Ran(2))
    assert asked() == ("failed", 1)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"schema": 1, "list"', "half written"),
        (b'{"schema": 99}', "of schema 99"),
        (b"\x1b[2J", "half written"),
    ],
)
def test_what_cannot_be_read_is_said_and_the_other_files_are_read(content: bytes, why: str) -> None:
    run = Run(["a", "b", "c"])
    run.add(Ran(0))
    STATUS.write_bytes(content)
    os.utime("progress.tasks.txt.tfin", (T0, T0))
    found = situation.read(Path("tasks.txt"))
    assert (found.seen.state, found.seen.tasks.done) == ("stopped", 1)
    assert any(why in remark for remark in found.remarks)


def test_a_run_of_taskfarmer_is_told_as_far_as_its_files_tell() -> None:
    run = Run(["a", "b", "c"])
    run.add(Ran(0))
    for kind in ("joblog", "log"):
        Path(f"{kind}.tasks.txt.tfin").unlink()
    found = situation.read(Path("tasks.txt"))
    assert (found.seen.state, found.seen.tasks.done, found.seen.tasks.waiting) == ("running", 1, 2)
    assert "by TaskFarmer?" in found.remarks[0]
    os.utime("progress.tasks.txt.tfin", (1e9, 1e9))
    assert asked() == ("stopped", 3)


def test_no_run_here_is_one_line() -> None:
    with pytest.raises(FarmError, match="no run of none"):
        situation.read(Path("none.txt"))


def test_the_program_prints_lines_or_a_document(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Run(["a", "b", "c"])
    status("failed")
    assert cli.main(["--status", "tasks.txt"]) == 1
    assert capfdbinary.readouterr().out.startswith(b"tasks.txt  FAILED\n")
    assert cli.main(["--status", "--json", "tasks.txt"]) == 1
    assert json.loads(capfdbinary.readouterr().out)["tasks"]["failed"] == 1
    assert cli.main(["--watch", "tasks.txt"]) == 2
    assert cli.main(["--status", "none.txt"]) == 2
    out, err = capfdbinary.readouterr()
    assert (out, err.count(b"\n")) == (b"", 2)


def test_what_others_have_written_does_nothing_to_a_terminal() -> None:
    evil = "\x1b[2J\u202e\n\x9b"
    seen = status()._replace(
        nodes=(Node(evil, 1, note=evil),),
        slots=snapshot.Slots(1, 1),
        longest=(Longest(1, evil, time.time() - 100, 1, evil),),
        reasons=(Reason(evil, evil, 1, 1, (1,), evil, 1),),
        run=snapshot.Run(evil, 1, evil, why=evil),
    )
    told = board.drawn(situation.Situation(seen, remarks=[evil]), {}, time.time())
    assert all(line.isprintable() for line in told)


def test_above_twenty_nodes_only_the_odd_ones_and_a_total_are_told() -> None:
    nodes = [Node(f"n{place:03}", 4, 4, 100, 0, 1.0, 1.0, 0.5) for place in range(30)]
    nodes[7] = nodes[7]._replace(slow=3.4)
    listed, others = crowd.shortened(nodes)
    told = board.drawn(situation.Situation(status()._replace(nodes=listed, others=others)), {}, time.time())
    rows = [line for line in told if "n0" in line or "all 30" in line]
    assert len(rows) == 2
    assert "slow: 3.4 x the others" in rows[0]
    assert rows[1].split()[:5] == ["all", "30", "120", "120", "3,000"]


@pytest.mark.parametrize("state", ["stopped", "done", "failed", "gone"])
def test_of_a_run_that_is_over_no_node_is_busy_fast_or_heard(state: str) -> None:
    nodes = [Node(f"n{place:03}", 4, 2, 100, 1, 1.5, 1.0, 0.5) for place in range(30)]
    nodes[7] = nodes[7]._replace(slow=3.4)
    for count in (20, 30):
        listed, others = crowd.shortened(nodes[:count])
        seen = status()._replace(state=state, nodes=listed, others=others)
        told = board.drawn(situation.Situation(seen), {}, time.time())
        at = next(place for place, line in enumerate(told) if line.split()[:2] == ["node", "slots"])
        heads = told[at]
        rows = told[at + 1 : at + 1 + (20 if count == 20 else 2)]
        for what in ("busy", "rate", "heard"):
            end = heads.index(what) + len(what)
            assert {row[end - 2 : end] for row in rows} == {" -"}


def test_a_task_is_told_by_its_line(tmp_path: Path) -> None:
    text = "# head\na\n\n#x\nb\nc # no comment\n" + "".join(f"{n}\n# {n}\n" for n in range(300_000)) + "last"
    Path("tasks.txt").write_text(text)
    every = text.split("\n")
    records = [number for number, line in enumerate(every, start=1) if not line.startswith("#")]
    wanted = [1, 2, 3, 4, 5, 70_000, 200_003, len(records)]
    assert lines.of(Path("tasks.txt"), wanted) == {seq: records[seq - 1] for seq in wanted}
    assert lines.of(Path("tasks.txt"), [len(records) + 1]) == {}
    assert lines.of(Path("none.txt"), [1]) == {}
