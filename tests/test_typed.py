"""How a process was started, to be typed once more: it runs as it is printed, or is not printed."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mpifarm.settings import Typed
from mpifarm.typed import typed

PYTHON = ["python3", "-m", "mpifarm"]


def of(*arguments: str, program: list[str] = PYTHON, threads: str = "", is_alone: bool = True) -> Typed:
    return typed([*program, *arguments], len(arguments), threads, is_alone)


@pytest.mark.parametrize(
    ("arguments", "line", "once"),
    [
        (("tasks.txt",), "tasks.txt", ""),
        (("-j", "4", "a b.txt"), "-j 4 'a b.txt'", ""),
        (("--rerun", "tasks.txt"), "tasks.txt", "--rerun"),
        (("--again", "3,5", "-j4", "tasks.txt"), "-j4 tasks.txt", "--again"),
        (("--again=3,5", "tasks.txt"), "tasks.txt", "--again"),
        (("--again=3", "--again", "4", "tasks.txt"), "tasks.txt", "--again"),
        (("-j4", "--", "--rerun"), "-j4 -- --rerun", ""),
        (("--on-end", "echo $MPIFARM_DONE; ./next", "tasks.txt"), "--on-end 'echo $MPIFARM_DONE; ./next' tasks.txt", ""),
        (("--edited", "tasks.txt"), "--edited tasks.txt", ""),  # where nothing was edited it does nothing
    ],
)
def test_a_line_is_repeated_without_what_was_meant_once(arguments: tuple[str, ...], line: str, once: str) -> None:
    assert of(*arguments) == Typed("python3 -m mpifarm", f"python3 -m mpifarm {line}", once)


def test_what_the_environment_says_of_threads_is_part_of_the_line() -> None:
    assert of("l", threads="64").line == "THREADS=64 python3 -m mpifarm l"


def test_where_a_launcher_stands_in_front_of_it_the_line_is_not_known() -> None:
    assert of("l", "--rerun", is_alone=False) == Typed("python3 -m mpifarm", "", "--rerun")


@pytest.mark.parametrize("argument", ["a\nb", "\x1b[2J", "\udcff"], ids=repr)
def test_what_cannot_be_shown_is_not_printed(argument: str) -> None:
    assert of(argument) == Typed("python3 -m mpifarm")
    assert typed([f"/{argument}/python", "-m", "mpifarm"], 0, "", is_alone=True).program == "python -m mpifarm"


def test_a_program_that_is_on_the_path_is_called_by_its_name_and_another_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where in ("on the path", "elsewhere"):
        (tmp_path / where).mkdir()
        (tmp_path / where / "mpifarm").write_text("#!/bin/sh\n")
        (tmp_path / where / "mpifarm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "on the path"))
    assert of(program=["/usr/bin/python3", str(tmp_path / "on the path" / "mpifarm")]).program == "mpifarm"
    script = str(tmp_path / "elsewhere" / "mpifarm")
    assert of(program=["/usr/bin/python3", script]).program == shlex.quote(script)
    assert of(program=["/usr/bin/python3", script + ".py"]).program == shlex.join(["/usr/bin/python3", script + ".py"])


@pytest.mark.parametrize("options", [[], ["-P"], ["-X", "utf8"]], ids=str)
def test_what_an_interpreter_was_started_with_starts_it_once_more(tmp_path: Path, options: list[str]) -> None:
    if options == ["-P"] and sys.version_info < (3, 11):
        pytest.skip("python -P is of 3.11")
    (tmp_path / "told.py").write_text(
        "import sys\nfrom mpifarm.typed import typed\n"
        "print(typed(sys.orig_argv, len(sys.argv) - 1, '', is_alone=True).line)\n"
    )
    root = Path(__file__).parents[1]
    environ = {"PYTHONPATH": f"{tmp_path}:{root}", "PYTHONDONTWRITEBYTECODE": "1"}
    first = [sys.executable, *options, "-m", "told", "a b", "--rerun"]
    line = subprocess.run(first, env=environ, capture_output=True, text=True, check=True).stdout
    again = subprocess.run(["sh", "-c", line], env=environ, capture_output=True, text=True, check=True).stdout
    assert again == line
    assert shlex.split(line)[-1] == "a b"
