"""What stands on the command line is looked at before argparse reads it: who is blamed, and for what."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpifarm import FarmError, options
from mpifarm.arguments import check

OPTIONS = options.parser().options


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in a directory with some lists."""
    for name in ("tasks.txt", "b.txt", "-list.txt"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)


def complaint(line: str) -> str:
    with pytest.raises(FarmError) as caught:
        check(line.split(), OPTIONS)
    return str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "tasks.txt",
        "nosuch.txt",
        "-j4 tasks.txt",
        "-j 4 tasks.txt",
        "tasks.txt -j 4 --quiet",
        "--threads=4 tasks.txt",
        "--threads -1 tasks.txt",  # argparse says what is wrong with it
        "--output - tasks.txt",
        "--timeout 1h --retries 0 -- tasks.txt",
        "-- -list.txt",
        "./-list.txt",
        "--help",
        "--nonsense x --version",
        "--output a.txt --walltime 0:30:00 tasks.txt --rerun",
    ],
)
def test_what_argparse_understands_is_left_to_it(line: str) -> None:
    check(line.split(), OPTIONS)


@pytest.mark.parametrize(
    "line",
    [
        "--halt now tasks.txt",
        "--halt=now tasks.txt",
        "tasks.txt --halt now",
        "-halt now tasks.txt",
    ],
)
def test_another_programs_option_is_answered_and_no_list_blamed(line: str) -> None:
    assert complaint(line).startswith("--halt is no option here, but one of GNU Parallel and others: ")
    assert "tasks.txt" not in complaint(line)


@pytest.mark.parametrize(
    "line",
    ["--joblog x.log tasks.txt", "--joblog=x.log tasks.txt", "tasks.txt --joblog x.log", "-j 2 --joblog x.log tasks.txt"],
)
def test_a_joblog_that_is_given_a_file_is_told_that_there_is_one_always_and_how_to_print_it(line: str) -> None:
    assert complaint(line).startswith(
        "--joblog takes no file, the joblog of a run is always written, to joblog.tasks.txt.tfin"
    )
    assert "--joblog tasks.txt, alone, prints it" in complaint(line)


def test_all_options_of_another_program_are_answered_at_once_and_each_once() -> None:
    told = complaint("--eta -k --halt 2 --eta --nonsense tasks.txt")
    assert [told.count(f"{option} is no option here") for option in ("--eta", "-k", "--halt")] == [1, 1, 1]
    assert "there is no option --nonsense" in told


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("--thread", "--threads"),
        ("-threads", "--threads"),
        ("--retrys", "--retries"),
        ("--time-out", "--timeout"),
        ("--wall-time", "--walltime"),
        ("--out", "--output"),
        ("--max-failures", "--max-fails"),
        ("--killafter=3", "--kill-after"),
        ("--no-mp", "--no-mpi"),
    ],
)
def test_an_option_that_is_nobodys_is_named_and_the_nearest_that_there_are(word: str, near: str) -> None:
    told = complaint(f"{word} 3 tasks.txt")
    assert told.startswith(f"there is no option {word.partition('=')[0]}: is {near}")
    assert "tasks.txt" not in told


def test_an_option_that_is_near_to_nothing_is_named_alone() -> None:
    assert complaint("--zzz tasks.txt") == "there is no option --zzz (see: python -m mpifarm --help)"
    assert complaint("-1 tasks.txt").startswith("there is no option -1 (")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ["no task list", "one a line"]),
        ("--quiet", ["no task list"]),
        ("-j tasks.txt", ["no task list", "tasks.txt is the value of -j", "-j VALUE tasks.txt"]),
        ("--output tasks.txt", ["tasks.txt is the value of --output"]),
        ("--timeout", ["--timeout needs a value"]),
        ("--timeout --quiet tasks.txt", ["--timeout needs a value"]),
        ("--quiet=yes tasks.txt", ["--quiet takes no value"]),
        (
            "tasks.txt b.txt",
            ["one list a start", "mpifarm tasks.txt && python -m mpifarm b.txt", "cat tasks.txt b.txt > all"],
        ),
        ("tasks.txt -- b.txt", ["one list a start"]),
        ("run tasks.txt", ["what is run?", "tasks.txt"]),
        ("tasks.txt nosuch more", ["what is nosuch, more?"]),
        ("nosuch.txt nosuch2.txt", ["one list a start"]),
        ("-list.txt", ["-list.txt is taken for an option", "./-list.txt"]),
        ("-", ["- is no task list", "file"]),
    ],
)
def test_there_is_one_list_or_it_is_said_what_to_do(line: str, words: list[str]) -> None:
    told = complaint(line)
    assert [word for word in words if word not in told] == []
    assert "\n" not in told


def test_a_list_that_is_called_as_standard_input_is_a_list() -> None:
    Path("-").touch()
    check(["-"], OPTIONS)
