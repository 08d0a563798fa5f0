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

import numpy as np
from numpy.typing import NDArray

from mpifarm.tasks.quoting import Part, read

MOST = 10_000_000  # lines, and files

_INTO = re.compile(rb"(?<![<>&\d\\])(?:&|\d+)?>\|?[ \t]*(?=[^ \t&>|(])([\w./+,:@%=^-]+)(?=[ \t;|&)<>]|$)")
_ELSEWHERE = re.compile(rb"(?<![\w./-])(?:cd|pushd|popd|chroot)(?![\w.-])|\[\[")
_HARD = re.compile(rb"[\\`$#()]|<<")
_QUOTED = re.compile(rb"'[^']*'|\"[^\"]*\"")
_MOVES = (b"cd", b"push", b"pop", b"chroot", b"[[")
_NO_FILES = (b"/dev/", b"/proc/")

Numbers = NDArray[np.int64]
Pairs = list[tuple[int, int]]


def written(text: bytes, dash: bool) -> set[bytes]:
    """Return the files that the line *text* opens anew to write into, as far as they are plain to see."""
    if b">" not in text or (any(word in text for word in _MOVES) and _ELSEWHERE.search(text)):
        return set()
    if _HARD.search(text):
        line = read(text, dash)
        found = _INTO.finditer(line.only(Part.CODE)) if line.sure else ()
        names = [
            match[1] for match in found if text.startswith(match[1], match.start(1))
        ]  # else, what was no code is in it
    else:
        names = _INTO.findall(_QUOTED.sub(b'""', text) if b"'" in text or b'"' in text else text)
    targets = {name if name.isalnum() else posixpath.normpath(name) for name in names}
    return {target for target in targets if not target.startswith(_NO_FILES)}


class Repeats:
    """Remembers the lines of a list."""

    def __init__(self, dash: bool) -> None:
        self._dash = dash
        self._lines, self._numbers = array("q"), array("q")  # what each is, and which line of the list
        self._files, self._writers = array("q"), array("q")  # what each is, and which of the lines above
        self._left_out = False

    @property
    def complete(self) -> bool:
        """Whether all lines are compared."""
        return not self._left_out

    def see(self, number: int, text: bytes) -> None:
        """Remember line *number* of the list."""
        if len(self._lines) >= MOST or len(self._files) >= MOST:
            self._left_out = True
            return
        self._lines.append(hash(text))
        self._numbers.append(number)
        for target in written(text, self._dash) if b">" in text else ():
            self._files.append(hash(target))
            self._writers.append(len(self._lines) - 1)

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
