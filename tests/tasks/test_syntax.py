"""What a shell calls wrong: the same lines, whether it is asked about each of them or about many at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shells import SHELLS, is_valid

from mpifarm.tasks import syntax
from mpifarm.tasks.syntax import Syntax

PIECES = [
    b"a",
    b" ",
    b"; ",
    b"'",
    b'"',
    b"`",
    b"(",
    b")",
    b"$(",
    b"$((",
    b"))",
    b"${x",
    b"}",
    b"{ ",
    b"if ",
    b"then ",
    b"fi",
]
PIECES += [b"for x in ", b"do ", b"done", b"&&", b"| ", b"> ", b"<<E", b"#", b"\\", b"case ", b"esac", b"! ", b"&"]
LINES = st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map(b"".join), min_size=1, max_size=8)


def wrong(lines: list[bytes], shell: str) -> set[int]:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"no {shell} here")
    return {number for number, _ in Syntax(path).wrong(list(enumerate(lines)))}


@pytest.mark.parametrize("dash", [True, False])
@given(lines=LINES)
@settings(max_examples=60, deadline=None)
def test_no_line_is_called_wrong_that_the_shell_takes(dash: bool, lines: list[bytes]) -> None:
    for number in wrong(lines, SHELLS[dash]):
        assert not is_valid(lines[number], dash)


@pytest.mark.parametrize("dash", [True, False])
def test_lines_do_not_mend_each_other(dash: bool) -> None:
    lines = [
        b"echo 'a",
        b"echo b'",
        b'echo "a',
        b'echo b"',
        b"(a",
        b"b)",
        b"if a; then b",
        b"fi",
        b"echo `a",
        b"b`",
        b"a &&",
    ]
    lines += [b"x=$(a", b"b)", b"for i in 1; do a", b"done", b"{ a", b"}", b"a ); ( b", b"a; }; { b"]
    mixed = [line for bad in lines for line in (b"echo fine", bad, b"a; b | c", b"case x in x) y;; esac", b"f() { x; }")]
    found = wrong(mixed, SHELLS[dash])
    assert found == {5 * place + 1 for place in range(len(lines))}


def test_what_is_wrong_is_said_in_the_words_of_the_shell_and_not_more_often_than_is_read(tmp_path: Path) -> None:
    shell = Syntax(shutil.which("dash") or pytest.skip("no dash here"))
    ((number, said),) = shell.wrong([(1, b"echo a"), (17, b"echo )")])
    assert (number, said) == (17, 'Syntax error: ")" unexpected')
    assert len(list(shell.wrong([(number, b"echo )") for number in range(500)]))) == syntax.MOST - 1
    assert shell.enough
    assert list(shell.wrong([(1, b"echo )")])) == []


def test_nothing_is_run_and_no_shell_is_asked_that_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("env.sh").write_text("touch ran\n")
    monkeypatch.setenv("BASH_ENV", str(tmp_path / "env.sh"))
    for shell in SHELLS.values():
        assert wrong(
            [b"touch ran", b"set +n; touch ran", b"eval 'touch ran'", b"x=$(touch ran)", b"touch ran )"], shell
        ) == {4}
    perl = tmp_path / "perl"
    perl.write_text("#!/bin/sh\ntouch ran\n")
    perl.chmod(0o755)
    other = Syntax(str(perl))
    assert not other.asks
    assert list(other.wrong([(1, b"echo )")])) == []
    assert not Path("ran").exists()
