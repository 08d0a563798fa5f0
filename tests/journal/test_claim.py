"""Whose the files are: which list, which shell, which output. Every rule, by opening a list as a farm does.

Each refusal says what to do instead, in one line, and leaves every file as it was.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from fakes import success
from fuzz import scratch
from simdisk import Disk, Killed

from mpifarm import FarmError
from mpifarm.journal import fastrecovery
from mpifarm.journal.fastrecovery import Covered
from mpifarm.journal.holder import this_process
from mpifarm.journal.lines import Attempt
from mpifarm.journal.lock import TakenOver
from mpifarm.journal.names import Names
from mpifarm.journal.opening import Run, open_run
from mpifarm.settings import Config
from mpifarm.tasks.tfin import checksum
from mpifarm.tasks.walk import Walk
from mpifarm.words import counted

NAMES = Names(Path("tasks.txt.tfin"))
OUT, OTHER = Path("all.out"), Path("other.out")
NOTHING = memoryview(b"")
ALL = 3  # tasks


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty directory to start farms in, with a list of three tasks."""
    directory = tmp_path / "run"
    directory.mkdir()
    monkeypatch.chdir(directory)
    Path("tasks.txt").write_bytes(b"echo 0\necho 1\necho 2\n")
    return directory


def opened(output: Path | str | None = None, tasklist: str = "tasks.txt", **options: object) -> Run:
    given = None if output is None else str(output)
    return open_run(Config(tasklist, output=given, quiet=True, **options))  # type: ignore[arg-type]


def let_go(run: Run) -> Run:
    """Give the list back, so that it can be opened again."""
    if run.journal:
        run.journal.close()
        run.lock.release()
    return run


def ran(count: int, output: Path | str | None = None, tasklist: str = "tasks.txt", **options: object) -> None:
    """Run a farm that ends in an orderly way when *count* more tasks have succeeded; each prints its offset."""
    run = opened(output, tasklist, **options)
    assert run.journal is not None
    walk = Walk(run.scan.descriptor, run.scan.size, run.start.offset, run.start.seq)
    for offset, length, seq in walk.take(count).tolist():
        text = memoryview(b"<%d>" % offset)
        attempt = Attempt(offset, length, seq, 1, "n-1", 1, 0, 0, 1.7e9, 0.1, 0.1, 0.1, 9, 0, len(text), b"echo")
        run.journal.succeeded(success(attempt, len(text)), None, text, NOTHING)
    run.journal.flush()
    position = walk.seq - 1, walk.offset, checksum(run.scan.descriptor, 0, walk.offset)
    if walk.offset == run.scan.size:
        run.journal.finish(*position)
    else:
        run.journal.checkpoint(*position, [])
    let_go(run)


def tree(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Return every file below *directory* with its inode and its content."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): (path.stat().st_ino, path.read_bytes()) for path in files}


def refused(match: str, output: Path | str | None = None, tasklist: str = "tasks.txt", **options: object) -> None:
    before = tree(Path().resolve().parent)
    with pytest.raises(FarmError, match=match) as error:
        opened(output, tasklist, **options)
    assert "\n" not in str(error.value)
    assert tree(Path().resolve().parent) == before


def without_words(path: Path) -> None:
    """Let a fastrecovery or done file say what an earlier version would have written."""
    if path == NAMES.done:
        path.write_bytes(b"done")
        return
    read = fastrecovery.read(path)
    assert read is not None
    assert read.list_crc is not None
    assert read.covered is not None
    covered = Covered(read.covered.progress, read.covered.output, read.covered.joblog)
    path.write_bytes(fastrecovery.content(0, read.offset, read.list_crc, covered, read.left.tolist()))


# --output: somebody else's file


@pytest.mark.parametrize("rerun", [False, True])
def test_a_file_that_no_run_of_this_list_has_written_is_refused(rerun: bool) -> None:
    OUT.write_bytes(b"precious")
    refused("all.out is not empty.*another name, or remove", OUT, rerun=rerun)


def test_a_file_that_is_there_and_empty_is_taken() -> None:
    OUT.touch()
    ran(ALL, OUT)
    assert OUT.read_bytes() == b"<0><9><18>"


def test_a_file_of_another_list_in_this_directory_is_refused() -> None:
    ran(ALL, OUT)
    Path("more.txt").write_bytes(b"echo 3\n")
    refused("all.out is not empty", OUT, "more.txt")


@pytest.mark.parametrize("done", [1, ALL])
def test_rerun_empties_what_the_records_say_is_ours(done: int) -> None:
    ran(done, OUT)
    ran(ALL, OUT, rerun=True)
    assert OUT.read_bytes() == b"<0><9><18>"


@pytest.mark.parametrize("done", [1, ALL])
def test_rerun_does_not_empty_what_somebody_has_written_under_its_name(done: int) -> None:
    ran(done, OUT)
    OUT.write_bytes(b"precious results of last year")
    refused("all.out is not empty", OUT, rerun=True)
    OUT.unlink()
    ran(ALL, OUT, rerun=True)
    assert OUT.read_bytes() == b"<0><9><18>"


@pytest.mark.parametrize("done", [1, ALL])
def test_rerun_may_have_another_file_and_leaves_the_old_one(done: int) -> None:
    ran(done, OUT)
    before = OUT.read_bytes()
    OTHER.write_bytes(b"precious")
    refused("other.out is not empty", OTHER, rerun=True)
    OTHER.unlink()
    ran(ALL, OTHER, rerun=True)
    assert (OTHER.read_bytes(), OUT.read_bytes()) == (b"<0><9><18>", before)
    ran(ALL, rerun=True)
    assert OTHER.read_bytes() == b"<0><9><18>"


def test_deleting_progress_starts_over_with_the_file_of_the_records_alone() -> None:
    ran(2, OUT)
    NAMES.progress.unlink()
    OTHER.write_bytes(b"precious")
    refused("other.out is not empty", OTHER)
    assert let_go(opened(OUT)).start.done_count == 0
    assert OUT.read_bytes() == b""


def test_what_two_farms_would_write_at_once_is_refused_to_the_second() -> None:
    first = opened(OUT)
    Path("more.txt").write_bytes(b"echo 3\n")
    refused(f"all.out is being written by process {os.getpid()}", OUT, "more.txt")
    assert Path("lock.all.out").read_text() == this_process().text()
    first.lock.prove()
    let_go(first)
    assert not Path("lock.all.out").exists()
    ran(1, OUT, "more.txt")


def test_a_farm_whose_output_was_taken_over_finds_out() -> None:
    run = opened(OUT)
    Path("lock.all.out").unlink()
    Path("lock.all.out").write_text("another")
    assert run.journal is not None
    with pytest.raises(TakenOver, match=r"another mpifarm has taken over --output all\.out"):
        run.journal.checkpoint(0, 0, 0, [])


@pytest.mark.parametrize("name", ["progress.tasks.txt.tfin.new", "fastrecovery.tasks.txt.tfin.new", ""])
def test_a_name_that_the_farm_takes_away_is_no_output(name: str) -> None:
    refused("--output", name)


# --output: given, forgotten, another one


@pytest.mark.parametrize("done", [1, 2])
def test_output_that_is_given_only_at_the_resume_is_refused(done: int) -> None:
    ran(done)
    refused(f"{counted(done, 'task')} done without --output.*go on without it, or give --rerun", OUT)
    ran(ALL - done)
    refused("was done without --output.*leave --output out, or .*--rerun", OUT)


def test_output_may_be_given_when_nothing_is_done_yet() -> None:
    ran(0)
    ran(0, OUT)
    ran(ALL, OTHER)
    assert OTHER.read_bytes() == b"<0><9><18>"


def test_what_taskfarmer_has_done_is_in_no_file() -> None:
    NAMES.tfin.write_bytes(b"> echo 0\n> echo 1\n> echo 2\n")
    NAMES.progress.write_bytes(b"0 n-1 1 0 1 9\n")
    NAMES.fastrecovery.write_bytes(b"# max: 1 9\n")
    refused("1 task is done without --output", OUT)
    NAMES.fastrecovery.unlink()
    refused("1 task is done without --output", OUT)
    NAMES.progress.write_bytes(b"0 n-1 1 0 1 9\n9 n-1 1 0 1 9\n18 n-1 1 0 1 9\n")
    NAMES.done.write_bytes(b"done")
    refused("was done without --output", OUT)
    assert opened().journal is None


def test_output_that_is_forgotten_at_the_resume_is_refused(here: Path) -> None:
    ran(2, OUT)
    refused(f"earlier runs had --output {here}/all.out: give it again, or --rerun")
    ran(1, OUT)
    assert OUT.read_bytes() == b"<0><9><18>"


def test_of_a_finished_list_is_said_where_its_output_went(here: Path) -> None:
    ran(ALL, OUT)
    (notice,) = opened().notices
    assert f"done, with their output in {here}/all.out, by " in notice
    for path in (NAMES.progress, NAMES.done, OUT):
        path.unlink()  # as it says
    ran(ALL, OUT)
    assert OUT.read_bytes() == b"<0><9><18>"


@pytest.mark.parametrize("content", [b"", b"precious", b"<0", b"<0><9>+"])
def test_another_output_at_the_resume_is_refused(here: Path, content: bytes) -> None:
    ran(2, OUT)
    OTHER.write_bytes(content)
    if content.startswith(b"<0><9>"):
        content = content.replace(b"9", b"8")
        OTHER.write_bytes(content)
    refused(f"earlier runs had --output {here}/all.out, and other.out is not that file", OTHER)


@pytest.mark.parametrize("move", [shutil.move, shutil.copy])
def test_an_output_that_was_moved_is_known_by_its_content(move: object) -> None:
    ran(2, OUT)
    move(str(OUT), str(OTHER))  # type: ignore[operator]
    ran(1, OTHER)
    assert OTHER.read_bytes() == b"<0><9><18>"
    assert opened(OTHER).journal is None


def test_an_output_that_is_reached_by_another_path_is_the_same() -> None:
    ran(1, OUT)
    Path("link.out").symlink_to(OUT)
    ran(1, "link.out")
    ran(1, OUT.absolute())
    assert OUT.read_bytes() == b"<0><9><18>"


# --output: what stands in it


@pytest.mark.parametrize("content", [b"<0><8>", b"<0><8>and more", b"precious results"])
def test_an_output_that_has_changed_is_refused(content: bytes) -> None:
    ran(2, OUT)
    OUT.write_bytes(content)
    refused("all.out has changed since this list's runs wrote it: restore it, or give --rerun", OUT)


@pytest.mark.parametrize("content", [b"<0><9", b""])
def test_an_output_that_has_become_shorter_is_refused(content: bytes) -> None:
    ran(2, OUT)
    OUT.write_bytes(content)
    refused(f"--output has {len(content)} bytes", OUT)


def test_of_what_a_kill_has_left_the_block_without_its_line_is_cut() -> None:
    ran(2, OUT)
    with OUT.open("ab") as file:
        file.write(b"<1")
    ran(1, OUT)
    assert OUT.read_bytes() == b"<0><9><18>"


@pytest.mark.parametrize("harm", [OUT.unlink, lambda: OUT.write_bytes(b"<0><9>"), lambda: OUT.write_bytes(b"<0><9><18>+")])
def test_a_finished_list_whose_output_is_not_whole_is_not_done(here: Path, harm: object) -> None:
    ran(ALL, OUT)
    harm()  # type: ignore[operator]
    refused(rf"all.out is not the file of 10 bytes that its runs had as --output, {here}/all.out: restore that one", OUT)


def test_a_finished_list_has_its_own_output_and_no_other() -> None:
    ran(ALL, OUT)
    for content in (None, b"", b"precious", b"<0><9><17>"):
        if content is not None:
            OTHER.write_bytes(content)
        refused("other.out is not the file of 10 bytes", OTHER)
    shutil.copy(OUT, OTHER)
    assert opened(OTHER).journal is None


def test_without_records_progress_and_output_agree_to_the_byte_or_are_refused() -> None:
    """A finished list, its done file and a line of progress taken away: the block would stand there twice."""
    ran(ALL, OUT)
    NAMES.done.unlink()
    lines = NAMES.progress.read_bytes().splitlines(keepends=True)
    NAMES.progress.write_bytes(b"".join(lines[:1] + lines[2:]))
    refused("all.out has 10 bytes, and the tasks that are done wrote 7", OUT)
    refused(r"earlier runs had --output \(a file of 7 bytes\): give it again, or --rerun")
    NAMES.progress.write_bytes(b"".join(lines))
    assert let_go(opened(OUT)).start.done_count == ALL
    assert OUT.read_bytes() == b"<0><9><18>"


@pytest.mark.parametrize("done", [2, ALL])
def test_records_without_our_words_are_held_against_the_size(done: int) -> None:
    ran(done, OUT)
    without_words(NAMES.done if done == ALL else NAMES.fastrecovery)
    whole = OUT.read_bytes()
    for content in (whole + b"+", whole[:-1], b""):
        OUT.write_bytes(content)
        refused(r"bytes", OUT)
    OUT.write_bytes(whole)
    assert (let_go(opened(OUT)).journal is None) is (done == ALL)
    assert OUT.read_bytes() == whole


def test_taskfarmers_files_after_ours_are_not_gone_on_with_into_the_output() -> None:
    ran(1, OUT)
    NAMES.fastrecovery.write_bytes(b"# max: 2 18\n")
    with NAMES.progress.open("ab") as file:
        file.write(b"9 n-1 1 0 1 9\n")
    refused("2 tasks are done without --output", OUT)
    refused("earlier runs had --output")


# a list that has grown


def test_a_finished_list_that_has_grown_goes_on_from_what_its_done_file_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    ran(ALL, OUT)
    with Path("tasks.txt").open("ab") as file:
        file.write(b"echo 3\n")
    refused("earlier runs had --output")
    refused("other.out is not that file", OTHER)
    with monkeypatch.context() as patch:
        patch.setattr("mpifarm.journal.progress._table", None)  # no line needs to be read
        run = let_go(opened(OUT))
    assert (run.start.done_count, run.start.offset, run.start.again.size) == (ALL, 27, 0)
    assert not NAMES.done.exists()
    ran(1, OUT)
    assert OUT.read_bytes() == b"<0><9><18><27>"


def test_a_done_file_of_a_shorter_list_does_not_hide_work(here: Path) -> None:
    """TaskFarmer rewrites the .tfin file of a list that has grown, and never takes a done file away."""
    ran(ALL)
    for name in ("tasks.txt", "tasks.txt.tfin"):
        with Path(name).open("ab") as file:
            file.write(b"> echo 3\n" if name.endswith("tfin") else b"echo 3\n")
    run = opened()
    assert run.journal is not None
    assert run.start.done_count == ALL


def test_a_kill_while_a_finished_list_is_reopened_loses_no_record() -> None:
    ran(ALL, OUT)
    told = NAMES.done.read_bytes()
    with Path("tasks.txt").open("ab") as file:
        file.write(b"echo 3\n")
    NAMES.fastrecovery.write_bytes(fastrecovery.remembered(NAMES.done))  # and killed before done was removed
    refused("earlier runs had --output")
    ran(1, OUT)
    assert OUT.read_bytes() == b"<0><9><18><27>"
    assert NAMES.done.read_bytes() != told


@pytest.mark.long
@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("done", "grown", "rerun"), [(1, False, True), (ALL, False, True), (ALL, True, False)])
def test_a_kill_at_any_moment_of_an_opening_leaves_records_to_go_on_from(
    done: int, grown: bool, rerun: bool, crash: bool
) -> None:
    killed = True
    with scratch():
        for seed in range(210):  # three for each operation
            for path in Path().iterdir():
                path.unlink()
            Path("tasks.txt").write_bytes(b"echo 0\necho 1\necho 2\n")
            ran(done, OUT)
            with Path("tasks.txt").open("ab") as file:
                file.write(b"echo 3\n" * grown)
            disk = Disk(random.Random(seed), left=seed // 3)
            disk.synced = {path.stat().st_ino: path.stat().st_size for path in Path().iterdir()}
            try:
                with disk.installed():
                    let_go(opened(OUT, rerun=rerun))
                killed = False
            except Killed:
                if crash:
                    disk.crash()
            for path in (NAMES.lock, Path("lock.all.out")):
                path.write_text(this_process().text().replace("born=", "born=1"))
            run = let_go(opened(OUT))
            assert run.journal is None or run.start.done_count in (0, done)
            if run.journal:
                ran(ALL, OUT)
            offsets = [int(line.split()[0]) for line in NAMES.progress.read_bytes().splitlines()]
            assert sorted(offsets) == [0, 9, 18, 27][: ALL + grown]
            assert OUT.read_bytes() == b"".join(b"<%d>" % offset for offset in offsets)
    assert not killed, "the opening has never come to its end"


# which list


@pytest.fixture
def two_lists() -> tuple[str, str]:
    """Return two lists of one name, in two directories; the first one has been begun here."""
    names = []
    for number in (1, 2):
        Path(f"p{number}").mkdir()
        names.append(f"p{number}/tasks.txt")
    Path("tasks.txt").unlink()
    Path(names[0]).write_bytes(b"echo 0\necho 1\necho 2\n")
    Path(names[1]).write_bytes(b"echo 0\necho x\n")
    return names[0], names[1]


@pytest.mark.parametrize("done", [1, ALL])
@pytest.mark.parametrize("rerun", [False, True])
@pytest.mark.parametrize("equal", [False, True])
def test_another_list_of_that_name_is_refused(
    here: Path, two_lists: tuple[str, str], done: int, rerun: bool, equal: bool
) -> None:
    first, second = two_lists
    ran(done, tasklist=first)
    if equal:
        shutil.copy(first, second)
    refused(
        f"of another list, {here}/{first}, not of {here}/{second}: start in another directory", None, second, rerun=rerun
    )
    let_go(opened(None, first))


def test_a_list_that_was_moved_is_gone_on_with(here: Path, two_lists: tuple[str, str]) -> None:
    first, second = two_lists
    ran(1, tasklist=first)
    Path(first).replace(second)
    run = let_go(opened(None, second))
    assert run.start.done_count == 1
    assert run.notices[0] == f"{here}/{second} was {here}/{first} when it was begun: going on with it"
    assert len(let_go(opened(None, second)).notices) == 1


@pytest.mark.parametrize("rerun", [False, True])
def test_another_list_is_not_taken_for_one_that_was_moved(here: Path, two_lists: tuple[str, str], rerun: bool) -> None:
    first, second = two_lists
    ran(2, tasklist=first)
    Path(first).unlink()
    refused(f"of another list, {here}/{first}", None, second, rerun=rerun)


def test_what_has_no_words_is_taken_for_this_lists(two_lists: tuple[str, str]) -> None:
    first, second = two_lists
    ran(1, tasklist=first)
    shutil.copy(first, second)
    without_words(NAMES.fastrecovery)
    assert let_go(opened(None, second)).start.done_count == 1


def test_a_list_that_is_reached_by_another_path_is_the_same(here: Path) -> None:
    ran(1)
    Path("lists").mkdir()
    Path("lists/tasks.txt").symlink_to(here / "tasks.txt")
    ran(1, tasklist="lists/tasks.txt")
    ran(1, tasklist=str(here / "tasks.txt"))
    assert opened().journal is None


# begun elsewhere


@pytest.fixture
def elsewhere(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Start in another directory from here on; return it."""
    directory = here.with_name("elsewhere")
    directory.mkdir()
    return directory


@pytest.mark.parametrize("done", [1, ALL])
@pytest.mark.parametrize("rerun", [False, True])
@pytest.mark.parametrize("words", [False, True])
def test_a_run_that_lies_beside_the_list_is_not_begun_again_here(
    here: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, done: int, rerun: bool, words: bool
) -> None:
    ran(done)
    if not words:
        without_words(NAMES.done if done == ALL else NAMES.fastrecovery)
    monkeypatch.chdir(elsewhere)
    refused(rf"was begun in {here}: start there.*copy the list", None, str(here / "tasks.txt"), rerun=rerun)
    refused(rf"was begun in {here}: start there.*copy the list", None, "../run/tasks.txt", rerun=rerun)
    Path("tasks.txt").symlink_to(here / "tasks.txt")
    refused(rf"was begun in {here}: start there.*copy the list", rerun=rerun)
    Path("tasks.txt").unlink()
    shutil.copy(here / "tasks.txt", ".")
    ran(ALL)


def test_a_run_that_is_on_beside_the_list_is_told_with_its_process(
    here: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened()
    for path in (NAMES.progress, NAMES.fastrecovery):
        path.unlink()  # it has only just begun
    monkeypatch.chdir(elsewhere)
    refused(rf"is being run by process {os.getpid()} on .* in {here}", None, "../run/tasks.txt")
    monkeypatch.chdir(here)
    let_go(run)
    NAMES.lock.write_text(this_process().text().replace("born=", "born=1"))  # of one that is dead
    monkeypatch.chdir(elsewhere)
    ran(ALL, tasklist="../run/tasks.txt")


def test_what_lies_beside_the_list_of_another_list_does_not_matter(
    here: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "p1").mkdir()
    (here / "tasks.txt").replace(here / "p1" / "tasks.txt")
    ran(1, tasklist="p1/tasks.txt")
    (here / "tasks.txt").write_bytes(b"echo another\n")
    monkeypatch.chdir(elsewhere)
    ran(1, tasklist="../run/tasks.txt")


def test_a_list_may_be_run_in_several_directories_that_are_not_its_own(
    here: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = here.with_name("third")
    third.mkdir()
    for directory in (elsewhere, third, elsewhere):
        monkeypatch.chdir(directory)
        ran(1, OUT, tasklist="../run/tasks.txt")
    assert (elsewhere / "all.out").read_bytes() == b"<0><9>"
    assert (third / "all.out").read_bytes() == b"<0>"


# directories that were moved or copied as a whole


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("done", [1, ALL])
def test_a_directory_that_was_moved_or_copied_goes_on(
    here: Path, monkeypatch: pytest.MonkeyPatch, copy: bool, absolute: bool, done: int
) -> None:
    ran(done, here / OUT if absolute else OUT)
    there = here.with_name("there")
    if copy:
        shutil.copytree(here, there)
    else:
        here.rename(there)
    monkeypatch.chdir(there)
    run = let_go(opened(there / OUT if absolute else OUT))
    assert (run.journal is None) is (done == ALL)
    if done < ALL:
        ran(ALL - done, OUT)
    assert OUT.read_bytes() == b"<0><9><18>"
    assert not copy or (here / OUT).read_bytes() == b"<0><9><18>"[: 3 if done == 1 else None]


def test_the_copy_of_a_directory_does_not_write_to_a_file_outside_that_the_original_has(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = here.with_name("outside")
    outside.mkdir()
    file = outside / "all.out"
    ran(1, file)
    there = here.parent / "deeper" / "there"
    shutil.copytree(here, there)
    ran(1, file)
    monkeypatch.chdir(there)
    before = file.read_bytes()
    with pytest.raises(FarmError, match=f"this is a copy of {here}, and --output .*all.out is that run's: start there"):
        opened(file)
    with pytest.raises(FarmError, match="is not empty"):
        opened(file, rerun=True)
    assert file.read_bytes() == before == b"<0><9>"
    shutil.rmtree(here)  # so it was moved
    shutil.rmtree(there)


def test_a_directory_that_was_moved_goes_on_with_its_file_outside(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = here.with_name("outside")
    outside.mkdir()
    ran(1, outside / "all.out")
    (here.parent / "deeper").mkdir()
    there = here.rename(here.parent / "deeper" / "there")
    monkeypatch.chdir(there)
    ran(2, outside / "all.out")
    assert (outside / "all.out").read_bytes() == b"<0><9><18>"


# which shell


def test_another_shell_at_the_resume_is_refused_unless_it_is_given() -> None:
    ran(1, shell="/bin/bash")
    refused("used --shell /bin/bash: give it again, or --shell /bin/sh to go on with that one")
    assert let_go(opened(shell="/bin/bash")).notices == ["tasks.txt: 3 tasks, 1 done"]
    run = let_go(opened(shell="/bin/sh"))
    assert run.notices[0] == "the tasks run with --shell /bin/sh from here on; earlier runs had /bin/bash"
    assert let_go(opened()).notices == ["tasks.txt: 3 tasks, 1 done"]
    assert len(let_go(opened(shell="/bin/bash")).notices) == 2


def test_the_shell_of_a_run_that_is_forgotten_or_done_does_not_matter() -> None:
    ran(1, shell="/bin/bash")
    ran(1, rerun=True)
    ran(2)
    assert opened(shell="/bin/bash").journal is None
