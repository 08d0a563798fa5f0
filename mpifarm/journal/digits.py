"""Numbers that stand in text, read many at a time: eight characters of each are one word of the machine.

Why: a million lines have ten million numbers. `int` takes 200 ns for one, with the slice that it is given; this 20.

The rule: a number is 1 to LONGEST digits of ASCII and nothing else; what is none is said to be none, and never read as
another one. A word is loaded from the eight bytes before the end of a number, in the order of x86, whatever the machine's:
the first digit in its lowest byte. What stands there before the number is masked. Three multiplications then add up the
digits, pairs first (as simdjson does it, arXiv:1902.08318, figure 7).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LONGEST = 18  # digits: as many always fit into int64

_WIDTH = 8
_ZEROS = np.uint64(0x3030303030303030)
_ABOVE_NINE = np.uint64(0x7676767676767676)  # takes what is above 9 to 128 or more
_HIGH_BITS = np.uint64(0x8080808080808080)
_PAIRS = np.uint64(0x000000FF000000FF)
_HUNDREDS, _ONES = np.uint64(0x000F424000000064), np.uint64(0x0000271000000001)  # 10^6 and 10^2; 10^4 and 1
_KEPT = np.array([(2**64 - 1) << 8 * (_WIDTH - kept) & (2**64 - 1) for kept in range(_WIDTH + 1)], dtype=np.uint64)

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Text:
    """A text in which numbers stand."""

    def __init__(self, text: bytes) -> None:
        padded = bytes(_WIDTH) + text  # so that there are as many bytes before every end
        self.characters = np.frombuffer(padded, dtype=np.uint8)[_WIDTH:]
        self._before = np.ndarray(len(text) + 1, dtype="<u8", buffer=padded, strides=(1,))  # the word before each place

    def numbers(self, begins: Numbers, ends: Numbers) -> tuple[Numbers, Mask]:
        """Return the numbers that stand from *begins* to *ends*, and which of them are any; the others are 0."""
        lengths = ends - begins
        right = (lengths > 0) & (lengths <= LONGEST)
        if not right.all():
            lengths, ends = np.where(right, lengths, 0), np.where(right, ends, 0)
        values, fits = self._read(ends, lengths)
        right &= fits
        for done in range(_WIDTH, int(lengths.max(initial=0)), _WIDTH):
            longer = np.flatnonzero(lengths > done)
            more, fits = self._read(ends[longer] - done, lengths[longer] - done)
            values[longer] += more * 10**done
            right[longer] &= fits
        if not right.all():
            values[~right] = 0
        return values, right

    def _read(self, ends: Numbers, lengths: Numbers) -> tuple[Numbers, Mask]:
        """Return what the last eight characters before *ends* say, of numbers of these *lengths*, and which are digits."""
        word = self._before[ends]
        word ^= _ZEROS
        word &= _KEPT[np.minimum(lengths, _WIDTH)]
        fits: Mask = ((word + _ABOVE_NINE) | word) & _HIGH_BITS == 0
        word = word * np.uint64(10) + (word >> np.uint64(8))
        word = (word & _PAIRS) * _HUNDREDS + (word >> np.uint64(16) & _PAIRS) * _ONES
        word >>= np.uint64(32)
        return word.view(np.int64), fits
