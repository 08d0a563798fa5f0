"""What the shell itself calls an error of syntax, asked with `-n`: it reads, and executes nothing.

The rule: many lines in one process, and a line is called wrong only when it was asked about alone. Between two lines of a
batch stands what ends whatever the first has left open with an error, so that they do not mend each other:

    (
    LINE
    #'")`)      a comment; in a quote that is open, its end, and a parenthesis too many
    )

A batch with an error is halved until the lines are found; of MOST lines that are wrong no more is asked.

Only shells are asked that are known to take -n: to perl it is an option that runs the list. They get an empty
environment, in which no file is named that they would read before (BASH_ENV).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from mpifarm.tasks.check import printable

MOST = 50  # lines that are wrong

_KNOWN = ("dash", "bash", "ksh", "ksh93", "mksh")
_GUARD = b"\n#'\")`)\n"
_BATCH_BYTES = 1024 * 1024
_ARGUMENT_BYTES = 100 * 1024  # less than Linux takes in one argument, with a page of any size
_WHERE = re.compile(rb"^.*?(?=syntax error|Syntax error|Bad|unexpected)")
_DOCUMENT = re.compile(rb"<<(?!<)")

Line = tuple[int, bytes]  # number, text


class Syntax:
    """Asks one shell about the lines of a list."""

    def __init__(self, shell: str) -> None:
        self._shell = shell
        self.asks = Path(shell).resolve().name in _KNOWN
        self.found = 0

    @property
    def enough(self) -> bool:
        """Whether so many lines are wrong that no more are asked about."""
        return self.found >= MOST

    def wrong(self, lines: Sequence[Line]) -> Iterator[tuple[int, str]]:
        """Yield the number of each of *lines* that is wrong, and what the shell says. Raises OSError."""
        if not self.asks:
            return
        together = [line for line in lines if not _DOCUMENT.search(line[1])]
        alone = [line for line in lines if _DOCUMENT.search(line[1])]  # a document swallows what follows
        for batch in (*_batches(together), *([line] for line in alone)):
            yield from self._wrong(batch)

    def _wrong(self, batch: list[Line]) -> Iterator[tuple[int, str]]:
        if self.enough or (len(batch) > 1 and self._ask(b"".join(map(_guarded, batch))) is None):
            return
        if len(batch) > 1:
            half = len(batch) // 2
            yield from self._wrong(batch[:half])
            yield from self._wrong(batch[half:])
            return
        number, text = batch[0]
        said = self._ask(b"", "-c", os.fsdecode(text)) if len(text) < _ARGUMENT_BYTES else self._ask(text)
        if said is not None:
            self.found += 1
            yield number, said

    def _ask(self, text: bytes, *how: str) -> str | None:
        """Return what the shell finds wrong with *text*, or with what it is given as a task is; None: nothing."""
        ended = subprocess.run([self._shell, "-n", *how], input=text, env={"LC_ALL": "C"}, capture_output=True, check=False)
        if not ended.returncode:
            return None
        return printable(_WHERE.sub(b"", ended.stderr.partition(b"\n")[0])) or f"it ended with {ended.returncode}"


def _guarded(line: Line) -> bytes:
    _, text = line
    begin, end = (b"if :; then\n", b"fi\n") if b")" in text else (b"(\n", b")\n")
    return begin + text + _GUARD + end


def _batches(lines: Sequence[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line[1])
        if size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
