"""How many tasks a worker asks for: its one judgement.

Free slots, plus just enough to keep them busy while a report and a grant are on their way. Of tasks that take seconds that
is nothing, so a long task never waits here while a slot elsewhere is idle.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUND_TRIP_S = 0.1  # a batch of ends, a report, the manager's turn and a grant, with everybody's sleeps
LONG_S = 1.0  # tasks that take so long are not prefetched: next to them a round trip is nothing
MOST_AHEAD = 1024  # tasks held beyond the slots


class Credit:
    """What a worker with *slots* slots can take."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._mean_s = LONG_S  # of the attempts' wall time, recent ones weighing more
        self._ahead = 0  # tasks to hold beyond the slots

    def ended(self, seconds: NDArray[np.float64]) -> None:
        """Attempts have ended that took *seconds*."""
        self._mean_s += (float(seconds.mean()) - self._mean_s) * min(1.0, seconds.size / 8)
        self._ahead = 0
        if self._mean_s < LONG_S:
            self._ahead = min(MOST_AHEAD, int(self._slots * ROUND_TRIP_S / max(self._mean_s, 1e-6)))

    def free(self, held: int) -> int:
        """Return how many more it can take, with *held* tasks."""
        return max(0, self._slots + self._ahead - held)

    def is_enough(self, held: int) -> bool:
        """Whether *held* tasks keep it busy for a while."""
        return held >= self._slots + self._ahead // 2
