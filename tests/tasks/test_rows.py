"""Where rows come from: files, words, combinations."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from mpifarm import FarmError
from mpifarm.settings import Each
from mpifarm.tasks import combinations
from mpifarm.tasks.combinations import Combinations
from mpifarm.tasks.rows import CHUNK_BYTES, Lines

PLAIN = Each("x {}")
NAMED = Each("x {}", header=True)


def rows_of(words: str, each: Each = PLAIN) -> list[bytes]:
    return b"".join(Combinations(words.split()).chunks(each)).replace(b"\0", b" ").split(b"\n")[:-1]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", b""), (b"a", b"a\n"), (b"a\n\nb\n", b"a\n\nb\n"), (b"a\r\nb\r\n\r\nc\r", b"a\nb\n\nc\n"),
        (b"a\r\r\n", b"a\r\n"),
        (b"a\rb\n", b"a\rb\n"), (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", b"a\n\xef\xbb\xbfb\n"), (b"\xef\xbb\xbf", b""),
        (b"\xff\n", b"\xff\n"), (b"a\r\r", b"a\r\n"), (b" a \n", b" a \n"),
    ],
)  # fmt: skip
def test_the_lines_of_a_file(content: bytes, lines: bytes, tmp_path: Path) -> None:
    (tmp_path / "args.txt").write_bytes(content)
    source = Lines(str(tmp_path / "args.txt"))
    assert [b"".join(source.chunks(PLAIN)) for _ in range(2)] == [lines] * 2


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_no_line_is_cut_at_the_end_of_a_chunk(end: bytes, tmp_path: Path) -> None:
    lines = [b"%d" % number for number in range(CHUNK_BYTES // 2)]
    (tmp_path / "args.txt").write_bytes(end.join([*lines, b""]))
    chunks = list(Lines(str(tmp_path / "args.txt")).chunks(PLAIN))
    assert len(chunks) > 2 and all(chunk.endswith(b"\n") for chunk in chunks)
    assert b"".join(chunks).split(b"\n")[:-1] == lines


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a\nb\0\n", "args.txt:2: a NUL character, which no argument can have"),
        (b"a\n" * CHUNK_BYTES + b"\0", f"args.txt:{CHUNK_BYTES + 1}: a NUL character, which no argument can have"),
        *(
            ("a\n".encode(code), ("args.txt:1: a NUL character, which no argument can have; is this UTF-16? "
             "iconv -f UTF-16 -t UTF-8 makes it UTF-8"))
            for code in ("utf-16", "utf-16-be")
        ),
    ],
    ids=["second", "late", "little", "big"],
)  # fmt: skip
def test_a_file_with_nul_is_refused(content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("args.txt").write_bytes(content)
    with pytest.raises(FarmError) as refused:
        list(Lines("args.txt").chunks(PLAIN))
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("path", "said"), [("gone", "cannot read gone: No such file or directory"), (".", "cannot read .: Is a directory")]
)
def test_a_file_that_cannot_be_read(path: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FarmError) as refused:
        list(Lines(path).chunks(PLAIN))
    assert str(refused.value) == said


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writers = [threading.Thread(target=path.write_bytes, args=(b"a\nb\n",)) for _ in range(2)]
    source = Lines(str(path))
    writers[0].start()
    assert b"".join(source.chunks(PLAIN)) == b"a\nb\n"
    writers[0].join()
    writers[1].start()  # or else who reads again waits for ever
    try:
        with pytest.raises(FarmError, match="pipe can be read only once, and that is not enough here: write it to a file"):
            list(source.chunks(PLAIN))
    finally:
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        writers[1].join()
        os.close(reader)


def test_the_inner_list_of_a_product_may_be_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"a\nb\n",))
    writer.start()
    assert rows_of(f"::: 1 2 :::: {path}") == [b"1 a", b"1 b", b"2 a", b"2 b"]
    writer.join()


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        ("::: a b", "a;b"), ("::: a b ::: 1 2", "a 1;a 2;b 1;b 2"), ("::: a b :::+ 1 2 ::: x y", "a 1 x;a 1 y;b 2 x;b 2 y"),
        ("::: x y ::: a b :::+ 1 2 :::+ p q", "x a 1 p;x b 2 q;y a 1 p;y b 2 q"), (":::: f ::: 1 2", "l 1;l 2;m 1;m 2"),
        (":::: f f", "l l;l m;m l;m m"), ("::: a :::: f", "a l;a m"), ("::: a b ::::+ f", "a l;b m"), (":::: f ::::+ f",
        "l l;m m"),
        (":::", ""),
    ],
)  # fmt: skip
def test_combinations(words: str, rows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f").write_bytes(b"l\r\nm")
    assert rows_of(words) == [row.encode() for row in rows.split(";") if row]


def test_names_of_combinations_come_first() -> None:
    assert rows_of("::: f a b ::: g 1 2 :::+ h x y", NAMED) == [b"f g h", b"a 1 x", b"a 2 y", b"b 1 x", b"b 2 y"]


def test_a_large_inner_list_is_read_again_and_comes_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(combinations, "_KEPT_BYTES", CHUNK_BYTES)
    lines = 10_000
    (tmp_path / "large").write_bytes(b"".join(b"%030d\n" % number for number in range(lines)))
    sizes, number = [], 0
    for chunk in Combinations(["::::", str(tmp_path / "large"), ":::", "a", "b"]).chunks(PLAIN):
        sizes.append(len(chunk))
        number += chunk.count(b"\n")
    assert number == 2 * lines and max(sizes) < 8 * CHUNK_BYTES
    last = b""
    for number, chunk in enumerate(Combinations([":::", "a", "b", "::::", str(tmp_path / "large")]).chunks(PLAIN)):
        assert len(chunk) < 8 * CHUNK_BYTES
        last = chunk if number else last
    assert last.endswith(b"b\0%030d\n" % (lines - 1))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("::: a b :::+ 1", "::: a b and ::: 1 are linked, but ::: 1 has only 1 value"),
        ("::: a :::+ 1 2", "::: a and ::: 1 2 are linked, but ::: a has only 1 value"),
        ("::: x y ::: a b c :::+ 1 2", "::: a b c and ::: 1 2 are linked, but ::: 1 2 has only 2 values"),
        (":::+ 1", ":::+ links a list to the one before it, and there is none"),
        ("::: a :::", "no value stands behind :::"), ("::: ::: a", "no value stands behind :::"),
        ("::: a :::+", "no value stands behind :::+"), ("::::", "no file stands behind ::::"),
        ("a ::: b", "arguments begin with one of ::: :::+ :::: ::::+, not with 'a'"),
        ("", "arguments begin with one of ::: :::+ :::: ::::+, not with ''"),
        ("::: a :::: empty", "empty has no value, so there is no combination"),
        (":::: empty ::: a", "empty has no value, so there is no combination"),
        ("::: a :::: gaps", "gaps:2: an empty line, in combination with others: take it away"),
        (":::: gaps ::: a", "gaps:2: an empty line, in combination with others: take it away"),
        ("::: a :::: gone", "cannot read gone: No such file or directory"),
    ],
)  # fmt: skip
def test_combinations_that_are_refused(words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").touch()
    Path("gaps").write_bytes(b"a\n \t\nb\n")
    with pytest.raises(FarmError) as refused:
        rows_of(words)
    assert str(refused.value) == said


def test_a_list_of_names_alone_has_no_value() -> None:
    with pytest.raises(FarmError, match="::: g has no value, so there is no combination"):
        rows_of("::: f a ::: g", NAMED)


def test_a_word_with_a_line_break_is_refused() -> None:
    with pytest.raises(FarmError) as refused:
        Combinations([":::", "a", "b\nc"])
    assert str(refused.value) == "value 2 of ::: a b\\nc: 'b\\nc' has a line break, and a task is one line"
