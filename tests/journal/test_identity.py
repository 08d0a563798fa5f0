"""What a run was told, in words and back; and when a path still means the same file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mpifarm.journal import identity
from mpifarm.journal.identity import Identity


@pytest.mark.parametrize(
    "path",
    ["/a/tasks.txt", "/a b/ta\tsks\n.txt", "/100%/%20/=", "/\udcff\u00e9/-", "/with crc=00000000/x", "/\x01\x7f"],
    ids=ascii,
)
def test_what_is_told_in_words_is_read_again(path: str) -> None:
    for run in (Identity(path, path, None, path), Identity(path, path, path, path)):
        words = run.words()
        text = " ".join(f"{name}={value}" for name, value in words.items())
        assert text.isascii()
        assert text.isprintable()
        assert dict(word.split("=", 1) for word in text.split(" ")) == words
        assert identity.of_words(words) == run


def test_words_that_lack_one_tell_nothing() -> None:
    words = Identity("/a", "/b", None).words()
    for name in words:
        assert identity.of_words({key: value for key, value in words.items() if key != name}) is None


def test_a_run_is_known_by_real_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "tasks.txt").touch()
    monkeypatch.chdir(tmp_path / "link")
    real = os.path.realpath(tmp_path / "real")
    run = identity.of_this_run("../link/tasks.txt", "./all.out", None)
    assert run == Identity(f"{real}/tasks.txt", real, f"{real}/all.out", "/bin/sh")
    assert identity.of_this_run("tasks.txt", None, "/bin/bash") == Identity(f"{real}/tasks.txt", real, None, "/bin/bash")


@pytest.mark.parametrize(
    ("then", "now", "same"),
    [
        (("/p/tasks.txt", "/p"), ("/p/tasks.txt", "/p"), True),
        (("/p/tasks.txt", "/p"), ("/q/tasks.txt", "/q"), True),  # moved or copied as a whole
        (("/p/lists/tasks.txt", "/p/run"), ("/q/lists/tasks.txt", "/q/run"), True),
        (("/lists/tasks.txt", "/p"), ("/lists/tasks.txt", "/q"), True),
        (("/p/one/tasks.txt", "/p"), ("/p/two/tasks.txt", "/p"), False),
        (("/p/one/tasks.txt", "/p"), ("/q/two/tasks.txt", "/q"), False),
        (("/p/tasks.txt", "/p"), ("/p/tasks.txt", "/q"), True),
        (("/p/tasks.txt", "/p"), ("/q/tasks.txt", "/p"), False),
    ],
)
def test_a_path_is_the_same_absolutely_or_seen_from_the_directory(
    then: tuple[str, str], now: tuple[str, str], same: bool
) -> None:
    assert Identity(*then, None).same_list(Identity(*now, None)) is same
    assert Identity("/l", then[1], then[0]).same_output(Identity("/l", now[1], now[0])) is same


def test_a_file_with_two_names_is_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "one").touch()
    os.link(tmp_path / "one", tmp_path / "two")
    here = str(tmp_path)
    assert Identity(f"{here}/one", here, None).same_list(Identity(f"{here}/two", here, None))


def test_no_output_is_the_same_as_none_only() -> None:
    none, some = Identity("/l", "/p", None), Identity("/l", "/p", "/p/all.out")
    assert none.same_output(none)
    assert not none.same_output(some)
    assert not some.same_output(none)
