"""Columns: --colsep, and .csv files."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm import FarmError
from mpifarm.tasks.columns import of_csv, splitter


@pytest.mark.parametrize(
    ("colsep", "line", "columns"),
    [
        (None, b"a,b c", [b"a,b c"]), (",", b"a,b,", [b"a", b"b", b""]), (r"\t", b"a\tb c", [b"a", b"b c"]),
        (r"\.", b"a.b", [b"a", b"b"]), ("::", b"a::b:c", [b"a", b"b:c"]), (r"\s+", b"a \t b", [b"a", b"b"]),
        ("[,;]", b"a;b,c", [b"a", b"b", b"c"]), ("(?:ab)+", b"1abab2", [b"1", b"2"]), ("\xe9", b"a\xc3\xa9b", [b"a", b"b"]),
        ("\udcff", b"a\xffb", [b"a", b"b"]), (",", b"a\0b,c", [b"a", b"b", b"c"]), (r"\W", b"a\0b,c", [b"a", b"b", b"c"]),
    ],
)  # fmt: skip
def test_what_separates_columns(colsep: str | None, line: bytes, columns: list[bytes]) -> None:
    assert splitter(colsep)(line + b"\n" + line) == [columns, columns]


@pytest.mark.parametrize(
    ("colsep", "said"),
    [
        ("|", "as a regular expression that also matches where nothing stands; for the character itself, write '\\|'"),
        (".", "as a regular expression that matches every character; for the character itself, write '\\.'"),
        ("", "nothing stands between columns; leave it out, and a line is one value"),
        ("[", "that is no regular expression: unterminated character set at position 0"),
        ("[[a]", "that is no regular expression: Possible nested set at position 1"),
        ("*", "that is no regular expression: nothing to repeat at position 0"),
        (r"\h", "that is no regular expression: bad escape \\h at position 0"),
        ("(,|;)", "a group would be a column itself; write (?: in place of ( or \\( for a parenthesis"),
        ("[[:space:]]+", "this is a regular expression of Python's, which has no [:space:]; write \\s"),
    ],
)  # fmt: skip
def test_what_separates_no_columns(colsep: str, said: str) -> None:
    with pytest.raises(FarmError) as refused:
        splitter(colsep)
    assert str(refused.value) == f"--colsep '{colsep}': {said}"


def read(*chunks: bytes) -> list[list[bytes]]:
    made = b"".join(of_csv(iter(chunks), "x.csv"))
    return [line.split(b"\0") for line in made.split(b"\n")[:-1]]


def test_a_csv_file() -> None:
    lines = b'a,b\n"x, y",\n\n"q""r",\xe9\n 5" ,"\xff"\n'
    assert read(lines) == [[b"a", b"b"], [b"x, y", b""], [b""], [b'q"r', b"\xe9"], [b' 5" ', b"\xff"]]
    assert read(b"a,b\n1,2\n") == [[b"a", b"b"], [b"1", b"2"]]


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        ([b'a\n"x\n'], "2: the quote that begins a value there is never closed"),
        ([b'a\n"x\ny"\n'], "2: a value spans the lines 2 to 3, and a task is one line: take the line break away"),
        ([b"a\n", b'1,"x\n', b'2\ny""\n"\n'],
         "2: a value spans the lines 2 to 5, and a task is one line: take the line break away"),
        ([b'a\n"x"y\n'], "2: that is no line of a .csv file: ',' expected after '\"'"),
        ([b'a\n1, "y"\n'], "2: a quote behind a blank quotes nothing in a .csv file: take away the blank behind the comma"),
        ([b'a\n"' + b"x" * 200_000 + b'"\n'], "2: that is no line of a .csv file: field larger than field limit (131072)"),
    ],
)  # fmt: skip
def test_a_csv_file_that_is_refused(chunks: list[bytes], said: str) -> None:
    with pytest.raises(FarmError) as refused:
        read(*chunks)
    assert str(refused.value) == f"x.csv:{said}"


VALUE = st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=6).filter(
    lambda value: not value.lstrip(" \t").startswith('"') or value.startswith('"')
)


@given(st.lists(st.lists(VALUE, min_size=2, max_size=4), min_size=1, max_size=5), st.booleans())
def test_what_the_csv_module_writes_is_read_as_it_was(rows: list[list[str]], all_quoted: bool) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL).writerows(rows)
    assert read(written.getvalue().encode("latin-1")) == [[value.encode("latin-1") for value in row] for row in rows]
