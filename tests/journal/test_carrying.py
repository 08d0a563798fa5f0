"""A list that was edited between two runs: what stays done, what runs, what the files say of it, whatever was killed."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fakes import success
from fuzz import scratch
from lists import at_will, tfin_of
from simdisk import Disk, Killed

from mpifarm import FarmError
from mpifarm.journal import carrying, fastrecovery, identity, step
from mpifarm.journal.holder import this_process
from mpifarm.journal.lines import Attempt
from mpifarm.journal.names import Names, due_name
from mpifarm.journal.opening import Run, open_run
from mpifarm.journal.step import Step
from mpifarm.journal.warrant import Warrant
from mpifarm.schedule.suspects import NOTHING as NO_DEAL
from mpifarm.schedule.suspects import Dealt
from mpifarm.settings import Config
from mpifarm.tasks.tfin import checksum, records_of
from mpifarm.tasks.walk import Walk

LIST, OUT = Path("tasks.txt"), Path("all.out")
NAMES = Names(Path("tasks.txt.tfin"))
KILLED = Path(__file__).parents[1] / "data" / "taskfarmer-killed"
NOTHING = memoryview(b"")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def edit(*lines: str) -> None:
    LIST.write_text("".join(f"{line}\n" for line in lines))


def opened(output: Path | None = OUT, **options: object) -> Run:
    return open_run(Config("tasks.txt", output=str(output) if output else None, **options))  # type: ignore[arg-type]


def let_go(run: Run) -> Run:
    if run.journal:
        run.journal.flush()
        run.journal.close()
        run.lock.release()
    return run


def command(run: Run, offset: int) -> str:
    return NAMES.tfin.read_bytes()[offset:].split(b"\n")[0].decode().removeprefix("> ")


def ran(failing: Sequence[str] = (), count: int = 100, output: Path | None = OUT, **options: object) -> list[str]:
    """Run a farm that deals *count* tasks; each prints its line, but those *failing* fail. Return what has run."""
    run = opened(output, **options)
    if run.journal is None:
        return []
    walk = Walk(run.scan.descriptor, run.scan.size, run.start.offset, run.start.seq)
    tasks = np.concatenate((run.start.again, walk.take(count))).tolist()
    left = []
    for offset, length, seq in tasks:
        line = command(run, offset)
        text = memoryview(f"<{line}>".encode())
        attempt = Attempt(offset, length, seq, 1, "n", 1, 0, 0, 1.7e9, 0.1, 0.1, 0.1, 9, 0, len(text), line.encode())
        if line in failing:
            left.append(offset)
        else:
            run.journal.succeeded(success(attempt, len(text)), None, text, NOTHING)
    run.journal.flush()
    position = walk.seq - 1, walk.offset, checksum(run.scan.descriptor, 0, walk.offset)
    if walk.offset == run.scan.size and not left:
        run.journal.finish(*position)
    else:
        run.journal.checkpoint(*position, left)
    let_go(run)
    return [command(run, offset) for offset, _, _ in tasks]


def recorded() -> list[str]:
    """Return the lines of the list that progress tells of, in its order."""
    tfin = NAMES.tfin.read_bytes()
    records, _ = records_of(tfin, 0, 1)
    lengths = dict(zip(records["offset"].tolist(), records["length"].tolist(), strict=True))
    words = [line.split() for line in NAMES.progress.read_text().splitlines()]
    assert all(lengths[int(word[0])] == int(word[5]) for word in words)
    return [tfin[int(word[0]) :].split(b"\n")[0].decode().removeprefix("> ") for word in words]


def snapshot() -> dict[str, tuple[int, int, bytes]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in Path().iterdir()}


def refused(match: str, output: Path | None = OUT, **options: object) -> None:
    before = snapshot()
    with pytest.raises(FarmError, match=match) as error:
        opened(output, edited=True, **options)
    assert "\n" not in str(error.value)
    assert snapshot() == before


# what runs, and what does not


def test_what_is_done_stays_done_what_is_new_runs_and_what_is_gone_is_forgotten() -> None:
    edit("a", "bad", "b", "typo", "c", "", "# remark", "d")
    ran(failing=("bad", "typo"))
    edit("a", "new", "# bad", "b", "mended", "", "d", "last")
    run = let_go(opened(edited=True))
    assert run.start.done_count == 3
    assert [command(run, offset) for offset in run.start.again["offset"].tolist()] == ["new", "mended"]
    assert ran(edited=True) == ["new", "mended", "last"]
    assert recorded() == ["a", "b", "d", "new", "mended", "last"]
    assert OUT.read_text() == "<a><b><c><d><new><mended><last>"
    assert NAMES.done.exists()
    assert not NAMES.fastrecovery.exists()


def test_it_is_told_on_both_ways_and_an_edit_that_is_done_is_harmless() -> None:
    edit("a", "b", "c", "d")
    ran(failing="b")
    edit("a", "B", "c")
    told = opened(edited=True)
    let_go(told)
    about, kept = told.notices[:2]
    assert about.startswith('tasks.txt was edited since the last run: line 2 was "b", and is "B" now; task 4 ("d")')
    assert kept == "--output all.out keeps 1 block of what is gone: in the list before, task 4"
    log = NAMES.log.read_text()
    assert all(log.count(sentence) == 1 for sentence in (about, kept))
    again = let_go(opened(edited=True))
    assert again.notices[0] == "tasks.txt has not changed since the last run: nothing is to be done for --edited"
    assert NAMES.log.read_text() == log
    assert ran() == ["B"]
    assert ran(edited=True) == []


def test_a_list_that_is_done_is_edited_and_runs_what_is_new() -> None:
    edit("a", "b", "c")
    ran()
    edit("new", "c", "a")
    assert ran(edited=True) == ["new"]
    assert sorted(recorded()) == ["a", "c", "new"]


def test_equal_lines_are_matched_in_order() -> None:
    edit("same", "same", "x", "y")
    ran(failing="x")
    edit("new", "same", "same", "same", "x", "y")
    assert sorted(ran(edited=True)) == ["new", "same", "x"]
    assert sorted(recorded()) == ["new", *["same"] * 3, "x", "y"]


def test_what_was_not_dealt_runs_whatever_was_edited() -> None:
    edit("a", "b", "c", "d", "e")
    ran(count=2)
    edit("e", "new", "b", "c", "d")
    assert sorted(ran(edited=True)) == ["c", "d", "e", "new"]


def test_a_list_that_has_grown_or_was_never_run_starts_as_ever() -> None:
    edit("a")
    assert ran(edited=True) == ["a"]
    edit("a", "b")
    assert ran(edited=True) == ["b"]
    assert recorded() == ["a", "b"]


def test_deleted_progress_still_means_to_start_over() -> None:
    edit("a", "b")
    ran(output=None)
    NAMES.progress.unlink()
    NAMES.done.unlink()
    edit("b", "c")
    assert ran(output=None, edited=True) == ["b", "c"]


def test_of_a_run_that_has_recorded_nothing_nothing_is_carried_over() -> None:
    edit("a", "b")
    let_go(opened())
    edit("c", "b")
    assert ran(edited=True) == ["c", "b"]


# what is refused, with nothing touched


def test_without_the_word_it_is_refused() -> None:
    edit("a", "b")
    ran()
    edit("b")
    before = snapshot()
    with pytest.raises(FarmError, match="--edited"):
        opened()
    assert snapshot() == before


def test_what_a_plain_start_refuses_is_refused() -> None:
    edit("a", "b")
    ran(failing="b")
    edit("x", "a")
    refused("earlier runs had --output", output=None)
    refused("is not that file", output=Path("other.out"))
    OUT.write_bytes(b"other")
    refused("has changed")


def test_a_list_without_tasks_is_refused() -> None:
    edit("a")
    ran()
    edit("# a")
    refused("tasks.txt has no tasks any more: restore it, or give --rerun")


@pytest.mark.parametrize("tfin", [b"> x\n> b\n", b"garbage\n", b"> a\n>b\n", b"> a\n"])
def test_a_tfin_file_that_is_not_the_list_of_the_last_run_is_refused(tfin: bytes) -> None:
    edit("a", "b")
    ran()
    NAMES.tfin.write_bytes(tfin)
    edit("c")
    refused("tasks.txt.tfin is not the list of the last run any more")


def test_fastrecovery_that_is_deleted_after_an_edit_never_costs_a_block() -> None:
    edit("a", "b", "c")
    ran(failing="c")
    edit("b", "d")
    ran(edited=True, failing="d")
    NAMES.fastrecovery.unlink()
    before = OUT.read_bytes()
    with pytest.raises(FarmError, match="has 6 bytes, and the tasks that are done wrote 3"):
        opened()
    assert OUT.read_bytes() == before == b"<a><b>"


# what else the files say


def test_the_joblog_tells_of_tasks_that_are_gone_without_an_offset() -> None:
    edit("a", "b", "c")
    ran()
    whole = NAMES.joblog.read_bytes()
    NAMES.joblog.write_bytes(whole + b"no line of ours\n")
    for lines in (("new", "a", "c"), ("new", "c")):
        edit(*lines)
        ran(edited=True, failing=("new",))
    found = [line.split("\t") for line in NAMES.joblog.read_text().splitlines()]
    assert [(words[0], words[13], words[14]) for words in found if len(words) == 15][1:] == [
        ("0", "-1", "a"),
        ("0", "-1", "b"),
        ("2", "6", "c"),
    ]
    assert found[-1] == ["no line of ours"]


def test_a_batch_of_taskfarmer_becomes_a_line_for_each_task_that_stays() -> None:
    NAMES.tfin.write_bytes(tfin_of(b"a\nb\nc\nd"))
    NAMES.progress.write_bytes(
        b"0,4,8 n-1 2 0 1795346214 4,4,4\nno line\n12 n-1 2 0 1795346214 4\n13 n-1 2 0 1795346214 4\n12 n-"
    )
    NAMES.fastrecovery.write_bytes(b"# max: 4 16\n")
    edit("x", "a", "c")
    let_go(opened(None, edited=True))
    assert NAMES.progress.read_bytes() == b"4 n-1 2 0 1795346214 4\n8 n-1 2 0 1795346214 4\n"
    assert ran(output=None) == ["x"]


def test_a_run_that_taskfarmer_left_half_done_is_edited() -> None:
    for path in KILLED.iterdir():
        shutil.copy(path, Path())
    before = len(recorded())
    lines = LIST.read_text().splitlines()
    edit(*lines[:5], "echo new", *lines[5:])
    run = let_go(opened(None, edited=True))
    assert len(recorded()) == before == run.start.done_count
    first = NAMES.fastrecovery.read_bytes().split(b"\n")[0]
    assert first.startswith(b"# max: ")


def test_without_progress_the_fastrecovery_of_taskfarmer_counts() -> None:
    NAMES.tfin.write_bytes(tfin_of(b"a\nb\nc\nd"))
    NAMES.fastrecovery.write_bytes(b"# max: 3 12\n4\n")
    edit("new", "a", "b", "c", "d")
    assert ran(output=None, edited=True) == ["new", "b", "d"]


def test_suspects_keep_their_counts_and_who_died_without_a_word_is_counted_once() -> None:
    edit("gone", "a", "b", "c")
    ran(count=1)
    NAMES.fastrecovery.write_bytes(
        fastrecovery.content(
            3,
            NAMES.tfin.stat().st_size - 4,
            checksum_of(NAMES.tfin, NAMES.tfin.stat().st_size - 4),
            fastrecovery.Covered(NAMES.progress.stat().st_size, 6, NAMES.joblog.stat().st_size, tail_of(OUT)),
            [7, 11],
            identity.of_this_run("tasks.txt", "all.out", None),
            [(7, 2, False), (11, 1, False)],
        )
    )
    died = this_process().text(Dealt(11, 1, 11, 11)).replace("born=", "born=1")
    NAMES.lock.write_text(died)
    edit("new", "longer one", "a", "b", "c")
    run = let_go(opened(edited=True))
    at = {command(run, offset): count for offset, count in run.start.suspicion.counts.items()}
    assert at == {"a": 2, "b": 2}
    assert run.lock.found == NO_DEAL, "its offsets are those of the list before"
    assert let_go(opened()).start.suspicion.counts == run.start.suspicion.counts


def checksum_of(path: Path, end: int) -> int:
    with path.open("rb") as file:
        return checksum(file.fileno(), 0, end)


def tail_of(path: Path) -> int:
    return checksum_of(path, path.stat().st_size)


# killed in the middle


EDITED = ("new", "a", "c", "d", "e!")


@pytest.mark.long
@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("done", [False, True])
def test_a_kill_at_any_moment_leaves_the_old_records_or_the_new_ones(done: bool, crash: bool) -> None:
    killed = True
    with scratch():
        for seed in range(300):  # three for each operation
            for path in Path().iterdir():
                path.unlink()
            edit("a", "b", "c", "d", "e")
            ran(failing=() if done else ("c",))
            edit(*EDITED)
            disk = Disk(random.Random(seed), left=seed // 3)
            disk.synced = {path.stat().st_ino: path.stat().st_size for path in Path().iterdir()}
            try:
                with disk.installed():
                    let_go(opened(edited=True))
                killed = False
            except Killed:
                if crash:
                    disk.crash()
            for path in (NAMES.lock, Path("lock.all.out")):
                path.write_text(this_process().text().replace("born=", "born=1"))
            if NAMES.intent.exists():  # whatever comes next, it is done
                let_go(opened())
                assert not NAMES.done.exists()
            assert sorted(ran(edited=True)) == (["e!", "new"] if done else ["c", "e!", "new"])
            assert sorted(recorded()) == sorted(EDITED)
            assert all(f"<{line}>" in OUT.read_text() for line in EDITED)
            assert not any(due_name(path).exists() for path in NAMES.all())
    assert not killed, "the opening has never come to its end"


def killed_with_the_intent(*lines: str, output: Path | None = OUT) -> None:
    """Edit the list, and be killed as soon as it is intended that the files are about that."""
    edit(*lines)
    intend = Step.intend

    def last(self: Step, told: Sequence[str]) -> None:
        intend(self, told)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Step, "intend", last)
        with pytest.raises(Killed):
            opened(output, edited=True)
    for path in (NAMES.lock, Path("lock.all.out")):
        path.unlink(missing_ok=True)
    assert NAMES.intent.exists()


def test_the_done_file_goes_in_the_same_step() -> None:
    edit("a", "b")
    ran()
    killed_with_the_intent("a", "new")
    assert NAMES.done.exists()
    assert step.finish(NAMES, at_will)
    assert not NAMES.done.exists()
    assert NAMES.fastrecovery.exists()


def test_deleted_progress_means_to_start_over_after_a_kill_as_well() -> None:
    edit("a", "b")
    ran(output=None, failing="b")
    killed_with_the_intent("b", "a", output=None)
    NAMES.progress.unlink()
    assert ran(output=None) == ["b", "a"]


def test_rerun_forgets_a_rewriting_that_cannot_be_finished() -> None:
    edit("a", "b")
    ran(failing="b")
    killed_with_the_intent("a", "B")
    NAMES.intent.write_bytes(NAMES.intent.read_bytes() + b"damaged")
    with pytest.raises(FarmError, match="is damaged"):
        opened(edited=True)
    before = snapshot()
    with pytest.raises(FarmError, match="is not empty"):
        other = Path("other.out")
        other.write_bytes(b"precious")
        opened(other, rerun=True)
    assert {name: snapshot()[name] for name in before} == before
    assert ran(rerun=True) == ["a", "B"]
    assert not NAMES.intent.exists()
    assert OUT.read_text() == "<a><B>"


def test_a_list_that_is_edited_again_after_a_kill_is_told_so_or_gone_on_with() -> None:
    edit("a", "b", "c")
    ran(failing="b")
    killed_with_the_intent("a", "B", "c")
    edit("x", "a", "B", "c")
    with pytest.raises(FarmError, match="--edited"):
        opened()
    assert not NAMES.intent.exists()
    assert sorted(ran(edited=True)) == ["B", "x"]


# to be done once more


def test_what_is_to_be_done_once_more_is_forgotten_alone() -> None:
    edit("a", "b", "c")
    ran(failing="b")
    run = opened()
    assert run.journal
    run.journal.close()
    warrant = Warrant(run.lock, [NAMES.progress, NAMES.joblog, OUT])
    this = identity.of_this_run("tasks.txt", "all.out", None)
    files = carrying.Files(NAMES, OUT, this, warrant, run.lock)
    files.forget(run.scan, run.start, np.array([0, 4]), ["once more"])
    run.lock.release()
    assert recorded() == ["c"]
    assert NAMES.joblog.read_bytes().count(b"\n") == 3
    assert ran() == ["a", "b"]
    assert NAMES.done.exists()
