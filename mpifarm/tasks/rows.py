"""Rows: where the values of a template come from.

The rule: rows are a stream of whole lines, a row a line, and never all in memory. Columns that are known before anything is
split, those of combinations and of a .csv file, have a BETWEEN among them. Who reads them names a row by `where`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from mpifarm import FarmError
from mpifarm.settings import Each
from mpifarm.tasks.columns import BETWEEN, of_csv
from mpifarm.tasks.quoting import BYTE_ORDER_MARK
from mpifarm.texts import shown

CHUNK_BYTES = 96 * 1024  # as `tfin` has it, and for its reasons


class Rows(Protocol):
    """Where rows come from."""

    name: str  # as a message shows it
    lines: bool  # a row is a line of a file: one that names columns, or is blank, is kept as one that is no task
    csv: bool  # its values may be quoted

    def chunks(self, each: Each) -> Iterator[bytes]:
        """Yield whole lines, first the names if *each* has a header; each call begins anew. Raises FarmError."""
        ...

    def where(self, number: int) -> str:
        """Return how a message names row *number*, from 1; only in a file, names are a row."""
        ...


class Lines:
    """The lines of a file."""

    lines = True

    def __init__(self, path: str) -> None:
        """Nothing is read yet."""
        self.name = shown(path)
        self.csv = path.lower().endswith(".csv")
        self._path = Path(path)
        self._gone = False  # it was read, and cannot be again

    def chunks(self, each: Each) -> Iterator[bytes]:
        """Yield whole lines; each call begins anew. Raises FarmError."""
        chunks = self._read()
        return of_csv(chunks, self.name) if self.csv and each.header and each.colsep is None else chunks

    def where(self, number: int) -> str:
        """Return how a message names line *number*."""
        return f"{self.name}:{number}"

    def _read(self) -> Iterator[bytes]:
        if self._gone:
            raise FarmError(f"{self.name} can be read only once, and that is not enough here: write it to a file")
        number = 1
        try:
            with self._path.open("rb") as source:
                self._gone = not stat.S_ISREG(os.fstat(source.fileno()).st_mode)
                while lines := source.read(CHUNK_BYTES):
                    lines = b"".join((lines, source.readline()))
                    if number == 1:
                        lines = lines.removeprefix(BYTE_ORDER_MARK)
                        if not lines:
                            break
                    if BETWEEN in lines:
                        at = number + lines.count(b"\n", 0, lines.index(BETWEEN))
                        raise FarmError(f"{self.name}:{at}: a NUL character, which no argument can have{_utf_16(lines)}")
                    number += lines.count(b"\n")
                    if not lines.endswith(b"\n"):
                        lines += b"\n"
                    yield lines.replace(b"\r\n", b"\n")
        except OSError as error:
            raise FarmError(f"cannot read {self.name}: {error.strerror}") from None


def _utf_16(lines: bytes) -> str:
    if lines[:2] in (b"\xff\xfe", b"\xfe\xff") or lines[1:4:2] == b"\0\0" or lines[:3:2] == b"\0\0":
        return "; is this UTF-16? iconv -f UTF-16 -t UTF-8 makes it UTF-8"
    return ""
