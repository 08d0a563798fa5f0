"""Which nodes are slower than the others, by median and MAD (the median of the deviations from the median).

The rule: a node is held against the others and never against itself, since with two or three nodes it is itself much of
what they have in common. One is slow only if it is so by a factor that people would notice, and beyond what the others
differ by among each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

LEAST_FACTOR = 1.5
_MADS = 4.5  # three standard deviations, if times were normal
_FEW = 64  # nodes, up to which each is taken out; of more one counts for little


def factors(times: Sequence[float]) -> list[float]:
    """Return by which factor each node is slower than the others, 0 if it is not; of nan nothing is known. *times*: of a
    typical task on each, in seconds."""
    known = [time for time in times if not math.isnan(time)]
    if len(known) < 2:
        return [0.0] * len(times)
    if len(known) > _FEW:
        common = _typical(known)
        return [_factor(time, *common) for time in times]
    found = []
    for place, time in enumerate(times):
        others = [other for at, other in enumerate(times) if at != place and not math.isnan(other)]
        found.append(_factor(time, *_typical(others)) if others else 0.0)
    return found


def _typical(times: Sequence[float]) -> tuple[float, float]:
    middle = median(times)
    return middle, median(abs(time - middle) for time in times)


def _factor(time: float, middle: float, mad: float) -> float:
    is_slow = time >= LEAST_FACTOR * middle and time > middle + _MADS * mad
    return time / middle if is_slow and middle > 0 else 0.0
