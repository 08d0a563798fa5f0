"""Hints for the log: what keeps a script from being started, and what was written for another shell."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_launcher import Launch, launch

from mpifarm.launcher.spawn import true_name
from mpifarm.launcher.why import Reasons

__all__ = ["launch"]  # a fixture

DASH = shutil.which("dash") or ""
ENVIRON = {b"PATH": b"/usr/bin:/bin"}

dash = pytest.mark.skipif(not DASH, reason="no dash")


def write(directory: Path, name: str, content: bytes, mode: int = 0o755) -> None:
    (directory / name).write_bytes(content)
    (directory / name).chmod(mode)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with files that no shell can start."""
    write(tmp_path, "dos.sh", b"#!/bin/sh\r\necho hi\r\n")
    write(tmp_path, "env.sh", b"#!/usr/bin/env python3\r\nprint(1)\r\n")
    write(tmp_path, "gone.sh", b"#! /no/such/perl -w\nprint 1;\n")
    write(tmp_path, "closed.sh", b"#!/bin/sh\necho hi\n", 0o644)
    write(tmp_path, "other", b"\x7fELF\x02\x01\x01\0\0\0/lib/nosuch/ld-linux.so.9\0rest")
    write(tmp_path, "good.sh", b"#!/bin/sh\nexit 127\n")
    write(tmp_path, "data", b"1 2 3\n", 0o644)
    monkeypatch.chdir(tmp_path)
    return tmp_path


OF_FILES = [
    (
        "./dos.sh 1",
        127,
        './dos.sh is there, but its first line ends in a carriage return: no "/bin/sh\\r": dos2unix ./dos.sh',
    ),
    (
        "cd . && './dos.sh' > out",
        127,
        './dos.sh is there, but its first line ends in a carriage return: no "/bin/sh\\r": dos2unix ./dos.sh',
    ),
    (
        "./env.sh",
        127,
        './env.sh is there, but its first line ends in a carriage return: no "/usr/bin/env python3\\r": dos2unix ./env.sh',
    ),
    ("time -p ./gone.sh", 127, "./gone.sh is there, but its interpreter /no/such/perl is not: mend its first line"),
    ("./closed.sh", 126, "./closed.sh is there, but is not executable: chmod +x ./closed.sh"),
    (
        "./other x",
        127,
        "./other is there, but /lib/nosuch/ld-linux.so.9, which loads it, is not: it was built for another system",
    ),
    ("./good.sh ./data data closed.sh", 127, ""),
    ("./good.sh closed.sh", 126, ""),
    ("./dos.sh", 1, ""),
    ("nosuch", 127, ""),
    (". ./data", 2, ""),
]


@pytest.mark.parametrize(("line", "code", "reason"), OF_FILES)
def test_what_keeps_a_file_from_being_started_is_told(files: Path, line: str, code: int, reason: str) -> None:
    expected = f"mpifarm: {reason}\n" if reason else ""
    assert Reasons(ENVIRON, b"/bin/bash").of(line.encode(), code).decode() == expected


def test_a_script_in_path_is_found_as_the_shell_finds_it(files: Path) -> None:
    environ = {b"PATH": os.fsencode(files) + b":/usr/bin:/bin"}
    assert b'dos.sh is there, but its first line ends in a carriage return: no "/bin/sh\\r"' in Reasons(
        environ, b"/bin/bash"
    ).of(b"dos.sh 1", 127)


BASH_ONLY = {
    "[[ -e x ]] && echo y": "does not know [[", "source ./env.sh": "does not know source",
    "((i++))": "does not know (( ))", "echo {1..3} | grep 2": "does not know {1..3}",
    "./run &> log": "takes &> for & >: in the background, done at once; write > FILE 2>&1",
    "cat <<< word": "does not know <<<", 'echo "${x:1:2}"': "does not know ${x:1...}",
    "exit $RANDOM": "does not know $RANDOM", "A=1 source x": "does not know source",
}  # fmt: skip
FOR_ANY_SHELL = [
    "exit 1", "[ a = b ]", "echo '[[ x ]]'", 'echo "{1..3}" "&>"', "./run > log 2>&1", "./run >&2", "exec 3>&-",
    "echo $((1 + 2))", "echo $(((1 + 2) * 3))", "echo ${x:-1} ${x#a} ${x%b} ${#x} ${x:+y}", "awk '{ print $1, $2 }'",
    "ls resource x", "echo source", "find . -exec rm {} ;", "x={}; echo $x", "a && (b)", "a ||&& b", "echo a <&3",
    "cat <<EOF",
    "./source x", "# [[ a ]]", "echo \\{1..3\\}", "echo '${a[0]}'", "grep -E 'a|&b'", "f() { :; }; f", "x=1; echo $x$y",
    "echo ${x:?}", "PATH=$PATH:{a} x", "./let 1", "let.sh 1",
]  # fmt: skip


@dash
@pytest.mark.parametrize("line", BASH_ONLY)
def test_what_is_bashs_alone_is_told_where_the_shell_is_dash(line: str) -> None:
    expected = f"mpifarm: /bin/dash is dash, which {BASH_ONLY[line]}: --shell {shutil.which('bash') or '/bin/bash'}\n"
    assert Reasons({b"PATH": os.fsencode(os.environ["PATH"])}, b"/bin/dash").of(line.encode(), 2).decode() == expected


@dash
@pytest.mark.parametrize("line", FOR_ANY_SHELL)
def test_what_any_shell_understands_is_no_reason(line: str) -> None:
    assert Reasons(ENVIRON, b"/bin/dash").of(line.encode(), 2) == b""


@dash
@pytest.mark.parametrize("code", [0, 128, 143, 255, -9])
def test_only_failures_by_an_exit_code_are_looked_at(code: int) -> None:
    assert Reasons(ENVIRON, b"/bin/dash").of(b"[[ a ]]", code) == b""


@pytest.mark.parametrize("line", BASH_ONLY)
def test_bash_is_told_nothing_of_that(line: str) -> None:
    assert Reasons(ENVIRON, b"/bin/bash").of(line.encode(), 2) == b""


@settings(max_examples=2 * settings().max_examples, deadline=None)
@given(st.text("ab/.-_=+:$'\"\\|&;<>(){}[]!#^ \t1\n\0é", max_size=30), st.sampled_from([1, 2, 126, 127]))
def test_any_line_can_be_looked_at(text: str, code: int) -> None:
    told = Reasons(ENVIRON, b"/bin/sh").of(text.encode(), code)
    assert told == b"" or (told.startswith(b"mpifarm: ") and told.endswith(b"\n"))


@pytest.mark.skipif(true_name(b"/bin/sh") != "dash", reason="/bin/sh is not dash")
def test_the_reason_stands_behind_what_the_shell_has_said(launch: Launch, files: Path) -> None:
    lines = [b"./dos.sh", b"./dos.sh > out", b"[[ a == a ]] && echo never", b"exit 3", b"[[ a ]]; true", b"./closed.sh"]
    ends = launch(environ={"PATH": os.environ["PATH"]}).run(*lines)
    said = [end.err.decode().splitlines()[-1:] for end in ends]
    bash = shutil.which("bash") or "/bin/bash"
    carriage_return = (
        'mpifarm: ./dos.sh is there, but its first line ends in a carriage return: no "/bin/sh\\r": dos2unix ./dos.sh'
    )
    assert said == [
        [carriage_return],
        [carriage_return],
        [f"mpifarm: /bin/sh is dash, which does not know [[: --shell {bash}"],
        [],
        ["sh: 1: [[: not found"],
        ["mpifarm: ./closed.sh is there, but is not executable: chmod +x ./closed.sh"],
    ]
    assert [end.status for end in ends] == [127, 127, 127, 3, 0, 126]


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_another_shell_runs_the_lines_and_has_its_own_name(launch: Launch) -> None:
    bash = shutil.which("bash") or ""
    lines = [b"echo {1..3}", b"[[ a == a ]] && echo $0", b"source /dev/null && echo ok", b"-x", b"ls /nosuch/x; exit 4"]
    lines.append(b": " + b"x" * 140_000 + b"; echo {1..3}")
    ends = launch(environ={"PATH": os.environ["PATH"]}, shell=bash).run(*lines)
    assert [end.out for end in ends] == [b"1 2 3\n", b"bash\n", b"ok\n", b"", b"", b"1 2 3\n"]
    assert [end.status for end in ends] == [0, 0, 0, 127, 4, 0]
    assert b"bash: line 1: -x: command not found" in ends[3].err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have other limits")
def test_a_shell_that_cannot_be_started_is_named(launch: Launch) -> None:
    (end,) = launch(shell="/no/such/shell").run(b"echo a; echo b")
    assert end.status == 126
    assert end.err.startswith(b"mpifarm: nid0001: cannot start /no/such/shell: [Errno 2] ")
