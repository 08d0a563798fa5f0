"""The columns of a row: what --colsep and the csv module make of lines.

The rule: bytes stay as they are, in whatever encoding. --colsep is a regular expression of Python's over bytes; blanks at
the two ends of what it separates are no part of a value, as in GNU Parallel. It may neither match nothing at all nor have
groups, which GNU Parallel would take for columns. A value of a .csv file may be quoted, and then arrives with its blanks
and commas; one that spans lines is refused, as a task is one line.
Example: `"a, b",2` is `a, b` and `2` in a .csv file.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Callable, Iterator

from mpifarm import FarmError
from mpifarm.texts import shown

BETWEEN = b"\0"  # columns that are known: what no value can have
BLANKS = b" \t\r"

Row = list[bytes]
_POSIX = re.compile(r"\[[^\]]*\[:\w+:\]")
_METACHARACTERS = frozenset(r"\.^$*+?{}[]|()")
_LATE_QUOTE = re.compile(rb"[ \t]+\"")


def splitter(colsep: str | None) -> Callable[[bytes], list[Row]]:
    """Return what splits whole lines, without the last one's end, into rows. Raises FarmError."""
    if colsep is None:
        return _known_columns
    pattern, literal = _compiled(colsep)

    def split(lines: bytes) -> list[Row]:
        if BETWEEN in lines:  # each of the columns that are known may be several
            found = [[part for known in row for part in pattern.split(known)] for row in _known_columns(lines)]
        elif literal is not None:
            found = [line.split(literal) for line in lines.split(b"\n")]
        else:
            found = [pattern.split(line) for line in lines.split(b"\n")]
        return found

    return split


def _known_columns(lines: bytes) -> list[Row]:
    if BETWEEN in lines:
        return [line.split(BETWEEN) for line in lines.split(b"\n")]
    return [[line] for line in lines.split(b"\n")]


def _compiled(colsep: str) -> tuple[re.Pattern[bytes], bytes | None]:
    """Return the pattern, and what it is if it is no more than that text."""
    told = f"--colsep '{shown(colsep)}'"
    if not colsep:
        raise FarmError(f"{told}: nothing stands between columns; leave it out, and a line is one value")
    if _POSIX.search(colsep):
        raise FarmError(rf"{told}: this is a regular expression of Python's, which has no [:space:]; write \s")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pattern = re.compile(colsep.encode(errors="surrogateescape"))
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise FarmError(f"{told}: that is no regular expression: {error}") from None
    if pattern.groups:
        raise FarmError(f"{told}: a group would be a column itself; write (?: in place of ( or \\( for a parenthesis")
    if pattern.fullmatch(b"") or colsep == ".":
        what = "matches every character" if colsep == "." else "also matches where nothing stands"
        raise FarmError(
            f"{told}: as a regular expression that {what}; for the character itself, write '{_escaped(colsep)}'"
        )
    return pattern, _literal(colsep)


def _literal(colsep: str) -> bytes | None:
    if colsep == r"\t":
        return b"\t"
    if len(colsep) == 2 and colsep[0] == "\\" and colsep[1] in _METACHARACTERS:
        return colsep[1].encode()
    return None if _METACHARACTERS & set(colsep) else colsep.encode(errors="surrogateescape")


def _escaped(colsep: str) -> str:
    return "".join(f"\\{letter}" if letter in _METACHARACTERS else letter for letter in shown(colsep))


def of_csv(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Yield the *chunks* of the .csv file *name*, whole lines, with BETWEEN where a column ends. Raises FarmError."""
    number = 1
    for chunk in chunks:
        if b'"' not in chunk:
            yield chunk.replace(b",", BETWEEN)
        else:
            lines = chunk[:-1].split(b"\n")
            made = [_fields(lines, at, name, number + at, chunks) for at in range(len(lines))]
            yield b"\n".join([*made, b""])
        number += chunk.count(b"\n")


def _fields(lines: list[bytes], at: int, name: str, number: int, later: Iterator[bytes]) -> bytes:
    """Return line *number*, which is *at* that place of *lines*, with BETWEEN where a column ends."""
    line = lines[at]
    if b'"' not in line:
        return line.replace(b",", BETWEEN)
    try:
        (fields,) = csv.reader([line.decode("latin-1")], strict=True)
    except csv.Error as error:
        if "unexpected end" not in str(error):
            raise FarmError(f"{name}:{number}: that is no line of a .csv file: {error}") from None
        raise FarmError(_spans(lines[at:], name, number, later)) from None
    values = [field.encode("latin-1") for field in fields]
    if any(map(_LATE_QUOTE.match, values)):
        raise FarmError(
            f"{name}:{number}: a quote behind a blank quotes nothing in a .csv file: take away the blank behind the comma"
        )
    return BETWEEN.join(values)


def _spans(lines: list[bytes], name: str, number: int, later: Iterator[bytes]) -> str:
    """Return what is wrong with a quote that is open at the end of the first of *lines*."""
    quotes, last = lines[0].count(b'"'), number
    for line in _following(lines[1:], later):
        last += 1
        quotes += line.count(b'"')
        if quotes % 2 == 0:
            spans = f"{name}:{number}: a value spans the lines {number} to {last}"
            return f"{spans}, and a task is one line: take the line break away"
    return f"{name}:{number}: the quote that begins a value there is never closed"


def _following(lines: list[bytes], later: Iterator[bytes]) -> Iterator[bytes]:
    yield from lines
    for chunk in later:
        yield from chunk[:-1].split(b"\n")
