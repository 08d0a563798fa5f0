"""When a run will have ended: a range, from the run times so far and by list scheduling of what is left on the slots.

Its rule: it says no more than it knows. What has ended so far is rather short, and what runs has taken so long already, so
both are counted (Kaplan and Meier); each of ROUNDS rounds plays the rest with a distribution that may as well have shown
these run times (a beta-Stacy process), and the range is where most rounds end. With few data it is rough, or nothing; what
earlier runs of the list took (`earlier`) stands in for what is lacking.

Memory does not grow: run times are counted in bins a few percent wide. Neither does time: of a long queue only the last
tasks are played, on MOST_SLOTS slots at most, and all before them keep the slots busy for their mean.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_ENDED = 5  # with fewer nothing is said
ENOUGH_ENDED = 30  # and with fewer than that it is rough
MOST_SLOTS = 128  # that are played
_ENOUGH_A_SLOT = 3
ROUNDS = 48
MOST_TAKEN = 200  # arrays between two refills: a sample is as good

_SHORTEST_S = 1e-3
_BINS = 512
_A_BIN = math.log(1e10) / _BINS  # up to 10^7 s
_PLAYED = 3  # tasks a slot
_LOW, _HIGH = 0.02, 0.98
_UNKNOWN = 0.4  # of the tasks: what they take is not known at all
_ROUGH = 0.5  # of the time that is left: a range that is wider
_UNSEEN = 0.5  # tasks longer than any that is known, beside those that have ended
_UPPER, _LEAST_UPPER = 0.1, 10  # of what has ended, that tell of what takes longer than any
_BEYOND = 8  # values for that
_MOST_GROWTH = 0.8
_FOLD_AT = 8192


class End(NamedTuple):
    """When all tasks will have ended, in seconds from now."""

    low_s: float
    high_s: float
    likely_s: float
    rough: bool  # say it with one number
    per_s: float  # tasks that end in a second until then

    def after(self, seconds: float) -> End:
        """Return the same, so many *seconds* later."""
        low, high, likely = (max(0.0, there - seconds) for there in (self.low_s, self.high_s, self.likely_s))
        return End(low, high, likely, self.rough, self.per_s)


class Left(NamedTuple):
    """What there is to do."""

    waiting: int  # tasks that no slot has begun
    running: int
    slots: int
    idle_s: float = 0.0  # of a slot between two tasks, in the mean

    def after(self, within_s: float, end: End) -> int:
        """Return how many tasks will not have ended in so many seconds from now; 0 if, most likely, all will."""
        tasks = self.waiting + self.running
        return 0 if end.likely_s <= within_s else min(tasks, max(1, round(tasks - end.per_s * max(0.0, within_s))))


class RunTimes:
    """How long attempts took."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS)
        self._sums = np.zeros(_BINS)
        self._new: list[float] = []
        self.room = MOST_TAKEN  # for so many columns, until the next refill

    def take(self, seconds: NDArray[np.floating]) -> None:
        """These attempts have ended: a column of any length, in seconds. Without `room` they are not in the sample."""
        if not self.room:
            return
        self.room -= 1
        self._new += seconds.tolist()
        if len(self._new) >= _FOLD_AT:
            self._fold()

    def refill(self) -> None:
        """Take as many again: to be called about once a second."""
        self.room = MOST_TAKEN

    @property
    def ended(self) -> int:
        """How many are known."""
        self._fold()
        return int(self._counts.sum())

    @property
    def mean_s(self) -> float:
        """How long they took in the mean; 0 if none is known."""
        ended = self.ended
        return float(self._sums.sum()) / ended if ended else 0.0

    def quantile_s(self, share: float) -> float:
        """Return what *share* (0 to 1) of them did not exceed, to a few percent; nan if none is known."""
        ended = self.ended
        if not ended:
            return math.nan
        at = int(np.searchsorted(self._counts.cumsum(), share * ended))
        return float(self._means()[min(at, _BINS - 1)])

    def end(self, left: Left, ages_s: Array, earlier: RunTimes | None = None) -> End | None:
        """Return when what is *left* will have ended, None if too little is known.

        *ages_s*: how long what runs has been running, as far as that is known: at most as many as are running. *earlier*
        run times count for as many tasks as there are too few to say it without them.
        """
        enough = max(ENOUGH_ENDED, _ENOUGH_A_SLOT * left.slots)
        counts, means = self._with(earlier, enough - self.ended)
        if counts.sum() < LEAST_ENDED or left.slots < 1 or left.waiting + left.running < 1:
            return None
        rng = np.random.default_rng(1)
        times = _Times(counts, means, ages_s, rng)
        if times.unknown > _UNKNOWN:
            return None
        occupied = times.mean_s + left.idle_s
        ends = _play(left, ages_s, times, rng)
        low, likely, high = (float(value) for value in np.quantile(ends, (_LOW, 0.5, _HIGH)))
        few = self.ended < enough or times.unknown > _UNKNOWN / 4
        rough = few or high - low > _ROUGH * likely
        return End(
            low, high, likely, rough, min(left.slots, left.waiting + left.running) / max(float(occupied.mean()), 1e-9)
        )

    def _with(self, earlier: RunTimes | None, lacking: int) -> tuple[Array, Array]:
        """Return the counts, and the mean run time of each bin, with as many *earlier* ones as are *lacking*."""
        if not earlier or lacking <= 0 or not earlier.ended:
            return self._counts, self._means()
        both, share = RunTimes(), min(1.0, lacking / earlier.ended)
        both._counts = self._counts + share * earlier._counts
        both._sums = self._sums + share * earlier._sums
        return both._counts, both._means()

    def _fold(self) -> None:
        if self._new:
            seconds = np.array(self._new)
            self._new.clear()
            bins = _bin(seconds)
            self._counts += np.bincount(bins, minlength=_BINS)
            self._sums += np.bincount(bins, weights=seconds, minlength=_BINS)

    def _means(self) -> Array:
        """Return what the run times of each bin are in the mean."""
        middle: Array = _SHORTEST_S * np.exp(_A_BIN * (np.arange(_BINS) + 0.5))
        np.divide(self._sums, self._counts, out=middle, where=self._counts > 0)
        return middle


class _Times:
    """One distribution of run times for each round."""

    def __init__(self, counts: Array, means: Array, ages_s: Array, rng: np.random.Generator) -> None:
        running = np.bincount(_bin(ages_s), minlength=_BINS)
        at_risk = (counts + running)[::-1].cumsum()[::-1] + _UNSEEN
        seen = np.flatnonzero(counts)
        hazard = rng.beta(counts[seen], at_risk[seen] - counts[seen], (ROUNDS, seen.size))
        alive = np.cumprod(1 - hazard, axis=1)
        beyond = _beyond(counts, running, means, max(float(means[seen[-1]]), float(ages_s.max(initial=0.0))))
        self._values = np.append(means[seen], beyond)
        parts = alive[:, -1:] * np.arange(_BEYOND - 1, -1, -1) / _BEYOND
        self._below = np.concatenate((1 - alive, 1 - parts), axis=1)  # of the probability, up to each value
        share = np.diff(self._below, axis=1, prepend=0.0)
        self.mean_s: Array = share @ self._values
        self.spread_s: Array = np.sqrt((share @ self._values**2 - self.mean_s**2).clip(min=0.0))
        self.unknown = float(alive[:, -1].mean())  # share of the tasks that take longer than any that is known

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Return *size* run times for each round: (rounds, size)."""
        return self._at(rng.random((ROUNDS, size)))

    def draw_rest(self, rng: np.random.Generator, ages_s: Array) -> Array:
        """Return how long tasks of these ages, (rounds, n), will go on."""
        gone = np.empty_like(ages_s)
        for row, below, ages in zip(gone, self._below, ages_s, strict=True):
            row[:] = np.append(0.0, below)[np.searchsorted(self._values, ages, side="right").clip(max=below.size - 1)]
        drawn = self._at(gone + (1 - gone) * rng.random(ages_s.shape))
        return np.maximum(drawn - ages_s, 0.0)

    def _at(self, share: Array) -> Array:
        rows = [self._values[np.searchsorted(below, row)] for below, row in zip(self._below, share, strict=True)]
        return np.array(rows)


def _beyond(counts: Array, running: NDArray[np.intp], means: Array, longest_s: float) -> Array:
    """Return run times for what takes longer than any that is known: the upper ones tell how fast they grow (Hill)."""
    above = counts[::-1].cumsum()[::-1]  # that have ended in this bin or a later one
    last = max(_LEAST_UPPER, _UPPER * float(above[0]))
    first = int(np.searchsorted(-above, -last, side="right")) - 1  # with so many, at least
    first = max(first, int(np.flatnonzero(counts)[0]))
    logs = np.log(means[first:].clip(min=1e-12))
    excess = (logs - logs[0]).clip(min=0.0)
    growth = float(((counts + running)[first:] * excess).sum() / above[first])
    shares = (np.arange(_BEYOND) + 0.5) / _BEYOND
    return np.asarray(longest_s * (1 - shares) ** -min(growth, _MOST_GROWTH))


def _play(left: Left, ages_s: Array, times: _Times, rng: np.random.Generator) -> Array:
    """Return when each round ends, in seconds from now."""
    slots = min(left.slots, MOST_SLOTS)
    scale = left.slots / slots
    waiting, running = math.ceil(left.waiting / scale), min(slots, math.ceil(left.running / scale))
    known = ages_s if ages_s.size else np.zeros(1)
    free = np.zeros((ROUNDS, slots))
    if running:
        ages = np.tile(known, (ROUNDS, -(-running // known.size)))
        free[:, :running] = times.draw_rest(rng, rng.permuted(ages, axis=1)[:, :running])
    played = min(waiting, _PLAYED * slots)
    before = max(0.0, left.waiting - played * scale)
    spread = times.spread_s * rng.standard_normal(ROUNDS) * math.sqrt(before)
    free += ((before * (times.mean_s + left.idle_s) + spread) / left.slots).clip(min=0.0)[:, None]
    rows = np.arange(ROUNDS)
    for drawn in times.draw(rng, played).T:
        free[rows, free.argmin(axis=1)] += drawn + left.idle_s
    if scale <= 1:
        last: Array = free.max(axis=1)
        return last
    # of as many as there are, the last one: each is one of those that were played
    first = free.min(axis=1)
    after = np.sort((free - first[:, None]).ravel())
    chosen = rng.random(ROUNDS) ** (1 / left.slots)
    ends: Array = first + after[(chosen * after.size).astype(int).clip(max=after.size - 1)]
    return ends


def _bin(seconds: NDArray[np.floating]) -> NDArray[np.intp]:
    bins = np.log(np.maximum(seconds, _SHORTEST_S) / _SHORTEST_S) / _A_BIN
    places: NDArray[np.intp] = np.minimum(bins, _BINS - 1).astype(np.intp)
    return places
