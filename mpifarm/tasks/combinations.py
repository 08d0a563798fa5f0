"""Combinations: `::: a b :::: args.txt`, each with each, as GNU Parallel takes them.

The rule: a list a column, and the last list runs fastest; `:::+` and `::::+` are linked to the list before them, the first
value with the first. The first list is a stream. The others are read again for each of its rows, or kept, as long as they
are small. A list that is linked to one of another length, which GNU Parallel cuts, is refused; so are a list without any
value and an empty line of a file, which it takes for an empty value.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest

from mpifarm import FarmError
from mpifarm.settings import Each
from mpifarm.tasks.columns import BETWEEN, BLANKS
from mpifarm.tasks.rows import CHUNK_BYTES, Lines, Rows
from mpifarm.texts import shown
from mpifarm.words import count

OPERATORS = (":::", ":::+", "::::", "::::+")
_KEPT_BYTES = 8 * 1024 * 1024  # of one list; a larger one is read again
_LONGEST_NAME = 60  # characters


class Words:
    """Words of a command line, a row each."""

    lines = False
    csv = False

    def __init__(self, words: Sequence[str]) -> None:
        """Raises FarmError."""
        self.name = shown(" ".join((":::", *words)), _LONGEST_NAME)
        for number, word in enumerate(words, start=1):
            if "\n" in word:
                raise FarmError(f"{self.where(number)}: '{shown(word)}' has a line break, and a task is one line")
        self._words = [os.fsencode(word) for word in words]

    def chunks(self, each: Each) -> Iterator[bytes]:
        """Yield whole lines; each call begins anew."""
        if self._words:
            yield b"\n".join([*self._words, b""])

    def where(self, number: int) -> str:
        """Return how a message names value *number*, that of the name not included."""
        return f"value {number} of {self.name}"


class Combinations:
    """All combinations of several lists, a row each, with a column for every list."""

    def __init__(self, words: Sequence[str]) -> None:
        """*words* are those of a command line, from the first ::: or :::: on. Raises FarmError."""
        self.name = shown(" ".join(words), _LONGEST_NAME)
        self._groups = _groups(words)  # of lists that are linked
        sources = list(chain.from_iterable(self._groups))
        self._single = sources[0] if len(sources) == 1 else None
        self.lines = self._single is not None and self._single.lines
        self.csv = any(source.csv for source in sources)

    def chunks(self, each: Each) -> Iterator[bytes]:
        """Yield whole lines, first the names if *each* has a header; each call begins anew. Raises FarmError."""
        if self._single:
            return self._single.chunks(each)
        groups = [_Group(sources, each) for sources in self._groups]
        return _together(_product(groups, each))

    def where(self, number: int) -> str:
        """Return how a message names combination *number*."""
        return self._single.where(number) if self._single else f"combination {number} of {self.name}"


def _groups(words: Sequence[str]) -> list[list[Rows]]:
    groups: list[list[Rows]] = []
    if not words or words[0] not in OPERATORS:
        raise FarmError(f"arguments begin with one of {' '.join(OPERATORS)}, not with '{shown(words[0]) if words else ''}'")
    at = 0
    while at < len(words):
        operator = words[at]
        end = next((place for place in range(at + 1, len(words)) if words[place] in OPERATORS), len(words))
        values, at = list(words[at + 1 : end]), end
        sources: list[Rows] = [*map(Lines, values)] if operator.startswith("::::") else [Words(values)]
        if not values and list(words) != [":::"]:  # that is `::: $(ls *.in)` without such a file: an empty list
            raise FarmError(f"no {'file' if operator.startswith('::::') else 'value'} stands behind {operator}")
        if not operator.endswith("+"):
            groups += [[source] for source in sources]
        elif groups:
            groups[-1] += sources
        else:
            raise FarmError(f"{operator} links a list to the one before it, and there is none")
    return groups


class _Group:
    """Lists that are linked, or one of them, read again and again."""

    def __init__(self, sources: Sequence[Rows], each: Each) -> None:
        self.name = " and ".join(source.name for source in sources)
        self._sources = sources
        self._each = each
        self._kept: list[bytes] | None = None

    def chunks(self) -> Iterator[bytes]:
        """Yield whole lines; the first one has the names if there is a header. Raises FarmError."""
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[bytes] | None = []
        size = 0
        for chunk in self._read():
            size += len(chunk)
            if kept is not None and size <= _KEPT_BYTES:
                kept.append(chunk)
            else:
                kept = None
            yield chunk
        self._kept = kept

    def _read(self) -> Iterator[bytes]:
        if len(self._sources) == 1:
            return _with_values(self._sources[0], self._each)
        return self._linked()

    def _linked(self) -> Iterator[bytes]:
        made: list[bytes] = []
        streams = [_each_line(_with_values(source, self._each)) for source in self._sources]
        for number, values in enumerate(zip_longest(*streams), start=1):
            if None in values:
                short = self._sources[values.index(None)]
                raise FarmError(f"{self.name} are linked, but {short.name} has only {count(number - 1, 'value')}")
            made.append(BETWEEN.join(values))
            if len(made) == CHUNK_BYTES // 64:
                yield b"\n".join([*made, b""])
                made.clear()
        if made:
            yield b"\n".join([*made, b""])


def _with_values(source: Rows, each: Each) -> Iterator[bytes]:
    """Yield the lines of a list that is combined with others: there is one, and in a file none is blank."""
    number = 1
    for chunk in source.chunks(each):
        blank = _blank_at(chunk) if source.lines else None
        if blank is not None:
            raise FarmError(f"{source.where(number + blank)}: an empty line, in combination with others: take it away")
        number += chunk.count(b"\n")
        yield chunk
    if number <= 1 + each.header:
        raise FarmError(f"{source.name} has no value, so there is no combination")


def _blank_at(chunk: bytes) -> int | None:
    """Return which of these lines, from 0, is the first blank one."""
    return next((at for at, line in enumerate(chunk[:-1].split(b"\n")) if not line.strip(BLANKS)), None)


def _each_line(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield from chunk[:-1].split(b"\n")


def _product(groups: Sequence[_Group], each: Each) -> Iterator[bytes]:
    """Yield the combinations, the names first if there is a header."""
    if each.header:
        names = [next(_each_line(group.chunks())) for group in groups]
        yield BETWEEN.join(names) + b"\n"
    yield from _combined(groups, each)


def _combined(groups: Sequence[_Group], each: Each) -> Iterator[bytes]:
    first, *rest = groups
    chunks = _without_names(first.chunks()) if each.header else first.chunks()
    if not rest:
        yield from chunks
        return
    for value in _each_line(chunks):
        before = value + BETWEEN
        for chunk in _combined(rest, each):
            yield b"".join((before, chunk[:-1].replace(b"\n", b"\n" + before), b"\n"))


def _without_names(chunks: Iterator[bytes]) -> Iterator[bytes]:
    _, _, rest = next(chunks, b"").partition(b"\n")
    yield from chain([rest] if rest else [], chunks)


def _together(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield *chunks*, small ones together."""
    waiting: list[bytes] = []
    size = 0
    for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
