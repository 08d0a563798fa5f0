"""The longest common subsequence of two sequences of keys, which stand for lines.

The rule: exact wherever that is cheap, and never quadratic. What both begin or end with, and what stands in one alone, is
settled at once. Where few places of one could be matched with few of the other, as in a list whose lines are mostly
distinct, the longest increasing subsequence of the pairs is the answer (Hunt and Szymanski 1977), in whatever order the
lines are. Where lines are repeated often, the few edits between the sequences are looked for from both ends at once, all
diagonals in one numpy operation (Myers 1986, in linear space). Only if lines are repeated often and there are many edits,
the answer may be shorter than the longest: then the lines that stand once in both are matched first, or where there are
none each line with one of a few of its equals, and then what is between these.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from mpifarm.tasks.offsets import among, distinct

Numbers = NDArray[np.int64]

MOST_EDITS = 1024  # looked for from each end
_PAIRS_A_LINE = 8  # so many, on average, are few
_FEW_PAIRS = 4096
_NEAR = 8
_NOWHERE = -(2**62)  # a diagonal that no path has reached
_CELLS = 2**18  # compared at once


def longest_common(first: Numbers, second: Numbers) -> tuple[Numbers, Numbers]:
    """Return the places in *first* and in *second* that are matched: int64, both strictly increasing."""
    _, keys = np.unique(np.concatenate((first, second)), return_inverse=True)
    keys = keys.reshape(-1)
    matched = _Matched(keys[: first.size], keys[first.size :])
    boxes = [(np.arange(first.size), np.arange(second.size))]
    while boxes:
        boxes.extend(matched.settle(*boxes.pop()))
    return matched.places()


class _Matched:
    """What has been matched so far, box by box: a box is some places of the first sequence, and some of the second."""

    def __init__(self, first: Numbers, second: Numbers) -> None:
        self._first = first
        self._second = second
        self._found: list[tuple[Numbers, Numbers]] = []

    def places(self) -> tuple[Numbers, Numbers]:
        """Return all that is matched, in order."""
        none = np.empty(0, dtype=np.int64)
        first, second = (np.concatenate((none, *side)) for side in zip((none, none), *self._found, strict=True))
        first.sort()  # boxes do not cross, so both sort alike
        second.sort()
        return first, second

    def settle(self, ones: Numbers, others: Numbers) -> list[tuple[Numbers, Numbers]]:
        """Match what is easily matched in a box, and return the boxes that are left of it."""
        ones, others = self._without_ends(ones, others)
        a, b = self._first[ones], self._second[others]
        shared = among(a, distinct(b)), among(b, distinct(a))
        if not all(side.all() for side in shared):
            return [(ones[shared[0]], others[shared[1]])]
        if not a.size:
            return []
        order = np.argsort(b, kind="stable")
        low, high = (np.searchsorted(b[order], a, side=side) for side in ("left", "right"))
        counts = high - low
        if int(counts.sum()) <= max(_FEW_PAIRS, _PAIRS_A_LINE * (a.size + b.size)):
            first, second = _increasing(counts, high, order)
            self._found.append((ones[first], others[second]))
            return []
        if (point := _halfway(a, b)) is not None:
            x, y = point
            return [(ones[:x], others[:y]), (ones[x:], others[y:])]
        few, skipped = _near(a, counts)
        return self._between(ones, others, *_increasing(few, low + skipped + few, order))

    def _without_ends(self, ones: Numbers, others: Numbers) -> tuple[Numbers, Numbers]:
        """Match what both sides begin and end with, which never makes the rest shorter."""
        for step in (1, -1):
            size = min(ones.size, others.size)
            heads = ones[::step][:size], others[::step][:size]
            differ = self._first[heads[0]] != self._second[heads[1]]
            same = int(differ.argmax()) if differ.any() else size
            self._found.append((heads[0][:same], heads[1][:same]))
            ones, others = ones[::step][same:][::step], others[::step][same:][::step]
        return ones, others

    def _between(self, ones: Numbers, others: Numbers, first: Numbers, second: Numbers) -> list[tuple[Numbers, Numbers]]:
        """Match the places *first* and *second* of a box, and return what is between them."""
        self._found.append((ones[first], others[second]))
        sides = (np.split(ones, first), np.split(others, second))
        boxes = [(sides[0][0], sides[1][0])]
        boxes += [(one[1:], other[1:]) for one, other in zip(sides[0][1:], sides[1][1:], strict=True)]
        return [box for box in boxes if box[0].size and box[1].size]


def _increasing(counts: Numbers, ends: Numbers, order: Numbers) -> tuple[Numbers, Numbers]:
    """Return the longest chain of pairs (place of the first, place of the second), increasing in both.

    Place i of the first may be paired with *counts*[i] places of the second, those in *order* up to *ends*[i].
    """
    firsts = np.repeat(np.arange(counts.size), counts)
    nth = np.arange(firsts.size) - np.repeat(np.cumsum(counts) - counts, counts)
    seconds = order[np.repeat(ends, counts) - 1 - nth]  # the last one first: so no place of the first is taken twice
    tails: list[int] = []  # the smallest end of a chain of each length
    tops: list[int] = []  # and its pair
    before = array("q")  # of each pair in its chain
    for pair, second in enumerate(map(int, seconds)):
        length = bisect_left(tails, second)
        before.append(tops[length - 1] if length else -1)
        tails[length : length + 1] = [second]
        tops[length : length + 1] = [pair]
    chain = np.empty(len(tops), dtype=np.int64)
    pair = tops[-1] if tops else -1
    for place in range(len(tops) - 1, -1, -1):
        chain[place] = pair
        pair = before[pair]
    return firsts[chain], seconds[chain]


def _near(a: Numbers, counts: Numbers) -> tuple[Numbers, Numbers]:
    """Return with how many of its *counts* equals on the other side each of *a* is to be paired, and how many to skip.

    Lines that stand once on both sides if there are any, and no others. Else each with those that have about as many equals
    before them as it has itself.
    """
    order = np.argsort(a, kind="stable")
    first = np.searchsorted(a[order], a)
    nth = np.empty_like(order)
    nth[order] = np.arange(a.size)
    once = (counts == 1) & (np.searchsorted(a[order], a, side="right") == first + 1)
    if once.any():
        return once.astype(np.int64), np.zeros_like(counts)
    return np.minimum(counts, _NEAR), np.clip(nth - first - _NEAR // 2, 0, np.maximum(counts - _NEAR, 0))


# Myers: x counts places of the first, y of the second, and diagonal k holds the points with x - y = k.


def _halfway(a: Numbers, b: Numbers) -> tuple[int, int] | None:
    """Return a point on a shortest path from (0, 0) to (a.size, b.size); None if it has too many edits.

    The sequences differ at both ends, so it has two or more.
    """
    delta = a.size - b.size
    most = min(MOST_EDITS, (a.size + b.size + 1) // 2)
    ahead, back = _Front(a, b, most), _Front(a[::-1], b[::-1], most)
    for edits in range(most + 1):
        for front, other, odd in ((ahead, back, 1), (back, ahead, 0)):
            front.step(edits)
            if delta % 2 == odd and (met := front.meets(other, delta)) is not None:
                x, y = met
                return (x, y) if front is ahead else (a.size - x, b.size - y)
    return None


class _Front:
    """How far paths with a number of edits get, on each diagonal."""

    def __init__(self, a: Numbers, b: Numbers, most: int) -> None:
        self._a = np.append(a, -1)  # keys are none of these two
        self._b = np.append(b, -2)
        self._size = a.size, b.size
        self._most = most
        self._reached = np.full(2 * most + 5, _NOWHERE, dtype=np.int64)  # x, by diagonal + most + 2
        self._low = self._high = 0  # diagonals of the last step

    def step(self, edits: int) -> None:
        """Go as far as one more edit leads."""
        width, height = self._size
        self._low = -edits if edits <= height else -height + (edits - height) % 2
        self._high = edits if edits <= width else width - (edits - width) % 2
        diagonals = np.arange(self._low, self._high + 1, 2)
        places = diagonals + self._most + 2
        if edits:
            right, down = self._reached[places - 1] + 1, self._reached[places + 1]
            right[right > width] = _NOWHERE
            down[down - diagonals > height] = _NOWHERE
            x = np.maximum(right, down)
        else:
            x = np.zeros(1, dtype=np.int64)
        self._slide(x, diagonals)
        self._reached[places] = x

    def meets(self, other: _Front, delta: int) -> tuple[int, int] | None:
        """Return where this one has met the front from the other end, if it has."""
        diagonals = np.arange(self._low, self._high + 1, 2)
        opposite = delta - diagonals
        within = (opposite >= other._low) & (opposite <= other._high)
        diagonals, opposite = diagonals[within], opposite[within]
        x = self._reached[diagonals + self._most + 2]
        met = np.flatnonzero(x + other._reached[opposite + self._most + 2] >= self._size[0])
        return (int(x[met[0]]), int(x[met[0]] - diagonals[met[0]])) if met.size else None

    def _slide(self, x: Numbers, diagonals: Numbers) -> None:
        """Let each of *x* go on along its diagonal as long as keys are equal; first one step, then ever more at a time."""
        going = np.flatnonzero(x >= 0)
        wide = 1
        while going.size:
            ahead = np.arange(wide)
            columns = x[going][:, np.newaxis] + ahead
            rows = columns - diagonals[going][:, np.newaxis]
            width, height = self._size
            same = self._a[np.minimum(columns, width)] == self._b[np.minimum(rows, height)]
            whole = same.all(axis=1)
            x[going] += np.where(whole, wide, same.argmin(axis=1))
            going = going[whole]
            wide = min(4 * wide, max(1, _CELLS // max(1, going.size)))
