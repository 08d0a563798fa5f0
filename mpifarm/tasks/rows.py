"""Rows: where the values of a template come from.

The rule: rows are a stream of whole lines, a row a line, and never all in memory. The columns of a row that are known before
anything is split, those of combinations and of a .csv, stand with a NUL between them: that is what no value can have.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from mpifarm import FarmError
from mpifarm.tasks.quoting import BYTE_ORDER_MARK

CHUNK_BYTES = 96 * 1024  # as tfin's
BETWEEN = b"\0"  # of columns


class Rows(Protocol):
    """Where rows come from."""

    name: str  # as a message shows it

    def chunks(self) -> Iterator[bytes]:
        """Yield whole lines; each call begins anew. Raises FarmError."""
        ...


class Lines:
    """The lines of a file."""

    def __init__(self, path: str) -> None:
        self.name = path
        self._path = Path(path)

    def chunks(self) -> Iterator[bytes]:
        """Yield whole lines; each call begins anew. Raises FarmError."""
        number = 1
        try:
            with self._path.open("rb") as source:
                while lines := source.read(CHUNK_BYTES):
                    lines = b"".join((lines, source.readline()))
                    if number == 1:
                        lines = lines.removeprefix(BYTE_ORDER_MARK)
                    if BETWEEN in lines:
                        at = number + lines.count(b"\n", 0, lines.index(BETWEEN))
                        raise FarmError(f"{self.name}:{at}: it has a NUL character, which no argument can have")
                    if not lines.endswith(b"\n"):
                        lines += b"\n"
                    number += lines.count(b"\n")
                    yield lines.replace(b"\r\n", b"\n")
        except OSError as error:
            raise FarmError(f"cannot read {self.name}: {error.strerror}") from None
