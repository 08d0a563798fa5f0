"""Which program a line calls first, and whether it is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpifarm.tasks.calls import Calls, first_word


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"./fit 17", b"./fit"),
        (b"  X=1 Y=a/b ./fit; ./other", b"./fit"),
        (b"fit", b"fit"),
        (b"fit>out", b"fit"),
        (b"/bin/a|b", b"/bin/a"),
        (b"'./my fit' 1", None),
        (b"$FIT 1", None),
        (b"./fit$N 1", None),
        (b"(./fit)", None),
        (b"X='a b' ./fit", None),
        (b"PATH=/opt/bin fit", None),
        (b"f() { a; }", None),
        (b"X=1", None),
        (b"a*", None),
    ],
)
def test_a_first_word_that_is_plain(line: bytes, word: bytes | None) -> None:
    assert first_word(line) == word


def test_what_is_not_there_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bin").mkdir()
    for name, mode in (("run", 0o755), ("plain", 0o644), ("bin/tool", 0o755)):
        Path(name).write_text("#!/bin/sh\n")
        Path(name).chmod(mode)
    calls = Calls(str(tmp_path / "bin"), {"BASH_FUNC_module%%", "HOME"}, by_the_shell=True)
    for word in (b"./run", b"tool", b"cd", b"[", b"module", b"./bin/tool"):
        assert calls.missing(word) is None
    assert calls.missing(b"./fit") == "does not exist, seen from the working directory"
    assert calls.missing(b"./fit") is None
    assert calls.missing(b"/no/fit") == "does not exist"
    assert calls.missing(b"./bin") == "is a directory"
    assert calls.missing(b"run") == "is not in PATH"
    assert calls.missing(b"./plain") == "may not be executed"


def test_of_an_unknown_shell_only_words_with_a_slash_are_looked_for() -> None:
    calls = Calls("", (), by_the_shell=False)
    assert calls.missing(b"no-such-program") is None
    assert calls.missing(b"./no-such-program")
