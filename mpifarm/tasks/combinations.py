"""Combinations: ::: a b ::: 1 2, each with each, as GNU Parallel takes them.

The rule: the last list runs fastest. All but the first are kept in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from mpifarm import FarmError
from mpifarm.tasks.rows import BETWEEN, Lines, Rows

OPERATORS = (":::", ":::+", "::::", "::::+")


class Words:
    """Words of a command line, a row each."""

    def __init__(self, words: Sequence[str]) -> None:
        self.name = " ".join((":::", *words))
        self._words = [os.fsencode(word) for word in words]

    def chunks(self) -> Iterator[bytes]:
        """Yield whole lines; each call begins anew."""
        yield b"".join([word + b"\n" for word in self._words])


class Combinations:
    """All combinations of several lists, a row each, with a column for every list."""

    def __init__(self, words: Sequence[str]) -> None:
        """*words* are those of a command line, from the first ::: or :::: on. Raises FarmError."""
        self.name = " ".join(words)
        self._sources: list[Rows] = []
        at = 0
        while at < len(words):
            operator = words[at]
            if operator not in OPERATORS:
                raise FarmError(f"{operator}: one of {' '.join(OPERATORS)} belongs before it")
            end = next((place for place in range(at + 1, len(words)) if words[place] in OPERATORS), len(words))
            values = words[at + 1 : end]
            self._sources += (
                [Words(values)] if operator.startswith(":::") and len(operator.rstrip("+")) == 3 else map(Lines, values)
            )
            at = end

    def chunks(self) -> Iterator[bytes]:
        """Yield whole lines; each call begins anew. Raises FarmError."""
        yield from _product(self._sources)


def _product(sources: Sequence[Rows]) -> Iterator[bytes]:
    first, *rest = sources
    if not rest:
        yield from first.chunks()
        return
    inner = b"".join(_product(rest))
    for chunk in first.chunks():
        for value in chunk.splitlines():
            yield value + BETWEEN + inner[:-1].replace(b"\n", b"\n" + value + BETWEEN) + b"\n"
