"""Tasks by number and by line: all that is named is found, whatever is not there is refused and named."""

from __future__ import annotations

import os
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lists import CHUNKS, CONTENTS, LIST, lines_of, scanned, tasks_of

from mpifarm import FarmError
from mpifarm.tasks import which

LINES = Path("lines.txt")
CONTENT = b"# head\necho 1\n\necho 3\r\n  # c\n\xef\xbb\xbfecho 5\necho 1\n echo 7\n"  # numbers 1 to 7
BOM = b"\xef\xbb\xbf"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def selected(word: str, content: bytes = CONTENT, chunk_bytes: int = 8) -> list[int]:
    """Return the numbers of the tasks that *word* names."""
    kept, scan = scanned(content, chunk_bytes)
    found = which.select(word, "--again", LIST, scan)
    del kept  # the scan reads by its descriptor
    assert set(map(tuple, found.tolist())) <= set(tasks_of(content))
    return [int(seq) for seq in found["seq"]]


@pytest.mark.parametrize(
    ("word", "numbers"),
    [
        ("1", [1]),
        ("7,1", [1, 7]),
        (" 1 , 6 - 7 ", [1, 6, 7]),
        ("5-7,6-7,5", [5, 6, 7]),
        ("1-7", [1, 3, 5, 6, 7]),
        ("01", [1]),
        ("2-3", [3]),
    ],
)
def test_numbers_and_ranges_name_the_tasks_in_them(word: str, numbers: list[int]) -> None:
    assert selected(word) == numbers


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("8", r"--again: 8 is not in the list: tasks\.txt\.tfin has 7 lines, numbered from 1"),
        ("3,6-8", "6-8 is not in the list"),
        ("9" * 18, "is not in the list"),
        ("0", "there is no task 0: the first line is 1"),
        ("0-3", "there is no task 0"),
        ("2", r"--again: 2 names no task: that line of tasks\.txt\.tfin is blank or a comment"),
        ("1,4", "4 names no task"),
        ("4-4", "4-4 names no task"),
        ("5-3", "5-3 is the wrong way round: write 3-5"),
        ("3,", "'' is neither a number nor a range: write 3,17-20"),
        ("3,,5", "'' is neither"),
        ("-3", "'-3' is neither"),
        ("3-", "'3-' is neither"),
        ("1-2-3", "'1-2-3' is neither"),
        ("1 3", "'1 3' is neither"),
        ("9" * 19, "is neither a number"),
        ("none.txt", r"--again none\.txt is neither a list of numbers, such as 3,17-20, nor a file"),
        ("٣", "is neither a list of numbers"),
        (".", "cannot read it: Is a directory"),
    ],
)
def test_what_names_nothing_is_refused_and_named(word: str, why: str) -> None:
    with pytest.raises(FarmError, match=why):
        selected(word)


def test_a_range_of_nothing_but_comments_is_refused() -> None:
    with pytest.raises(
        FarmError, match=r"2-3 names no task: each of these lines of tasks\.txt\.tfin is blank or a comment"
    ):
        selected("2-3", b"echo 1\n\n # c\necho 4\n")


@pytest.mark.parametrize("name", ["3", "3,5"])
def test_numbers_that_are_a_file_as_well_are_refused_and_both_can_be_meant(name: str) -> None:
    Path(name).write_bytes(b"echo 1\n")
    with pytest.raises(FarmError, match=rf"write --again 0{name} for the numbers, --again \./{name} for the file"):
        selected(name)
    assert selected(f"0{name}")[0] == 3
    assert selected(f"./{name}") == [1, 6]


@pytest.mark.parametrize(
    ("lines", "numbers"),
    [
        (b"echo 1\n", [1, 6]),  # all that are equal
        (b"echo 3", [3]),
        (b"# c\n\n  # c\n \r\necho 5\r\n", [5]),
        (BOM + b"echo 3\r\n echo 7", [3, 7]),
        (b"echo 1\necho 1\n", [1, 6]),
    ],
)
def test_lines_name_every_task_that_has_them(lines: bytes, numbers: list[int]) -> None:
    LINES.write_bytes(lines)
    assert selected("lines.txt") == numbers


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (b"# c\necho 1\necho 2\n", r"lines\.txt:3: this line is not in tasks\.txt: echo 2"),
        (
            b"echo 2\necho 4\necho 6\n",
            r"lines\.txt:1: this line is not in tasks\.txt \(nor are 2 more of that file\): echo 2",
        ),
        (b"echo 7\n", "this line is not in"),  # it has a blank in front
        (b"echo 1 \n", "this line is not in"),
        (b"", "no line of it is a command"),
        (b"# c\n\n \t\n", "no line of it is a command"),
    ],
)
def test_a_line_that_is_not_in_the_list_is_refused_and_named(lines: bytes, why: str) -> None:
    LINES.write_bytes(lines)
    with pytest.raises(FarmError, match=why):
        selected("lines.txt")


def test_the_list_itself_names_all_of_it() -> None:
    assert selected("tasks.txt") == [1, 3, 5, 6, 7]


def test_lines_may_come_from_a_pipe() -> None:
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_bytes(b"echo 3\n"))
    writer.start()
    assert selected("pipe") == [3]
    writer.join()


@given(CONTENTS, CHUNKS, st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), min_size=1, max_size=4))
def test_any_numbers_of_any_list(content: bytes, chunk_bytes: int, ranges: list[tuple[int, int]]) -> None:
    word = ",".join(f"{first}-{first + more}" if more else f"{first}" for first, more in ranges)
    tasks = {seq for _, _, seq in tasks_of(content)}
    named = [set(range(first, first + more + 1)) for first, more in ranges]
    there = max(map(max, named)) <= len(lines_of(content))
    if there and all(tasks & one for one in named):
        assert selected(word, content, chunk_bytes) == sorted(tasks & set().union(*named))
    else:
        with pytest.raises(FarmError):
            selected(word, content, chunk_bytes)


@given(CONTENTS, CHUNKS, st.integers(0, 3))
def test_any_lines_of_any_list(content: bytes, chunk_bytes: int, count: int) -> None:
    texts = dict(enumerate((line for _, line in lines_of(content)), start=1))
    tasks = {seq: texts[seq].removesuffix(b"\r").removeprefix(BOM) for _, _, seq in tasks_of(content)}
    chosen = list(tasks.values())[:count]
    LINES.write_bytes(b"\n".join(chosen))
    if chosen:
        wanted = [seq for seq, command in tasks.items() if command in chosen]
        assert selected("lines.txt", content, chunk_bytes) == wanted


@pytest.mark.long
def test_memory_grows_with_what_is_named_and_not_with_the_list() -> None:
    content = b"".join(b"./run %d\n" % number for number in range(1_000_000))
    kept, scan = scanned(content)
    LINES.write_bytes(b"./run 7\n./run 999999\n")
    tracemalloc.start()
    by_number = which.select("3,900000-900009", "--again", LIST, scan)
    by_line = which.select("lines.txt", "--again", LIST, scan)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    assert by_number["seq"].tolist() == [3, *range(900_000, 900_010)]
    assert by_line["seq"].tolist() == [8, 1_000_000]
    assert peak < 10 * 2**20
