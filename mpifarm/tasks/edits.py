"""Two lists, one of them an edited copy of the other: which records stand in both.

The rule: records are matched in order, as many as can be, and what is equal takes no memory. Equal stretches are skipped,
chunk by chunk. Where the lists differ, both are read for some ten thousand lines, twice as many if they do not find
together again, and matched there; what is sure of that counts, and from there it goes on. What is left over in both lists
has moved past what was matched: `elsewhere` matches it, the first of equal records with the first, and so on. The keys of
lines are their hashes, so what they match is compared byte by byte before it counts.

What is sure? Take a longest match of the two windows: a path through the grid of their lines, with a diagonal step for each
pair. Let c be a pair, and e the last one. A longest match of the whole lists is a path, too. If they meet anywhere from c
to e, then ours is as good as the other up to there, and so up to c. If they do not, the other one passes by on one side.
Where no line of the pairs from c to e stands twice, it matches none of them; so of the lines up to e of the list of which
it has read less, it gains at most those that we leave out, and loses these. If they are as many, ours is as long: what
stands before c is sure. Lines that stand twice in a window do not count for this, until it is MOST_LINES long. A line may
stand again beyond the windows; then the match may be shorter than the longest one, never wrong.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpifarm.tasks import tfin
from mpifarm.tasks.kept import Kept, Runs
from mpifarm.tasks.matching import longest_common
from mpifarm.tasks.sides import Between, Numbers, Records, Side, Window

FIRST_LINES = 16 * 1024  # of a window
MOST_LINES = 128 * 1024  # from then on lines count that are repeated
SURE_LINES = 256  # that there have to be more than the argument asks for


def compare(old: int, old_size: int, new: int, new_size: int, between: Between = lambda: None) -> Kept:
    """Return what stands in both of two .tfin files.

    *old*, *new*: descriptors, read by offset. What is behind the last newline is no record. *between* is called between
    reads, which may take long. Raises OSError.
    """
    before, after = Side(old, old_size, between), Side(new, new_size, between)
    runs = Runs()
    lines = FIRST_LINES
    while True:
        _skip_equal(before, after, runs)
        one, other = before.window(lines), after.window(lines)
        if not (one.keys.size and other.keys.size):
            break
        first, second = longest_common(one.keys, other.keys)
        if one.is_last and other.is_last:
            _count_in(before, after, one.records(first), other.records(second), runs)
            break
        sure = _sure(one, other, first, second)
        if not sure or not first[sure] + second[sure]:
            lines *= 2
            continue
        _count_in(before, after, one.records(first[:sure]), other.records(second[:sure]), runs)
        before.pass_by(one, int(first[sure]))
        after.pass_by(other, int(second[sure]))
        lines = FIRST_LINES
    return _with_elsewhere(before, after, runs)


def _with_elsewhere(before: Side, after: Side, runs: Runs) -> Kept:
    """Match what *runs* have left over in both, wherever it stands."""
    kept = runs.kept()
    old = before.left_over(kept.old, kept.length, kept.count)
    new = after.left_over(kept.new, kept.length, kept.count)
    if not (old.keys.size and new.keys.size):
        return kept
    nth_old, nth_new = _nth_of_equals(old.keys, new.keys)
    _, first, second = np.intersect1d(nth_old, nth_new, assume_unique=True, return_indices=True)
    order = np.argsort(first)
    runs.cross()
    _count_in(before, after, old.records.chosen(first[order]), new.records.chosen(second[order]), runs)
    return runs.kept()


def _nth_of_equals(one: Numbers, other: Numbers) -> tuple[Numbers, Numbers]:
    """Return for each key of both a number that tells the key, and the how manieth of that key on its side it is."""
    _, names = np.unique(np.concatenate((one, other)), return_inverse=True)
    names = names.reshape(-1)
    sides = (names[: one.size], names[one.size :])
    first, second = (side * names.size + _earlier_equals(side) for side in sides)
    return first, second


def _earlier_equals(values: Numbers) -> Numbers:
    """Return how many of *values* before each one are equal to it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    begins = np.flatnonzero(np.diff(ordered, prepend=-1))
    counts = np.empty_like(values)
    counts[order] = np.arange(values.size) - np.repeat(begins, np.diff(begins, append=values.size))
    return counts


def _skip_equal(before: Side, after: Side, runs: Runs) -> None:
    """Go on to the first record in which they differ."""
    want = tfin.CHUNK_BYTES
    while True:
        same = _common(before.read(before.at, want), after.read(after.at, want))
        whole = same.rfind(b"\n") + 1
        if whole:
            records = same.count(b"\n")
            runs.add(before.at, after.at, whole, before.seq, after.seq, records)
            before.advance(whole, records)
            after.advance(whole, records)
        if len(same) < want:
            return
        want = tfin.CHUNK_BYTES if whole else 4 * want


def _common(one: bytes, other: bytes) -> bytes:
    """Return what both begin with."""
    size = min(len(one), len(other))
    if one[:size] == other[:size]:
        return one[:size]
    differ = np.frombuffer(one[:size], np.uint8) != np.frombuffer(other[:size], np.uint8)
    return one[: int(differ.argmax())]


def _sure(one: Window, other: Window, first: Numbers, second: Numbers) -> int:
    """Return how many of the pairs of a longest match of two windows are sure; 0 if they are too short to tell."""
    if not first.size:
        return 0
    counts = np.ones(first.size, dtype=np.bool_)
    if max(one.keys.size, other.keys.size) < MOST_LINES:
        counts = _stands_once(one.keys)[first] & _stands_once(other.keys)[second]
    left_out = int(max(first[-1], second[-1])) + 1 - first.size
    enough = np.flatnonzero(np.cumsum(counts[::-1]) >= left_out + SURE_LINES)
    return first.size - 1 - int(enough[0]) if enough.size else 0


def _stands_once(keys: Numbers) -> NDArray[np.bool_]:
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    once: NDArray[np.bool_] = (counts == 1)[inverse.reshape(-1)]
    return once


def _count_in(before: Side, after: Side, one: Records, other: Records, runs: Runs) -> None:
    """Add the pairs of *one* and *other* whose records are equal byte by byte."""
    apart = (one.begins[1:] != one.ends[:-1]) | (other.begins[1:] != other.ends[:-1])
    bounds = np.concatenate(([0], np.flatnonzero(apart) + 1, [one.begins.size]))
    for whole in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True) if one.begins.size else ():
        stretches = [whole]
        while stretches:
            start, end = stretches.pop()
            old_at, old_to, new_at, new_to = map(int, (*one.bytes(start, end), *other.bytes(start, end)))
            if old_to - old_at == new_to - new_at and before.equals(old_at, after, new_at, old_to - old_at):
                runs.add(old_at, new_at, old_to - old_at, int(one.seqs[start]), int(other.seqs[start]), end - start)
            elif end - start > 1:  # somewhere in it two lines have the same hash
                middle = (start + end) // 2
                stretches += [(middle, end), (start, middle)]
