"""--again: what is named and done runs once more, and nothing else; what cannot be meant leaves every file as it was."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import success
from fuzz import scratch
from lists import tasks_of
from simdisk import Disk, Killed
from test_claim import NAMES, NOTHING, OUT, let_go, opened, ran, refused

from mpifarm.journal.holder import this_process
from mpifarm.journal.lines import Attempt
from mpifarm.journal.opening import Run
from mpifarm.tasks.tfin import checksum
from mpifarm.tasks.walk import Walk

LIST = Path("tasks.txt")
LEFT = (9,)  # of four tasks, by the offset


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    monkeypatch.chdir(directory)
    LIST.write_bytes(b"echo 0\necho 1\necho 2\necho 3\n")


def finished(run: Run) -> list[int]:
    """Run all that is left, and end in an orderly way; return the offset of each, in that order."""
    assert run.journal is not None
    walk = Walk(run.scan.descriptor, run.scan.size, run.start.offset, run.start.seq)
    tasks = [*run.start.again.tolist(), *walk.take(run.scan.tasks).tolist()]
    for offset, length, seq in tasks:
        attempt = Attempt(offset, length, seq, 1, "n-1", 1, 0, 0, 1.7e9, 0.1, 0.1, 0.1, 9, 0, 0, b"echo")
        run.journal.succeeded(success(attempt, 0), None, NOTHING, NOTHING)
    run.journal.flush()
    run.journal.finish(walk.seq - 1, walk.offset, checksum(run.scan.descriptor, 0, walk.offset))
    let_go(run)
    return [task[0] for task in tasks]


def all_done() -> None:
    finished(opened())


def some_left() -> None:
    """Leave a run that has ended with LEFT failed; the last task was not dealt."""
    run = opened()
    assert run.journal is not None
    for offset, seq in ((0, 1), (18, 3)):
        attempt = Attempt(offset, 9, seq, 1, "n-1", 1, 0, 0, 1.7e9, 0.1, 0.1, 0.1, 9, 0, 0, b"echo")
        run.journal.succeeded(success(attempt, 0), None, NOTHING, NOTHING)
    run.journal.flush()
    run.journal.checkpoint(3, 27, checksum(run.scan.descriptor, 0, 27), LEFT)
    let_go(run)


def progress() -> list[int]:
    return sorted(int(line.split()[0]) for line in NAMES.progress.read_bytes().splitlines())


def test_what_was_done_runs_again_and_is_recorded_once() -> None:
    all_done()
    run = opened(again="1,3-4")
    assert run.notices[:2] == [
        "--again 1,3-4: 3 tasks that were done run again, the first of them task 1 (tasks.txt:1): echo 0",
        "tasks.txt: 4 tasks, 1 done",
    ]
    assert (progress(), run.start.again["offset"].tolist()) == ([9], [0, 18, 27])
    assert not NAMES.done.exists()
    assert finished(run) == [0, 18, 27]
    assert progress() == [0, 9, 18, 27]
    assert "--again 1,3-4: 3 tasks that were done run again" in NAMES.log.read_text()
    assert opened().journal is None


def test_what_is_named_and_left_runs_anyway_and_only_once() -> None:
    some_left()
    run = opened(again="1-4")
    assert run.notices[0] == (
        "--again 1-4: 2 tasks that were done run again (2 more that it names had not been done yet),"
        " the first of them task 1 (tasks.txt:1): echo 0"
    )
    assert finished(run) == [0, 9, 18, 27]
    assert progress() == [0, 9, 18, 27]


@pytest.mark.parametrize("named", ["2", "4", "2,4"])
def test_what_is_left_is_not_run_once_more(named: str) -> None:
    some_left()
    run = opened(again=named)
    assert run.notices[0] == f"--again {named}: nothing that it names was done yet, so all of it runs anyway"
    assert finished(run) == [9, 27]


def test_a_list_that_was_never_run_is_run() -> None:
    assert finished(opened(again="2")) == [0, 9, 18, 27]


def test_lines_are_named_by_a_file() -> None:
    all_done()
    Path("lines.txt").write_bytes(b"# these\necho 2\n")
    run = opened(again="lines.txt")
    assert run.notices[0] == "--again lines.txt: 1 task that was done runs again: task 3 (tasks.txt:3): echo 2"
    assert finished(run) == [18]


def test_a_long_command_is_shown_by_its_beginning() -> None:
    LIST.write_bytes(b"echo " + b"x" * 2000 + b"\n")
    all_done()
    assert opened(again="1").notices[0].endswith(f"task 1 (tasks.txt:1): echo {'x' * 95}...")


def test_with_a_list_that_has_grown_the_new_lines_run_too() -> None:
    all_done()
    with LIST.open("ab") as file:
        file.write(b"echo 4\n")
    run = opened(again="2,5")
    assert run.notices[1] == "tasks.txt: 5 tasks, 3 done; 1 more than when it was last run"
    assert finished(run) == [9, 36]
    assert progress() == [0, 9, 18, 27, 36]


def test_said_again_it_runs_again_what_is_done_by_then() -> None:
    all_done()
    let_go(opened(again="1-2"))
    assert finished(opened()) == [0, 9]  # the plain line goes on
    let_go(opened(again="1-2"))
    assert finished(opened(again="1-2")) == [0, 9]
    assert progress() == [0, 9, 18, 27]


def test_what_taskfarmer_has_done_runs_again() -> None:
    all_done()
    lines = [b"%d n-1 1 0 1 0\n" % offset for offset, _, _ in tasks_of(LIST.read_bytes())]
    for path in (NAMES.joblog, NAMES.log):
        path.unlink()
    NAMES.progress.write_bytes(b"".join(lines))
    NAMES.done.write_bytes(b"done")
    assert finished(opened(again="3")) == [18]
    assert progress() == [0, 9, 18, 27]


@pytest.mark.parametrize("named", ["5", "0", "none.txt", "4-3", "1,,2"])
@pytest.mark.parametrize("before", [all_done, some_left])
def test_what_names_nothing_touches_no_file(before: Callable[[], None], named: str) -> None:
    before()
    refused("--again", again=named)


@pytest.mark.parametrize("done", [1, 4])
def test_with_an_output_it_is_refused_given_or_not(done: int) -> None:
    ran(done, OUT)
    why = r"--again would need new blocks in place of those in --output .*all\.out.* --rerun"
    refused(why, OUT, again="1")
    refused(why, again="1")


def test_with_an_output_that_is_new_it_is_refused() -> None:
    all_done()
    refused("--again would need new blocks", OUT, again="1")


@pytest.mark.parametrize("content", [None, b"0 n-1 1 0 1 9\n"])
@pytest.mark.parametrize("words", [False, True])
def test_where_progress_does_not_tell_of_all_that_is_done_it_is_refused(content: bytes | None, words: bool) -> None:
    all_done()
    NAMES.progress.unlink()
    if content:
        NAMES.progress.write_bytes(content)
    if not words:
        NAMES.done.write_bytes(b"done")
        NAMES.joblog.unlink()
    refused("says that all is done, and progress.* of 4 tasks (is|are) done: remove|shorter than fastrecovery", again="1")


def test_another_shell_is_refused_before_anything_is_touched() -> None:
    finished(opened(shell="/bin/bash"))
    refused("the earlier run used --shell /bin/bash", again="1")


def test_a_list_that_has_changed_is_refused() -> None:
    all_done()
    LIST.write_bytes(b"echo x\necho 1\necho 2\necho 3\n")
    refused(r"tasks\.txt has changed since the last run: line 1 was", again="2")


@pytest.mark.parametrize(
    ("before", "crash"),
    [
        (all_done, False),
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in ((all_done, True), (some_left, False), (some_left, True))
        ),
    ],
)
def test_a_kill_at_any_moment_leaves_it_undone_or_done(before: Callable[[], None], crash: bool) -> None:
    killed, seed, undone, done = True, 0, 0, 0
    while killed and seed < 250:
        seed += 1
        with scratch():
            LIST.write_bytes(b"echo 0\necho 1\necho 2\necho 3\n")
            before()
            whole = progress()
            disk = Disk(random.Random(seed), left=seed)
            disk.synced = {path.stat().st_ino: path.stat().st_size for path in Path().iterdir()}
            try:
                with disk.installed():
                    let_go(opened(again="1,3"))
                killed = False
            except Killed:
                if crash:
                    disk.crash()
            NAMES.lock.write_text(this_process().text().replace("born=", "born=1"))
            run = let_go(opened())
            left = progress()
            assert left in (whole, [offset for offset in whole if offset not in (0, 18)])
            undone, done = undone + (left == whole), done + (left != whole)
            if run.journal:
                again = set(finished(opened()))
                assert again == set(range(0, 36, 9)) - set(left)
            assert progress() == [0, 9, 18, 27]
            assert not [path for path in Path().iterdir() if path.name.endswith((".due", ".new"))]
            assert opened().journal is None
    assert not killed, "the opening has never come to its end"
    assert undone and done
