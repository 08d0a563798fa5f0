"""Numbers to draw: a million attempts as some hundred marks.

The rule: what is drawn is a sum or a mean over a bin, never a sample, so that nothing falls between two marks; and no
figure has more than MOST_MARKS. The axis of time has the pauses between two stretches left out: `worked`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpifarm.view.account import Account, Kind

MOST_MARKS = 1900
_BINS = 240  # of time
_BARS = 36  # of a histogram
_MOST_ROWS = 100  # nodes; more are shown in bands
_LEAST_S = 0.0005  # half of what the joblog can tell: a task that took no time at all

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Busy:
    """How many slots were busy, and how many there were, over the time worked."""

    edges: Floats  # seconds, shape (bins + 1,)
    busy: Floats  # shape (bins,): mean over a bin
    slots: Floats  # shape (bins,)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the nodes got on over the time worked: tasks that succeeded, a slot and hour."""

    edges: Floats  # seconds, shape (columns + 1,)
    names: list[str]  # of the rows: a node, or a band of them
    pace: Floats  # shape (rows, columns); nan: nothing ran


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many attempts lie between two edges, on an axis of logarithms."""

    edges: Floats
    succeeded: Numbers
    failed: Numbers


def worked(account: Account, times: Floats) -> Floats:
    """Return how long had been worked at *times*, Unix time, in seconds: without the pauses between stretches."""
    begins = np.array([stretch.begin for stretch in account.stretches])
    ends = np.array([stretch.end for stretch in account.stretches])
    before = np.concatenate(([0.0], np.cumsum(ends - begins)[:-1]))
    which = np.maximum(np.searchsorted(begins, times, side="right") - 1, 0)
    inside: Floats = before[which] + np.clip(times - begins[which], 0, (ends - begins)[which])
    return inside


def span(account: Account) -> float:
    """Return how long was worked in all, seconds."""
    return sum(stretch.end - stretch.begin for stretch in account.stretches)


def busy(account: Account, slots: list[int], lost: Floats) -> Busy:
    """Return how many of the *slots* of each stretch were busy; *lost*, shape (any, 2): when single ones were missing."""
    edges = np.linspace(0, max(span(account), _LEAST_S), _BINS + 1)
    begins, ends = worked(account, account.attempts.rows["start"]), worked(account, account.ends)
    ones = np.ones(begins.size)
    width = edges[1]
    bounds = worked(account, np.array([stretch.begin for stretch in account.stretches]))
    finishes = np.append(bounds[1:], edges[-1])
    there = _integral(edges, bounds, finishes, np.array(slots, dtype=float))
    missing = _integral(edges, worked(account, lost[:, 0]), worked(account, lost[:, 1]), np.ones(len(lost)))
    return Busy(edges, _integral(edges, begins, ends, ones) / width, (there - missing) / width)


def pace(account: Account) -> Pace:
    """Return how fast the nodes got on."""
    names = account.attempts.nodes
    count = len(names)
    rows = min(count, _MOST_ROWS)
    order = np.argsort(np.array(names))
    band = np.empty(count, dtype=np.int64)
    band[order] = np.arange(count) * rows // count
    columns = max(8, min(96, MOST_MARKS // max(rows, 1)))
    edges = np.linspace(0, max(span(account), _LEAST_S), columns + 1)
    attempts = account.attempts.rows
    begins, ends = worked(account, attempts["start"]), worked(account, account.ends)
    ends = np.maximum(ends, begins + _LEAST_S)
    of = band[attempts["node"]]
    good = account.of(Kind.SUCCEEDED)
    table = np.full((rows, columns), np.nan)
    which = np.argsort(of, kind="stable")
    bounds = np.searchsorted(of[which], np.arange(rows + 1))
    for row in range(rows):
        mine = which[bounds[row] : bounds[row + 1]]
        succeeded = mine[good[mine]]
        lengths = ends[succeeded] - begins[succeeded]
        tasks = _integral(edges, begins[succeeded], ends[succeeded], 1 / lengths)
        ran = _integral(edges, begins[mine], ends[mine], np.ones(mine.size))
        table[row] = np.where(ran > 1e-6 * edges[1], tasks, np.nan)
    slots = np.bincount(band, _slots(account), rows)
    table *= 3600 / edges[1] / np.maximum(slots, 1)[:, None]
    listed = [[names[place] for place in order[band[order] == row]] for row in range(rows)]
    titles = [each[0] if len(each) == 1 else f"{each[0]} to {each[-1]}" for each in listed]
    return Pace(edges, titles, np.maximum(table, 0))


def _slots(account: Account) -> Floats:
    """Return the largest number of a slot of each node."""
    most = np.zeros(len(account.attempts.nodes))
    np.maximum.at(most, account.attempts.rows["node"], account.attempts.rows["slot"])
    return most


def histogram(account: Account, values: Floats) -> Histogram:
    """Return how many attempts have which of *values*, positive ones, of all attempts."""
    edges = np.geomspace(*_range(values[values > 0]), _BARS + 1)
    counts = [
        np.histogram(np.clip(values[account.of(kind)], edges[0], edges[-1]), edges)[0]
        for kind in (Kind.SUCCEEDED, Kind.FAILED)
    ]
    return Histogram(edges, *counts)


def _range(values: Floats) -> tuple[float, float]:
    if not values.size:
        return 0.1, 10.0
    least, most = float(values.min()), float(values.max())
    return (least, most) if most > 1.2 * least else (least / 1.5, most * 1.5)


def _integral(edges: Floats, begins: Floats, ends: Floats, heights: Floats) -> Floats:
    """Return the integral over each bin of the sum of boxes, from *begins* to *ends*, of these *heights*.

    The integral up to an edge is a sum over the corners to the left of it, so the boxes are gone through once.
    """
    corners = np.concatenate((begins, ends))
    steps = np.concatenate((heights, -heights))
    bins = np.minimum(np.searchsorted(edges, corners, side="left"), edges.size)
    step = np.cumsum(np.bincount(bins, steps, edges.size + 1))[: edges.size]
    moment = np.cumsum(np.bincount(bins, steps * corners, edges.size + 1))[: edges.size]
    inside: Floats = np.diff(edges * step - moment)
    return inside
