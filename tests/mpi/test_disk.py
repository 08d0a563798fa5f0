"""Disks that fail under a running farm: it stops, says why in one line, exits 3, and the next start completes the list."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from .disks import Disks, break_down, fill, make_read_only, sync
from .farms import Ended, Farm, Farms, held, wait_until

FILL = "[ -e go ] || { until [ -s progress.tasks.txt.tfin ]; do sleep 0.05; done; head -c 8m /dev/zero > fill; }; true"
OPTIONS = ("--threads", "2", "--retries", "0", "--output", "all.out", "tasks.txt")


@pytest.fixture
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disks]:
    """File systems for a test. To be asked for before the farms, which then end before they are unmounted."""
    disks = Disks(tmp_path_factory.mktemp("images"))
    try:
        yield disks
    finally:
        disks.end()


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that is not the farm's."""
    return tmp_path_factory.mktemp("place")


def assert_stopped(ended: Ended, reason: str, *words: str) -> None:
    """The farm has stopped in an orderly way, and has told one line about the reason."""
    assert ended.code == 3, ended.err
    assert "Traceback" not in ended.err
    told = [line for line in ended.said if reason in line]
    assert len(told) == 1, ended.err
    assert [word for word in words if word not in told[0]] == []


def assert_tidy(farms: Farms) -> None:
    """No lock, no half of a file, nothing that the farm does not leave."""
    names = {path.name for path in farms.directory.iterdir() if not path.name.startswith(("held.", "fill"))}
    known = {"tasks.txt", "tasks.txt.tfin", "all.out", "go", "lost+found"}
    kinds = ("progress", "joblog", "log", "fastrecovery", "done", "status")
    assert names <= known | {farms.file(kind).name for kind in kinds}


def blocks(farms: Farms) -> list[bytes]:
    """Return what stands in --output of each task, in the order of progress; the file holds nothing else."""
    sizes = [int(line.split()[3]) for line in farms.file("progress").read_text().splitlines()]
    content = (farms.directory / "all.out").read_bytes()
    assert len(content) == sum(sizes)
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    return [content[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def assert_completes(farms: Farms, ranks: int, offsets: list[int], printed: list[str], *options: str) -> None:
    """The next start completes the list: every task once in progress, and once, whole, in --output."""
    ended = farms.run(ranks, *OPTIONS, *options)
    assert ended.code == 0, ended.err
    assert sorted(farms.progress()) == offsets
    assert sorted(blocks(farms)) == sorted(text.encode() for text in printed)
    assert farms.file("done").exists()
    assert_tidy(farms)


def start_and_hold(farms: Farms, ranks: int, *more: str) -> tuple[Farm, list[int], list[str]]:
    """Start a farm; return it when one task is done and two run, with the offsets and what the tasks print."""
    offsets = farms.tasks("echo first", *(held(number) for number in range(4)), *more)
    farm = farms.start(ranks, "--threads", "1" if ranks > 2 else "2", *OPTIONS[2:])
    wait_until(partial(farms.progressed, 1), "the first task is done")
    wait_until(lambda: all((farms.directory / f"held.{number}").exists() for number in range(2)), "two tasks run")
    return farm, offsets, ["first\n", *(f"{number}\n" for number in range(4)), *[""] * len(more)]


# no space


@pytest.mark.parametrize("ranks", [0, 2, 3])
def test_a_disk_that_the_output_fills_stops_the_farm_between_two_blocks(disks: Disks, farms: Farms, ranks: int) -> None:
    disks.tmpfs(farms.directory, 1024)
    printed = [f"{number:09}\n" * 3000 for number in range(60)]
    offsets = farms.tasks(*(f"yes {number:09} | head -n 3000" for number in range(60)))
    assert_stopped(farms.run(ranks, *OPTIONS), "No space left on device", "all.out")
    assert 10 < len(farms.progress()) < 60
    assert set(blocks(farms)) <= {text.encode() for text in printed}
    assert_tidy(farms)
    disks.resize(farms.directory, 4096)
    assert_completes(farms, ranks, offsets, printed)


@pytest.mark.parametrize("victim", ["progress", "joblog", "log"])
def test_a_disk_on_which_no_line_can_be_added_stops_the_farm(disks: Disks, farms: Farms, place: Path, victim: str) -> None:
    disks.tmpfs(farms.directory, 1024)
    for other in {"progress", "joblog", "log"} - {victim}:
        (place / other).touch()
        farms.file(other).symlink_to(place / other)
    fails = "[ -e go ] || { seq 100 >&2; exit 1; }"
    lines = ["echo 1", FILL, *[fails if victim == "log" else "true # task"] * 200]
    offsets = farms.tasks(*lines)
    assert_stopped(farms.run(2, *OPTIONS), "No space left on device", f"{victim}.tasks")
    assert 0 < len(farms.progress()) < 200
    assert_tidy(farms)
    for path in map(farms.file, ("progress", "joblog", "log")):
        assert path.read_bytes()[-1:] in (b"\n", b"")
    (farms.directory / "fill").unlink()
    (farms.directory / "go").touch()
    assert_completes(farms, 2, offsets, ["1\n"] + [""] * 201)


@pytest.mark.parametrize(("first", "word"), [("true", "done"), ("[ -e go ]", "fastrecovery")])
def test_a_disk_without_space_for_the_last_word_leaves_work_and_no_half_of_a_file(
    disks: Disks, farms: Farms, first: str, word: str
) -> None:
    disks.tmpfs(farms.directory, 1024)
    # Each file has its first page by then.
    written = "-s progress.tasks.txt.tfin" + ("" if first == "true" else " -a -s log.tasks.txt.tfin")
    wait = f"until [ -e go -o {written} ]; do sleep 0.05; done; "
    offsets = farms.tasks(first, "echo 1", wait + FILL)
    assert_stopped(farms.run(2, *OPTIONS), "No space left on device", word)
    assert_tidy(farms)
    (farms.directory / "fill").unlink()
    (farms.directory / "go").touch()
    disks.resize(farms.directory, 8192)
    assert_completes(farms, 2, offsets, ["", "1\n", ""])


@pytest.mark.parametrize("earlier", [False, True], ids=["fresh", "resumed"])
def test_a_start_on_a_disk_that_is_nearly_full_is_refused_or_goes_on(disks: Disks, farms: Farms, earlier: bool) -> None:
    """One more free page each time, until the farm finds enough of them."""
    disks.tmpfs(farms.directory, 1024)
    if earlier:
        farms.tasks("echo 1", "[ -e go ]")
        assert farms.run(0, *OPTIONS).code == 1
    offsets = farms.tasks("echo 1", "[ -e go ]", "echo 3")
    before = farms.snapshot()
    (farms.directory / "go").touch()
    codes = []
    for pages in range(64):
        filler = fill(farms.directory, pages)
        ended = farms.run(0, *OPTIONS)
        filler.unlink()
        codes.append(ended.code)
        assert "Traceback" not in ended.err
        assert_tidy(farms)
        if ended.code != 2:
            break
        assert len(ended.said) == 1
        assert "No space left on device" in ended.said[0]
        assert not earlier or {name: farms.snapshot().get(name) for name in before} == before
    assert codes[0] == 2 != codes[-1]
    assert codes[-1] == 0 or "No space left on device" in ended.err
    assert_completes(farms, 0, offsets, ["1\n", "", "3\n"])


def test_a_disk_that_takes_what_it_cannot_keep_loses_no_block(disks: Disks, farms: Farms, place: Path) -> None:
    """As under NFS or a thin volume: write() succeeds and fdatasync() fails; what is in the page cache is lost later on."""
    disks.tmpfs(place, 4096)
    disks.image(farms.directory, "mkfs.ext4", "-q", "-F", "-O", "^has_journal", mib=32, on=place)
    printed = ["first\n", *(f"{number:09}\n" * 20_000 for number in range(4))]
    offsets = farms.tasks(
        "echo first", *(f"until [ -e go ]; do sleep 0.05; done; yes {n:09} | head -n 20000" for n in range(4))
    )
    farm = farms.start(2, *OPTIONS)
    wait_until(partial(farms.progressed, 1), "the first task is done")
    sync(farms.directory)
    filler = fill(place)
    (farms.directory / "go").touch()
    assert_stopped(farm.wait(), "No space left on device")
    filler.unlink()
    assert_completes(farms, 2, offsets, printed)
    disks.again(farms.directory)
    assert sorted(blocks(farms)) == sorted(text.encode() for text in printed)


def test_a_quota_that_is_used_up_stops_the_farm(disks: Disks, farms: Farms) -> None:
    disks.image(farms.directory, "mkfs.btrfs", "-q", "-M", mib=128)
    disks.quota(farms.directory, "1M")
    printed = [f"{number:09}\n" * 3000 for number in range(60)]
    offsets = farms.tasks(*(f"yes {number:09} | head -n 3000" for number in range(60)))
    assert_stopped(farms.run(2, *OPTIONS), "Disk quota exceeded")
    assert 10 < len(farms.progress()) < 60
    disks.quota(farms.directory, "none")
    assert_completes(farms, 2, offsets, printed)


# a disk that breaks


@pytest.mark.parametrize("ranks", [0, 3])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [(break_down, "Input/output error"), (make_read_only, "Read-only file system")],
    ids=["eio", "read-only"],
)
def test_a_disk_that_breaks_stops_the_farm(
    disks: Disks, farms: Farms, ranks: int, fault: Callable[[Path], None], reason: str
) -> None:
    disks.image(farms.directory, "mkfs.ext4", "-q", "-F")
    farm, offsets, printed = start_and_hold(farms, ranks)
    sync(farms.directory)
    fault(farms.directory)
    assert_stopped(farm.wait(), reason)
    disks.again(farms.directory)
    assert farms.progress() == offsets[:1]
    (farms.directory / "go").touch()
    assert_completes(farms, ranks, offsets, printed)


# files and directories that vanish


def test_a_working_directory_that_is_removed_stops_the_farm(farms: Farms) -> None:
    farms.directory /= "work"
    farms.directory.mkdir()
    farm, _, _ = start_and_hold(farms, 3)
    shutil.rmtree(farms.directory)
    assert_stopped(farm.wait(), "stopping", "lock.tasks.txt.tfin")


def test_a_working_directory_that_is_removed_by_the_last_task_is_not_a_success(farms: Farms) -> None:
    farms.directory /= "work"
    farms.directory.mkdir()
    farms.tasks("echo 1", 'rm -r "$PWD"')
    assert_stopped(farms.run(2, "--threads", "1", *OPTIONS[2:]), "is gone, or the whole working directory")


def test_a_working_directory_that_is_renamed_is_followed(farms: Farms) -> None:
    farms.directory /= "work"
    farms.directory.mkdir()
    farm, offsets, _ = start_and_hold(farms, 3)
    farms.directory = farms.directory.rename(farms.directory.with_name("moved"))
    (farms.directory / "go").touch()
    assert farm.wait().code == 0
    assert sorted(farms.progress()) == offsets
    assert_tidy(farms)
    assert not farms.directory.with_name("work").exists()


def test_a_tfin_file_that_is_removed_is_not_needed_any_more(farms: Farms) -> None:
    farm, offsets, _ = start_and_hold(farms, 3)
    (farms.directory / "tasks.txt.tfin").unlink()
    (farms.directory / "go").touch()
    assert farm.wait().code == 0
    assert sorted(farms.progress()) == offsets
    assert farms.run(3, *OPTIONS).code == 0
    assert len(farms.attempted()) == 5


@pytest.mark.parametrize(("size", "more"), [(2, 0), (6_000_000, 100)], ids=["at a running task", "far ahead"])
def test_a_tfin_file_that_is_cut_stops_the_farm_and_a_new_one_is_made(farms: Farms, size: int, more: int) -> None:
    farm, offsets, printed = start_and_hold(farms, 3, *["true # " + 100_000 * "x"] * more)
    os.truncate(farms.directory / "tasks.txt.tfin", size)
    (farms.directory / "go").touch()
    assert_stopped(farm.wait(), "tasks.txt.tfin")
    assert_completes(farms, 3, offsets, printed)


# the other places


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_standard_error_that_takes_nothing_costs_nothing(farms: Farms, ranks: int) -> None:
    offsets = farms.tasks("echo 1; echo 2 >&2", "echo 3")
    assert farms.run(ranks, *OPTIONS, before="exec 2> /dev/full").code == 0
    assert sorted(farms.progress()) == offsets


def test_a_standard_output_that_takes_nothing_stops_the_farm(farms: Farms) -> None:
    offsets = farms.tasks("echo 1", "echo 2")
    options = [option for option in OPTIONS if option not in ("--output", "all.out")]
    assert_stopped(farms.run(0, *options, before="exec > /dev/full"), "No space left on device", "standard output")
    assert farms.progress() == []
    assert sorted(farms.run(0, *options).out) == sorted(b"1\n2\n")
    assert sorted(farms.progress()) == offsets


def test_a_full_stderr_does_not_hide_that_the_disk_is_full(disks: Disks, farms: Farms) -> None:
    """Slurm puts both into the working directory."""
    disks.tmpfs(farms.directory, 1024)
    offsets = farms.tasks("echo 1", FILL, *["seq 1000"] * 3)
    ended = farms.run(0, *OPTIONS, before="exec 2> /dev/full")
    assert ended.code == 3
    assert_tidy(farms)
    (farms.directory / "fill").unlink()
    (farms.directory / "go").touch()
    disks.resize(farms.directory, 8192)
    assert_completes(farms, 0, offsets, ["1\n", "", *["".join(f"{n}\n" for n in range(1, 1001))] * 3])


def test_a_full_place_for_capture_fails_only_the_tasks_that_wrote_there(disks: Disks, farms: Farms, place: Path) -> None:
    disks.tmpfs(place, 256)
    deaf, *rest = farms.tasks("yes loud | head -c 400000; true", "echo 2", "true", "echo 4", f"touch {place}/x; true")
    before = f"export TMPDIR={place}"
    assert farms.run(2, "--threads", "1", *OPTIONS[2:], before=before).code == 1
    assert sorted(farms.progress()) == rest
    assert farms.left() == [deaf]
    why = f"no place for what it printed, in {place}: No space left on device: make room there, or set TMPDIR"
    assert why in farms.file("log").read_text()
    disks.resize(place, 4096)
    printed = ["loud\n" * 80_000, "2\n", "", "4\n", ""]
    assert farms.run(2, *OPTIONS, before=before).code == 0
    assert sorted(farms.progress()) == sorted([deaf, *rest])
    assert sorted(blocks(farms)) == sorted(text.encode() for text in printed)
    assert [path.name for path in place.iterdir()] == ["x"]


def test_a_task_that_fails_while_its_tmpdir_is_full_is_told_with_that(disks: Disks, farms: Farms, place: Path) -> None:
    """It says nothing of it itself, or dies of a SIGBUS."""
    disks.tmpfs(place, 256)
    fill = f"head -c 1m /dev/zero > {place}/fill 2> /dev/null"
    farms.tasks("exit 1", f"{fill}; true", "exit 1", "kill -BUS $$", "yes loud | head -c 400000; exit 3", "true")
    ended = farms.run(2, "--threads", "1", "--retries", "0", "tasks.txt", before=f"export TMPDIR={place}")
    assert ended.code == 1
    text = farms.file("log").read_text()
    _, first, third, fourth, fifth = re.split(r"(?m)^.* failed for good: ", text)
    full = f": TMPDIR is full: no space is left on the file system of {place}\n"
    assert [full in told for told in (first, third, fourth, fifth)] == [False, True, True, True]
    assert f": no place for what it printed, in {place}: No space left on device: make room there, or set TMPDIR" in fifth


@pytest.mark.parametrize("kind", ["tmpfs", "ext4", "quota"])
def test_what_could_not_be_printed_is_not_taken_for_nothing(disks: Disks, farms: Farms, place: Path, kind: str) -> None:
    """The tasks do not mind that not a byte of theirs fits. ext4 keeps space for itself, and statvfs knows of no quota."""
    if kind == "tmpfs":
        disks.tmpfs(place, 256)
    elif kind == "ext4":
        disks.image(place, "mkfs.ext4", "-q", "-F")
    else:
        disks.image(place, "mkfs.btrfs", "-q", "-M", mib=128)
        disks.quota(place, "1M")
    filler = f"[ -e go ] || head -c 32m /dev/zero > {place}/fill 2> /dev/null; true"
    offsets = farms.tasks(filler, "true", *["yes loud | head -n 20000; true"] * 2)
    before = f"export TMPDIR={place}"
    assert farms.run(2, "--threads", "1", *OPTIONS[2:], before=before).code == 1
    assert farms.progress() == offsets[:2]
    assert farms.left() == offsets[2:]
    (farms.directory / "go").touch()
    if kind == "quota":
        disks.quota(place, "none")
    (place / "fill").unlink()
    assert farms.run(2, *OPTIONS, before=before).code == 0
    assert sorted(farms.progress()) == offsets
    assert sorted(blocks(farms)) == [b"", b"", *[b"loud\n" * 20000] * 2]


def test_a_retry_prints_what_did_not_fit_as_soon_as_there_is_space(disks: Disks, farms: Farms, place: Path) -> None:
    disks.tmpfs(place, 256)
    filler = f"head -c 1m /dev/zero > {place}/fill 2> /dev/null; true"
    offsets = farms.tasks(filler, "yes loud | head -n 20000; true", f"rm {place}/fill")
    ended = farms.run(2, "--threads", "1", "--retries", "1", *OPTIONS[4:], before=f"export TMPDIR={place}")
    assert ended.code == 0, ended.err
    assert farms.progress() == [offsets[0], offsets[2], offsets[1]]
    assert blocks(farms) == [b"", b"", b"loud\n" * 20000]


def test_a_place_for_capture_that_vanishes_fails_the_tasks_that_need_it(farms: Farms, place: Path) -> None:
    offsets = farms.tasks(f"rmdir {place}; echo 1", *["yes loud | head -n 20000"] * 2)
    before = f"export TMPDIR={place}"
    ended = farms.run(2, "--threads", "1", *OPTIONS[2:], before=before)
    assert ended.code == 1, ended.err
    assert farms.progress() == offsets[:1]
    assert farms.left() == offsets[1:]
    place.mkdir()
    ended = farms.run(2, *OPTIONS, before=before)
    assert (ended.code, sorted(farms.progress())) == (0, offsets)
    assert sorted(blocks(farms)) == [b"1\n", *[b"loud\n" * 20000] * 2]


@pytest.mark.parametrize("kib", [100, 280])
def test_a_manager_without_space_for_a_long_output_stops_the_farm(
    disks: Disks, farms: Farms, place: Path, kib: int
) -> None:
    """Output comes in pieces of 256 KiB; of the last one, a part may fit."""
    disks.tmpfs(place, kib)
    printed = ["1\n", "loud\n" * 60_000]
    offsets = farms.tasks("echo 1", "yes loud | head -n 60000")
    before = f'[ "$PMI_RANK$OMPI_COMM_WORLD_RANK" != 0 ] || export TMPDIR={place}'
    assert_stopped(farms.run(2, "--threads", "1", *OPTIONS[2:], before=before), "No space left on device", "TMPDIR")
    assert farms.progress() == offsets[:1]
    disks.resize(place, 4096)
    assert_completes(farms, 2, offsets, printed)
