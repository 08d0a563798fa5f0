"""How long tasks have run and how much memory they took: counted, in memory that does not grow with their number.

The rule: an end costs rank 0 next to nothing. What was recorded in a turn is put aside as it is, and counted with numpy,
many turns at a time. A value falls into one of the bins of a logarithmic scale, EIGHTHS to a factor of two, so that a
quantile is told to within 9 %; the least and the largest are kept as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EIGHTHS = 8  # bins to a factor of two
LEAST_S = 0.001
LEAST_KIB = 1.0
RELATIVE = 2 ** (1 / EIGHTHS) - 1  # by which a quantile may be wrong

_BINS = EIGHTHS * 36  # up to two years, and 64 TiB
_MOST = 1e15
_COARSE = 2  # bins of the scale that are one for a node
_MOST_PUT_ASIDE = 4096  # ends

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Rows = NDArray[np.void]  # with the fields seconds and rss_kib


class Histogram:
    """Values on a logarithmic scale."""

    def __init__(self, least: float) -> None:
        """What is not above *least* falls into one bin."""
        self._least = least
        self._counts = np.zeros(_BINS, dtype=np.int64)
        self.count = 0
        self.smallest, self.largest = np.inf, 0.0

    def add(self, values: Floats) -> Counts:
        """Count *values*, shape (n,); return the bin of each."""
        values = np.clip(np.nan_to_num(values), 0.0, _MOST)  # a clock that was set back, say
        places = _bins(values, self._least)
        self._counts += np.bincount(places, minlength=_BINS)
        self.count += values.size
        self.smallest = min(self.smallest, float(values.min(initial=np.inf)))
        self.largest = max(self.largest, float(values.max(initial=0.0)))
        return places

    def quantile(self, share: float) -> float:
        """Return what a *share*, 0 to 1, of the values does not exceed, to within RELATIVE; nan if there are none."""
        if not self.count:
            return float("nan")
        return min(max(_quantile(self._counts, share, self._least), self.smallest), self.largest)


class Tally:
    """The ends of tasks that succeeded, by node."""

    def __init__(self, fields: np.dtype[np.void]) -> None:
        """*fields*: the record of an end. A node is a number."""
        self.seconds = Histogram(LEAST_S)
        self.rss_kib = Histogram(LEAST_KIB)
        self._fields = fields
        self._by_node = np.zeros((0, _BINS // _COARSE), dtype=np.uint32)
        self._aside: list[Rows] = []
        self._nodes: list[int] = []  # of those put aside
        self._counts: list[int] = []  # on each of them
        self._size = 0

    def add(self, nodes: Sequence[int], counts: Sequence[int], ended: Rows) -> None:
        """Tasks have succeeded: as many of *ended*, one behind the other, on each of *nodes* as *counts* says."""
        self._aside.append(ended)
        self._nodes += nodes
        self._counts += counts
        self._size += ended.size
        if self._size >= _MOST_PUT_ASIDE:
            self.settle()

    def settle(self) -> None:
        """Count what was put aside."""
        if not self._size:
            return
        rows = np.frombuffer(b"".join([part.tobytes() for part in self._aside]), dtype=self._fields)
        nodes = np.repeat(self._nodes, self._counts)
        self._aside, self._nodes, self._counts, self._size = [], [], [], 0
        self.rss_kib.add(rows["rss_kib"].astype(np.float64))
        places = self.seconds.add(rows["seconds"].astype(np.float64)) // _COARSE
        self._grow(int(nodes.max()) + 1)
        np.add.at(self._by_node.reshape(-1), nodes * self._by_node.shape[1] + places, np.uint32(1))

    def counts(self) -> list[int]:
        """Return how many have succeeded on each node."""
        counts: list[int] = self._by_node.sum(axis=1).tolist()
        return counts

    def medians(self, least: int) -> list[float]:
        """Return the median run time of each node, seconds; nan of one on which fewer than *least* have succeeded."""
        running = np.cumsum(self._by_node, axis=1, dtype=np.uint32)
        totals = running[:, -1]
        places = (running < np.maximum((totals + 1) // 2, 1)[:, None]).sum(axis=1)
        middles = LEAST_S * 2 ** ((places + 0.5) * _COARSE / EIGHTHS)
        medians: list[float] = np.where(totals >= least, middles, np.nan).tolist()
        return medians

    def _grow(self, nodes: int) -> None:
        have = self._by_node.shape[0]
        if nodes > have:
            more = np.zeros((max(nodes, 2 * have) - have, self._by_node.shape[1]), dtype=np.uint32)
            self._by_node = np.concatenate((self._by_node, more))


def _bins(values: Floats, least: float) -> Counts:
    scaled = np.maximum(values, least) / least
    return np.minimum((EIGHTHS * np.log2(scaled)).astype(np.int64), _BINS - 1)


def _quantile(counts: Counts, share: float, least: float) -> float:
    """Return the middle of the bin that a quantile falls into."""
    running = np.cumsum(counts)
    wanted = max(1, int(np.ceil(share * int(running[-1]))))
    return float(least * 2 ** ((int(np.searchsorted(running, wanted)) + 0.5) / EIGHTHS))
