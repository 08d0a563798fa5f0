"""Where a template has its values from: what goes together on a command line, and what is answered where it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpifarm import FarmError, arguments, options, sources

OPTIONS = options.parser().options
EXAMPLE = "python -m mpifarm --expand './run {1} {2}' ::: a b ::: 1 2 > tasks.txt"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in a directory with some files."""
    for name in ("tasks.txt", "args.txt", "b c.txt"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)


def check(*words: str) -> None:
    before, values = sources.split(words)
    arguments.check(before, OPTIONS, values)


def complaint(*words: str) -> str:
    with pytest.raises(FarmError) as caught:
        check(*words)
    return str(caught.value)


@pytest.mark.parametrize("sign", [":::", "::::", ":::+", "::::+"])
def test_all_from_the_first_sign_on_are_values(sign: str) -> None:
    words = ["--expand", "x {}", sign, "-j", "--nonsense", ":::", "--help"]
    assert sources.split(words) == (words[:2], words[2:])
    assert sources.split(words[:2]) == (words[:2], [])


@pytest.mark.parametrize(
    "words",
    [
        ("--expand", "./run {}", ":::", "a"),
        ("--expand=./run {}", ":::", "-j", "--nonsense", "--version"),
        ("--expand", "./run {}", "--colsep", ",", "--header", "--quiet", "--no-mpi", "::::", "args.txt"),
        ("--expand", "./run {}", "--params", "runs.csv"),
        ("--expand", "./run {}", "args.txt"),
        ("args.txt", "--expand", "./run {}", "--header"),
        ("--expand", "./run {}", "1-1000"),
        ("--each", "./run {}", "-j", "4", "args.txt"),
    ],
)
def test_what_goes_together(words: tuple[str, ...]) -> None:
    check(*words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--expand", "./run {}"),
            f"--expand needs values: {EXAMPLE}; or :::: FILE, --params FILE.csv, or a FILE or a range, 1-1000, alone",
        ),
        (
            ("--each", "./run {}", "-j", "4", "--colsep", ",", "--retries=0", ":::", "a", "b c", "-x"),
            (
                "a run goes by the name of its list, and ::: has none: write the list, then run it: python -m mpifarm"
                " --expand './run {}' --colsep , ::: a 'b c' -x > tasks.txt && python -m mpifarm -j 4 --retries=0 tasks.txt"
            ),
        ),
        (
            ("--each=./run {}", "::::", "args.txt", ":::+", "1"),
            (
                "a run goes by the name of its list, and :::: has none: write the list, then run it: python -m mpifarm"
                " --expand './run {}' :::: args.txt :::+ 1 > tasks.txt && python -m mpifarm tasks.txt"
            ),
        ),
        (
            ("-j", "2", "./run", "{}", ":::", "a"),
            (
                "a run goes by the name of its list, and ::: has none: write the list, then run it: python -m mpifarm"
                " --expand './run {}' ::: a > tasks.txt && python -m mpifarm -j 2 tasks.txt"
            ),
        ),
        ((":::", "a"), f"::: gives values to a template: {EXAMPLE}"),
        (("-j", "2", "::::", "a"), f":::: gives values to a template: {EXAMPLE}"),
        (
            ("--expand", "./run", "{}", ":::", "it's"),
            (
                "what is {}? The values are those of :::: leave it out, or is it part of the template? Then quote that:"
                """ python -m mpifarm --expand './run {}' ::: 'it'"'"'s'"""
            ),
        ),
        (
            ("--expand", "./run {}", "args.txt", "--params", "a.csv"),
            "what is args.txt? The values are those of --params: leave it out",
        ),
        (
            ("--expand", "./run {}", "args.txt", "b c.txt"),
            (
                "one file of values, not 2: for all combinations of their lines python -m mpifarm --expand './run {}'"
                " :::: args.txt :::: 'b c.txt'"
            ),
        ),
        (
            ("--expand", "./run {}", "--params", "a.csv", ":::", "a"),
            "--params is one list of values, and ::: gives others: leave one of them out",
        ),
        (
            ("--expand", "x", "--each", "y", "args.txt"),
            "--each runs what --expand prints, and runs nothing: give one of them",
        ),
        (
            ("--expand", "./run {}", "--timeout", "1h", "args.txt"),
            (
                "--timeout is not for --expand, which prints a list and runs nothing: give it to the start of that list,"
                " python -m mpifarm --timeout 1h tasks.txt"
            ),
        ),
        (
            ("--expand", "./run {}", "--status", ":::", "a"),
            (
                "--status is not for --expand, which prints a list and runs nothing: give it to the start of that list,"
                " python -m mpifarm --status tasks.txt"
            ),
        ),
        (
            ("--params", "b c.csv"),
            "--params has the values of a template: python -m mpifarm --expand './run {1}' --params 'b c.csv' > tasks.txt",
        ),
        (
            ("--each", "x", "--params", "a.csv"),
            "--params is for --expand; with --each the file is the list: --each TEMPLATE --header a.csv",
        ),
        (("--expand", "./run {}", "--eta", ":::", "a"), "--eta is no option here, but one of GNU Parallel, HyperQueue"),
        (("--expand", ":::", "a"), "--expand needs a value"),
    ],
)
def test_what_does_not_go_together_is_answered(words: tuple[str, ...], said: str) -> None:
    assert complaint(*words).startswith(said)
