"""Second starts that are not what the first one was: refused in one line before a task runs, and nothing is touched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .farms import Ended, Farms, held, wait_until

OPTIONS = ("--threads", "1", "--retries", "0")
OUTPUT = ("--output", "all.out")


def assert_refused(farms: Farms, ended: Ended, *words: str) -> None:
    assert ended.code == 2, ended.err
    assert len(ended.said) == 1
    assert [word for word in words if word not in ended.said[0]] == []
    assert ended.out == b""


def refuse(farms: Farms, ranks: int, arguments: tuple[str, ...], *words: str, cwd: Path | None = None) -> None:
    """A start with these arguments is refused with these words, and no file anywhere is touched."""
    roots = [farms.directory, *([cwd] if cwd else [])]
    before = [{path: path.read_bytes() for path in root.rglob("*") if path.is_file()} for root in roots]
    assert_refused(farms, farms.run(ranks, *OPTIONS, *arguments, cwd=cwd), *words)
    assert [{path: path.read_bytes() for path in root.rglob("*") if path.is_file()} for root in roots] == before


def half_done(farms: Farms, *options: str) -> list[int]:
    """Run a list of which the last task waits for a file named mended."""
    offsets = farms.tasks("echo one", "echo two", "[ -e mended ] && echo three")
    assert farms.run(2, *OPTIONS, *options, "tasks.txt").code == 1
    (farms.directory / "mended").touch()
    return offsets


def content(farms: Farms) -> str:
    return (farms.directory / "all.out").read_text()


# --output over restarts


@pytest.mark.parametrize("ranks", [0, 2])
def test_an_output_that_is_somebody_elses_is_not_emptied(farms: Farms, ranks: int) -> None:
    farms.tasks("echo new")
    (farms.directory / "all.out").write_text("precious results of last year\n")
    for more in ((), ("--rerun",)):
        refuse(farms, ranks, (*more, *OUTPUT, "tasks.txt"), "all.out is not empty", "another name")
    assert farms.run(ranks, *OPTIONS, "--output", "new.out", "tasks.txt").code == 0
    assert (farms.directory / "new.out").read_text() == "new\n"


@pytest.mark.parametrize("ranks", [0, 2])
def test_an_output_that_is_given_only_at_the_resume_would_hold_new_blocks_alone(farms: Farms, ranks: int) -> None:
    offsets = half_done(farms)
    refuse(farms, ranks, (*OUTPUT, "tasks.txt"), "2 tasks are done without --output", "--rerun")
    assert farms.run(ranks, *OPTIONS, "tasks.txt").out == b"three\n"
    assert farms.progress() == offsets
    refuse(farms, ranks, (*OUTPUT, "tasks.txt"), "done without --output", "--rerun")
    assert farms.run(ranks, *OPTIONS, "--rerun", *OUTPUT, "tasks.txt").code == 0
    assert content(farms) == "one\ntwo\nthree\n"


@pytest.mark.parametrize("ranks", [0, 2])
def test_an_output_that_is_forgotten_at_the_resume_would_stay_one_block_short(farms: Farms, ranks: int) -> None:
    half_done(farms, *OUTPUT)
    path = str(farms.directory.resolve() / "all.out")
    refuse(farms, ranks, ("tasks.txt",), f"earlier runs had --output {path}", "give it again, or --rerun")
    refuse(farms, ranks, ("--output", "b.out", "tasks.txt"), f"earlier runs had --output {path}", "b.out is not that file")
    assert farms.run(ranks, *OPTIONS, *OUTPUT, "tasks.txt").code == 0
    assert content(farms) == "one\ntwo\nthree\n"
    said = farms.run(ranks, *OPTIONS, "tasks.txt")
    assert said.code == 0
    assert f"output in {path}, by " in said.said[0]


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_line_that_is_taken_out_of_progress_does_not_double_a_block(farms: Farms, ranks: int) -> None:
    farms.tasks(*(f"echo block {number}" for number in range(1, 7)))
    assert farms.run(ranks, *OPTIONS, *OUTPUT, "tasks.txt").code == 0
    whole = content(farms)
    done = farms.file("done").read_bytes()
    lines = farms.file("progress").read_bytes().splitlines(keepends=True)
    farms.file("done").unlink()
    farms.file("progress").write_bytes(b"".join(lines[:2] + lines[3:]))
    refuse(farms, ranks, (*OUTPUT, "tasks.txt"), "all.out has 48 bytes", "wrote 40")
    refuse(farms, ranks, ("tasks.txt",), "earlier runs had --output")
    farms.file("done").write_bytes(done)
    assert farms.run(ranks, *OPTIONS, *OUTPUT, "tasks.txt").code == 0
    assert content(farms) == whole


def test_a_finished_list_whose_output_is_gone_is_not_done(farms: Farms) -> None:
    farms.tasks("echo one")
    assert farms.run(2, *OPTIONS, *OUTPUT, "tasks.txt").code == 0
    assert farms.file("done").read_text().splitlines()[0] == "done"
    (farms.directory / "all.out").rename(farms.directory / "kept.out")
    refuse(farms, 2, (*OUTPUT, "tasks.txt"), "all.out is not the file of 4 bytes", "restore")
    assert farms.run(2, *OPTIONS, "--output", "kept.out", "tasks.txt").code == 0
    with (farms.directory / "tasks.txt").open("a") as file:
        file.write("echo two\n")
    refuse(farms, 2, (*OUTPUT, "tasks.txt"), "--output has 0 bytes", "wrote 4")
    assert farms.run(2, *OPTIONS, "--output", "kept.out", "tasks.txt").code == 0
    assert (farms.directory / "kept.out").read_text() == "one\ntwo\n"


@pytest.mark.parametrize("ranks", [0, 2])
def test_lists_of_a_job_array_do_not_share_an_output(farms: Farms, ranks: int) -> None:
    for number in range(2):
        (farms.directory / f"tasks.{number}.txt").write_text(f"{held(number)}\necho last {number}\n")
    first = farms.start(ranks, *OPTIONS, *OUTPUT, "tasks.0.txt")
    wait_until((farms.directory / "held.0").exists, "the first list runs")
    assert_refused(farms, farms.run(ranks, *OPTIONS, *OUTPUT, "tasks.1.txt"), "all.out is being written by process")
    (farms.directory / "go").touch()
    assert first.wait().code == 0
    refuse(farms, ranks, (*OUTPUT, "tasks.1.txt"), "all.out is not empty")
    assert content(farms) == "0\nlast 0\n"
    assert farms.run(ranks, *OPTIONS, "--output", "1.out", "tasks.1.txt").code == 0
    assert (farms.directory / "1.out").read_text() == "1\nlast 1\n"
    assert not list(farms.directory.glob("lock.*"))


def test_an_output_that_is_removed_under_a_running_farm_leaves_work(farms: Farms) -> None:
    farms.tasks(held(0))
    farm = farms.start(2, *OPTIONS, *OUTPUT, "tasks.txt")
    wait_until((farms.directory / "held.0").exists, "the task runs")
    (farms.directory / "all.out").unlink()
    (farms.directory / "go").touch()
    ended = farm.wait()
    assert ended.code == 3
    assert any("cannot write all.out: No such file or directory" in line for line in ended.said)
    assert not farms.file("done").exists()


# which run is this?


@pytest.mark.parametrize("ranks", [0, 2])
def test_two_lists_of_one_name_do_not_share_a_directory(farms: Farms, ranks: int) -> None:
    for name, command in (("p1", "echo one; [ -e mended ]"), ("p2", "echo two"), ("p3", "echo one; [ -e mended ]")):
        (farms.directory / name).mkdir()
        (farms.directory / name / "tasks.txt").write_text(f"{command}\n")
    assert farms.run(ranks, *OPTIONS, "p1/tasks.txt").code == 1
    (farms.directory / "mended").touch()
    for _ in range(2):  # half done, and then done
        for other in ("p2", "p3"):
            for more in ((), ("--rerun",)):
                refuse(
                    farms, ranks, (*more, f"{other}/tasks.txt"), "p1/tasks.txt", f"{other}/tasks.txt", "another directory"
                )
        assert farms.run(ranks, *OPTIONS, "p1/tasks.txt").code == 0
    assert len(farms.joblog()) == 2


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_run_is_not_begun_again_from_another_directory(
    farms: Farms, tmp_path_factory: pytest.TempPathFactory, ranks: int
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    here = str(farms.directory.resolve())
    path = f"{here}/tasks.txt"
    farms.tasks(held(0), "echo last")
    farm = farms.start(ranks, *OPTIONS, "tasks.txt")
    wait_until((farms.directory / "held.0").exists, "the list runs")
    ended = farms.run(ranks, *OPTIONS, path, cwd=elsewhere)
    assert_refused(farms, ended, f"is being run by process {farm.rank(0)}", here, "copy the list")
    (farms.directory / "go").touch()
    assert farm.wait().code == 0
    refuse(farms, ranks, (path,), f"was begun in {here}", "start there", "copy the list", cwd=elsewhere)
    shutil.copy(path, elsewhere)
    (elsewhere / "go").touch()
    assert farms.run(ranks, *OPTIONS, "tasks.txt", cwd=elsewhere).out == b"0\nlast\n"


@pytest.mark.parametrize("copy", [False, True], ids=["moved", "copied"])
def test_a_directory_that_was_moved_or_copied_as_a_whole_goes_on(farms: Farms, copy: bool) -> None:
    farms.directory /= "work"
    farms.directory.mkdir()
    offsets = half_done(farms, *OUTPUT)
    there = farms.directory.with_name("there")
    if copy:
        shutil.copytree(farms.directory, there)
    else:
        farms.directory.rename(there)
    farms.directory = there
    assert farms.run(2, *OPTIONS, *OUTPUT, "tasks.txt").code == 0
    assert content(farms) == "one\ntwo\nthree\n"
    assert farms.progress() == offsets


def test_another_shell_at_the_resume_is_refused_unless_it_is_given(farms: Farms) -> None:
    half_done(farms, "--shell", "/bin/bash")
    refuse(farms, 2, ("tasks.txt",), "--shell /bin/bash: give it again", "--shell /bin/sh")
    assert farms.run(2, *OPTIONS, "--shell", "/bin/sh", "tasks.txt").code == 0
