"""Bad input touches no file, and what a good start lays out."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mpifarm import FarmError
from mpifarm.files import new_name
from mpifarm.journal import fastrecovery, identity
from mpifarm.journal.fastrecovery import Covered
from mpifarm.journal.holder import this_process
from mpifarm.journal.names import Names
from mpifarm.journal.opening import Run, open_run
from mpifarm.settings import Config

LIST = Path("tasks.txt")
NAMES = Names(Path("tasks.txt.tfin"))
OUTPUT = Path("output")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was killed: of three tasks the first and the last are done, and progress and output have torn tails."""
    monkeypatch.chdir(tmp_path)
    write_fastrecovery(0, Covered(tail=0))
    LIST.write_bytes(b"echo 0\necho 1\necho 2\n")
    NAMES.tfin.write_bytes(b"> echo 0\n> echo 1\n> echo 2\n")
    NAMES.progress.write_bytes(b"0 n-1 0.1 2 1 9\n18 n-1 0.1 2 1 9\n9 n")
    OUTPUT.write_bytes(b"0\n2\n1")


def write_fastrecovery(offset: int, covered: Covered, *left: int) -> None:
    crc = zlib.crc32(NAMES.tfin.read_bytes()[:offset]) if offset else 0
    run = identity.of_this_run("tasks.txt", "output", None)
    NAMES.fastrecovery.write_bytes(fastrecovery.content(offset // 9, offset, crc, covered, left, run))


def opened(**options: object) -> Run:
    return open_run(Config("tasks.txt", output="output", **options))  # type: ignore[arg-type]


def shorten_output() -> None:
    write_fastrecovery(27, Covered(9, 9, 0, 0), 9)
    OUTPUT.write_bytes(b"1")


def snapshot() -> dict[str, tuple[int, int, int, bytes]]:
    found = {}
    for path in Path().iterdir():
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[path.name] = (status.st_ino, status.st_mode, status.st_mtime_ns, content)
    return found


def replace_by(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink(missing_ok=True)
    make(path)


REFUSALS: dict[str, tuple[Callable[[], object], str]] = {
    "no list": (LIST.unlink, "no task list"),
    "a directory": (lambda: replace_by(LIST, Path.mkdir), "is a directory"),
    "a pipe": (lambda: replace_by(LIST, os.mkfifo), "not a regular file"),
    "a NUL byte": (lambda: LIST.write_bytes(b"echo 0\necho 1\necho 2\necho \0\n"), r"tasks\.txt:4: a NUL"),
    "a NUL byte in a changed list": (lambda: LIST.write_bytes(b"echo x\n\0\n"), r"tasks\.txt:2: a NUL"),
    "a changed list": (lambda: LIST.write_bytes(b"echo 0\necho x\necho 2\n"), "line 2 was .echo 1., and is .echo x. now"),
    "a list made empty": (lambda: LIST.write_bytes(b""), "changed|does not fit the task list"),
    "a bad fastrecovery": (lambda: NAMES.fastrecovery.write_bytes(b"# max: x\n"), r"fastrecovery.*:1: not a line"),
    "another fastrecovery": (lambda: NAMES.fastrecovery.write_bytes(b"# max: 1 10\n"), "does not fit"),
    "another progress": (lambda: NAMES.progress.write_bytes(b"1 n-1 1 0 1 9\n"), "does not fit"),
    "a short output": (shorten_output, "--output has 1 byte, "),
    "an output that is no file": (lambda: replace_by(OUTPUT, Path.mkdir), "not a regular file"),
    "an output that is the list": (lambda: replace_by(OUTPUT, lambda path: path.symlink_to(LIST)), "task list or one of"),
    "another manager at work": (
        lambda: (
            NAMES.lock.write_text(replace(this_process(), host="elsewhere").text()),
            Path("tasks.txt.tfin.new").write_bytes(b"> e"),
        ),
        "elsewhere",
    ),
    "a lock that is no file": (NAMES.lock.mkdir, "lock"),
    "a log that is no file": (NAMES.log.mkdir, "log"),
    "a joblog that is no file": (NAMES.joblog.mkdir, "joblog"),
    "a progress that is no file": (lambda: replace_by(NAMES.progress, Path.mkdir), "progress"),
    "a tfin that is no file": (lambda: replace_by(NAMES.tfin, Path.mkdir), "tfin"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_bad_input_touches_no_file(refusal: str) -> None:
    spoil, why = REFUSALS[refusal]
    spoil()
    before = snapshot()
    with pytest.raises(FarmError, match=why):
        opened()
    assert snapshot() == before


NOT_READ = {
    "a changed list",
    "a list made empty",
    "a bad fastrecovery",
    "another fastrecovery",
    "another progress",
    "a short output",
}


@pytest.mark.parametrize("refusal", [name for name in REFUSALS if name not in NOT_READ])
def test_bad_input_touches_no_file_when_all_is_to_be_forgotten(refusal: str) -> None:
    spoil, why = REFUSALS[refusal]
    spoil()
    NAMES.done.write_bytes(b"done")
    before = snapshot()
    with pytest.raises(FarmError, match=why):
        opened(rerun=True)
    assert snapshot() == before


def test_a_working_directory_that_is_gone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FarmError, match="working directory"):
        open_run(Config(str(tmp_path / "tasks.txt")))


def test_a_good_start_cuts_what_was_torn_and_goes_on() -> None:
    run = opened()
    assert run.journal is not None
    run.journal.close()
    assert NAMES.progress.read_bytes() == b"0 n-1 0.1 2 1 9\n18 n-1 0.1 2 1 9\n"
    assert OUTPUT.read_bytes() == b"0\n2\n"
    assert run.start.done_count == 2
    assert run.notices == ["tasks.txt: 3 tasks, 2 done"]
    assert NAMES.lock.exists()


def write_done() -> None:
    """Write TaskFarmer's, beside an output that is whole."""
    NAMES.fastrecovery.unlink()
    NAMES.done.write_bytes(b"done")
    OUTPUT.write_bytes(b"0\n2\n")


def test_a_list_that_is_done_is_not_run_again() -> None:
    write_done()
    before = snapshot()
    run = opened()
    assert run.journal is None
    assert snapshot() == before


def test_what_a_manager_has_left_that_was_killed_when_all_was_done_is_taken_away() -> None:
    write_done()
    before = snapshot()
    new_name(NAMES.status).write_bytes(b"{")  # the last thing that it wrote
    assert opened().journal is None
    assert snapshot() == before


def test_a_list_that_has_grown_is_not_done() -> None:
    write_done()
    LIST.write_bytes(LIST.read_bytes() + b"echo 3\n")
    run = opened()
    assert run.journal is not None
    assert (run.scan.tasks, run.start.done_count) == (4, 2)
    assert not NAMES.done.exists()
    assert NAMES.tfin.read_bytes().endswith(b"> echo 3\n")


def test_a_done_file_that_taskfarmer_has_overlooked_does_not_hide_work() -> None:
    NAMES.done.write_bytes(b"done")  # of the list before it grew; TaskFarmer never takes it away
    NAMES.fastrecovery.write_bytes(b"# max: 4 18\n9\n")
    NAMES.progress.unlink()
    assert open_run(Config("tasks.txt")).journal is not None


@pytest.mark.parametrize("done", [False, True])
def test_rerun_forgets_everything(done: bool) -> None:
    write_fastrecovery(18, Covered(16, 2, 0, zlib.crc32(b"0\n")), 9)
    if done:
        NAMES.done.write_bytes(b"done")
    LIST.write_bytes(b"echo new\n")
    run = opened(rerun=True)
    assert run.journal is not None
    assert (run.start.done_count, run.start.offset, run.start.again.size) == (0, 0, 0)
    assert (NAMES.progress.read_bytes(), OUTPUT.read_bytes()) == (b"", b"")
    assert NAMES.fastrecovery.read_bytes().startswith(b"# max: 0 0 ")
    assert not NAMES.done.exists()
    assert NAMES.tfin.read_bytes() == b"> echo new\n"


def test_deleting_progress_and_done_starts_over() -> None:
    NAMES.progress.unlink()
    write_fastrecovery(27, Covered(32, 4, 0, zlib.crc32(b"0\n2\n")))
    run = opened()
    assert run.journal is not None
    assert (run.start.done_count, OUTPUT.read_bytes()) == (0, b"")
    assert NAMES.fastrecovery.read_bytes().startswith(b"# max: 0 0 ")


def test_the_first_checkpoint_is_written_before_the_first_task_is_dealt() -> None:
    NAMES.fastrecovery.unlink()
    OUTPUT.write_bytes(b"0\n2\n")
    run = opened()
    checkpoint = fastrecovery.read(NAMES.fastrecovery)
    assert checkpoint is not None
    assert checkpoint.offset == run.start.offset
    assert checkpoint.left.tolist() == run.start.again["offset"].tolist()


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\n  # c\n"])
def test_a_list_without_tasks_is_done(content: bytes) -> None:
    for path in (NAMES.progress, NAMES.tfin, NAMES.fastrecovery, OUTPUT):
        path.unlink()
    LIST.write_bytes(content)
    run = opened()
    assert run.journal is None
    assert "no tasks" in run.notices[0]
    assert sorted(os.listdir()) == sorted(map(str, (NAMES.done, LIST, NAMES.tfin)))
    LIST.write_bytes(content + b"echo 1\n")
    assert opened().journal is not None
