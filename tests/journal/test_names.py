"""What may be given as --output, beside the files of a list."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mpifarm import FarmError
from mpifarm.journal.names import Names, check_output
from mpifarm.journal.tails import Extent

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
