"""What may be given as --output, beside the files of a list."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fakes import AT_ONCE

from mpifarm import FarmError
from mpifarm.journal.acquisition import places
from mpifarm.journal.names import Names, check_files, check_length, check_output, check_read
from mpifarm.journal.opening import open_run
from mpifarm.journal.tails import Extent
from mpifarm.settings import Config

LIST = Path("tasks.txt")
NAMES = Names(Path("tasks.txt.tfin"))
OUTPUT = Path("output")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["tasks.txt", "./tasks.txt", "link", "hard", "tasks.txt.tfin", *map(str, NAMES.all()[1:])])
def test_output_is_none_of_the_farms_own_files(name: str) -> None:
    LIST.write_bytes(b"echo 1\n")
    Path("link").symlink_to(LIST)
    os.link(LIST, "hard")
    with pytest.raises(FarmError, match="task list or one of"):
        check_output(Path(name), LIST, NAMES)


@pytest.mark.parametrize(
    "name",
    [f"{path}.{end}" for path in NAMES.all() for end in ("new", "due")]
    + [str(n) for pair in places(NAMES.lock) for n in pair],
)
def test_nor_a_name_that_the_farm_takes_away(name: str) -> None:
    with pytest.raises(FarmError, match="task list or one of"):
        check_output(Path(name), LIST, NAMES)


@pytest.mark.parametrize("name", ["fifo", ".", "none/output", "tasks.txt/output", "x" * 300, "loop"])
def test_output_is_a_file_that_can_be_written(name: str) -> None:
    LIST.write_bytes(b"echo 1\n")
    os.mkfifo("fifo")
    Path("loop").symlink_to("loop")
    with pytest.raises(FarmError, match="--output"):
        check_output(Path(name), LIST, NAMES)


def test_an_output_file_has_a_size() -> None:
    LIST.write_bytes(b"echo 1\n")
    assert check_output(OUTPUT, LIST, NAMES) == Extent(0, 0, exists=False)
    OUTPUT.write_bytes(b"12345" + bytes(100_000))
    assert check_output(OUTPUT, LIST, NAMES) == Extent(100_005, 5)


def test_an_output_whose_lock_would_have_too_long_a_name_is_refused() -> None:
    name = "x" * 250
    with pytest.raises(FarmError, match="6 bytes too long for that of its lock"):
        check_output(Path(name), LIST, NAMES)
    Path("link").symlink_to(name)
    with pytest.raises(FarmError, match=r"--output link, a link to xxx.*: the name is 6 bytes too long.*: give a shorter"):
        check_output(Path("link"), LIST, NAMES)
    with pytest.raises(FarmError, match=r"cannot use --output xxx.*xxx: File name too long: give a shorter one"):
        check_output(Path("x" * 256), LIST, NAMES)


def deep(length: int) -> Path:
    """Make a directory of which the path has so many bytes, and go there; return its path."""
    path = Path.cwd()
    while (left := length - len(str(path)) - 1) > 0:
        path /= "d" * (left if left <= 200 else min(200, left - 2))
        path.mkdir()
    os.chdir(path)
    assert len(str(path)) == length
    return path


@pytest.mark.parametrize(("directory", "over"), [(4063, 0), (4064, 1), (4080, 17)])
def test_a_list_in_a_directory_with_too_long_a_path_is_refused_and_nothing_is_left(
    tmp_path: Path, directory: int, over: int
) -> None:
    """/fastrecovery.tasks.txt.tfin.new are 32 more, and 4095 are allowed."""
    there = deep(directory)
    LIST.write_bytes(b"echo 1\n")
    wrong = f"^tasks.txt: .* {over} bytes? too long: (start in|put the list into) a directory that has a shorter path$"
    for directory_of_farm in (there, tmp_path):
        os.chdir(directory_of_farm)
        if not over:
            assert open_run(Config(str(there / LIST)), AT_ONCE).journal
            break
        with pytest.raises(FarmError, match=wrong):
            open_run(Config(str(there / LIST)), AT_ONCE)
        assert [path.name for path in Path().iterdir() if path.is_file()] == ["tasks.txt"] * (directory_of_farm == there)


@pytest.mark.parametrize(("directory", "over"), [(4077, 0), (4078, 1), (4080, 3)])
def test_an_output_whose_lock_would_have_too_long_a_path_is_refused(tmp_path: Path, directory: int, over: int) -> None:
    """/lock.output.3.old are 18 more."""
    there = deep(directory)
    os.chdir(tmp_path)
    if not over:
        check_output(there / "output", LIST, NAMES)
        return
    with pytest.raises(FarmError, match=f"{over} bytes? too long for that of its lock beside it: give a shorter one"):
        check_output(there / "output", LIST, NAMES)


@pytest.mark.parametrize(("length", "over"), [(233, 0), (234, 1), (244, 11), (255, 22)])
@pytest.mark.parametrize("letter", ["x", "\u00e4"])
def test_a_list_with_too_long_a_name_is_refused_with_the_reason_and_nothing_is_left(
    length: int, over: int, letter: str
) -> None:
    name = (letter * length).encode()[:length].decode(errors="ignore").ljust(length, "y")[:length]
    name = name if len(name.encode()) == length else "x" * length
    Path(name).write_bytes(b"echo 1\n")
    if not over:
        check_length(Path(name), Names(Path(f"{name}.tfin")))
        assert open_run(Config(name)).journal
        return
    with pytest.raises(FarmError, match=f"the name is {over} bytes? too long .*: rename the list"):
        open_run(Config(name))
    assert os.listdir() == [name]


def test_a_file_that_cannot_be_written_is_told_with_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    NAMES.tfin.write_bytes(b"")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FarmError, match=r"tasks\.txt\.tfin cannot be written: chmod u\+w it, or remove it"):
        check_files(NAMES)
    monkeypatch.setattr(os, "geteuid", lambda: 2**31 - 5)
    owner = NAMES.tfin.owner()
    with pytest.raises(FarmError, match=rf"tasks\.txt\.tfin is a file of {owner}'s, and not yours.*let {owner} go on"):
        check_files(NAMES)


@pytest.mark.parametrize("kind", ["tfin", "progress", "fastrecovery", "log", "joblog", "done", "lock", "intent", "status"])
def test_who_reads_waits_for_no_fifo(kind: str, tmp_path: Path) -> None:
    names = Names(tmp_path / "tasks.txt.tfin")
    check_read(names)
    names.of(kind).touch()
    check_read(names)
    names.of(kind).unlink()
    os.mkfifo(names.of(kind))
    with pytest.raises(FarmError, match="is not a regular file"):
        check_read(names)
