"""The expansion of a template: the task list that it makes of rows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from mpifarm import FarmError
from mpifarm.settings import Each
from mpifarm.tasks.rows import BETWEEN, Rows
from mpifarm.tasks.template import FIELD, quoted


class Expansion:
    """The task list that a template makes of rows, as a stream: line n of the arguments is line n of it."""

    def __init__(self, each: Each, rows: Rows) -> None:
        """Raises FarmError."""
        self._each = each
        self._rows = rows
        self.commands = 0  # that the last pass has made so far
        self.hash_at: int | None = None  # the first line that begins with #, and is an argument like any other
        self._template = os.fsencode(each.template)
        if not self._template.strip() or self._template.startswith(b"#"):
            raise FarmError(f"--each {each.template!r}: that is no command")
        if not FIELD.search(self._template):
            self._template += b" {}"

    def chunks(self) -> Iterator[bytes]:
        """Yield the list, whole lines, about tfin.CHUNK_BYTES each; each call begins anew. Raises FarmError."""
        self.commands, self.hash_at = 0, None
        seq, number = 0, 0
        colsep = self._each.colsep
        splitter = re.compile(BETWEEN if colsep is None else BETWEEN + b"|" + os.fsencode(colsep))
        for chunk in self._rows.chunks():
            made: list[bytes] = []
            for line in chunk[:-1].split(b"\n"):
                number += 1
                if number == 1 and self._each.header:
                    made.append(b"#" + line)
                    continue
                seq += 1
                if not line:
                    made.append(b"")
                    continue
                self.commands += 1
                if line.startswith(b"#") and self.hash_at is None:
                    self.hash_at = number
                made.append(self._command(splitter.split(line), seq, number))
            yield b"\n".join([*made, b""])

    def _command(self, values: list[bytes], seq: int, number: int) -> bytes:
        def value(field: re.Match[bytes]) -> bytes:
            name = field[1]
            if name is None:
                return b" ".join(map(quoted, values))
            if name == b"#":
                return b"%d" % seq
            column = int(name)
            try:
                return quoted(values[column - 1 if column > 0 else column])
            except IndexError:
                raise FarmError(f"{self._rows.name}:{number}: there is no column {column}") from None

        return FIELD.sub(value, self._template)
