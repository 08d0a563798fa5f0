"""Lines of a list that are equal, and lines that write into one file.

Why: the lines run beside each other. Two that say `> out` empty each other's file, and what is left is of one of them, or
of neither; a line that stands there twice is done twice.

The rule: what is remembered of a line is a number of eight bytes for it, and one for each file that it opens to write, so
MOST lines take some hundred MB at the worst. What lies behind is not compared, and that is told. Only targets that are
plain are compared, in lines that do not change their directory; `>>` adds, and may be meant.
"""

from __future__ import annotations

import posixpath
import re
from array import array
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from mpifarm.tasks.quoting import Part, read

MOST = 10_000_000  # lines, and files

_MOST_OUTLINES = 65_536  # that are remembered
_INTO = re.compile(rb"(?<![<>&\d\\])(?:&|\d+)?>\|?[ \t]*(?=[^ \t&>|(])([\w./+,:@%=^-]+)(?=[ \t;|&)<>]|$)")
_ELSEWHERE = re.compile(rb"(?<![\w./-])(?:cd|pushd|popd|chroot)(?![\w.-])|\[\[")
_HARD = re.compile(rb"[\\`$#()]|<<")
_QUOTED = re.compile(rb"'[^']*'|\"[^\"]*\"")
_MOVES = (b"cd", b"push", b"pop", b"chroot", b"[[")
_NO_FILES = (b"/dev/", b"/proc/")

Numbers = NDArray[np.int64]
Pairs = list[tuple[int, int]]
Places = tuple[tuple[int, int], ...]  # from, to


def written(text: bytes, dash: bool) -> set[bytes]:
    """Return the files that the line *text* opens anew to write into, as far as they are plain to see."""
    if b">" not in text or _is_elsewhere(text):
        return set()
    if _HARD.search(text):
        line = read(text, dash)
        found = _INTO.finditer(line.only(Part.CODE)) if line.sure else ()
        names = [
            match[1] for match in found if text.startswith(match[1], match.start(1))
        ]  # else, what was no code is in it
    else:
        names = [text[begin:end] for begin, end in _plain(text)]
    targets = {posixpath.normpath(name) for name in names}
    return {target for target in targets if not target.startswith(_NO_FILES)}


def _places(text: bytes) -> Places | None:
    """Return where in *text* the files stand that are `written`; None if they do not stand there as they are.

    It depends on no digit, but on where there are any: so all lines of one outline have them there.
    """
    if _is_elsewhere(text):
        return ()
    if _HARD.search(text):
        return None
    places = _plain(text)
    names = [text[begin:end] for begin, end in places]
    if any(posixpath.normpath(name) != name for name in names):
        return None
    return tuple(place for place, name in zip(places, names, strict=True) if not name.startswith(_NO_FILES))


def _plain(text: bytes) -> Places:
    """Return where the names stand behind the `>` of a line in which quotes are all that is hard."""
    outside = _QUOTED.sub(lambda quoted: b'"' * len(quoted[0]), text) if b"'" in text or b'"' in text else text
    return tuple(match.span(1) for match in _INTO.finditer(outside))


def _is_elsewhere(text: bytes) -> bool:
    return any(word in text for word in _MOVES) and bool(_ELSEWHERE.search(text))


class Repeats:
    """Remembers the lines of a list."""

    def __init__(self, dash: bool) -> None:
        self._dash = dash
        self._lines, self._numbers = array("q"), array("q")  # what each is, and which line of the list
        self._files, self._writers = array("q"), array("q")  # what each is, and which of the lines above
        self._places: dict[bytes, Places | None] = {}  # of what is written, by outline
        self._left_out = False

    @property
    def complete(self) -> bool:
        """Whether all lines are compared."""
        return not self._left_out

    def see(self, numbers: Sequence[int], texts: Sequence[bytes], outlines: Sequence[bytes]) -> None:
        """Remember lines of the list: their *numbers* there, and their outlines (`check.outlines_of`)."""
        room = MOST - max(len(self._lines), len(self._files))
        if len(texts) > room:
            self._left_out = True
            room = max(0, room)
            numbers, texts, outlines = numbers[:room], texts[:room], outlines[:room]
        first = len(self._lines)
        self._lines.extend(map(hash, texts))
        self._numbers.extend(numbers)
        for place, text in enumerate(texts, start=first):
            if b">" in text:
                targets = self._targets(text, outlines[place - first])
                self._files.extend(map(hash, targets))
                self._writers.extend([place] * len(targets))

    def _targets(self, text: bytes, outline: bytes) -> Collection[bytes]:
        """Return what is `written`. In lines of one outline it stands in the same places."""
        try:
            places = self._places[outline]
        except KeyError:
            places = _places(text)
            if len(self._places) < _MOST_OUTLINES:
                self._places[outline] = places
        return written(text, self._dash) if places is None else {text[begin:end] for begin, end in places}

    def equal(self, most: int) -> tuple[int, Pairs]:
        """Return how many lines stand there before, and of the first *most* their number and that of the one before."""
        later, first = _later(_array(self._lines))
        numbers = _array(self._numbers)
        return later.size, _pairs(numbers[later[:most]], numbers[first[:most]])

    def one_file(self, most: int) -> tuple[int, Pairs]:
        """Return how many lines write into a file of a line before, and of the first *most* their number and that one's."""
        later, first = _later(_array(self._files))
        writers, lines, numbers = _array(self._writers), _array(self._lines), _array(self._numbers)
        one, other = writers[later], writers[first]
        differ = lines[one] != lines[other]  # the same line again is told as that
        one, other = one[differ], other[differ]
        new = np.append(True, one[1:] != one[:-1])[: one.size]
        return int(np.count_nonzero(new)), _pairs(numbers[one[new][:most]], numbers[other[new][:most]])


def _array(values: array[int]) -> Numbers:
    return np.array(values, dtype=np.int64)


def _pairs(one: Numbers, other: Numbers) -> Pairs:
    return list(zip(one.tolist(), other.tolist(), strict=True))


def _later(values: Numbers) -> tuple[Numbers, Numbers]:
    """Return the places of each value that was there before, in order, and of the first one that is equal."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    begins = np.append(True, ordered[1:] != ordered[:-1])[: values.size]
    firsts = order[np.maximum.accumulate(np.where(begins, np.arange(values.size), 0))] if values.size else order
    later, first = order[~begins], firsts[~begins]
    in_order = np.argsort(later, kind="stable")
    return later[in_order], first[in_order]
