"""When something is to be done about the attempts that run: a heap.

A deadline is for one attempt, and carries its serial number: the slot may have another one by then. Those of attempts
that have ended are passed over, and cleared out when they are many, as where each of a million tasks has an hour.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from mpifarm.launcher.slot import Slot

STALE = 64  # that are kept, beyond four a slot


class Deadlines:
    """The deadlines of all attempts in *slots*; times are of the helper's clock."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        self._heap: list[tuple[float, int, int]] = []  # (when, serial, slot index)

    @property
    def next_at(self) -> float:
        """When the next one is, or was for an attempt that has ended since."""
        return self._heap[0][0] if self._heap else math.inf

    def add(self, when: float, slot: Slot) -> None:
        """Let `pop` return *slot* at *when*, if the attempt that is there now has not ended by then."""
        heapq.heappush(self._heap, (when, slot.serial, slot.index))
        if len(self._heap) > 4 * len(self._slots) + STALE:
            self._heap = [entry for entry in self._heap if self._stands(entry)]
            heapq.heapify(self._heap)

    def pop(self, now: float) -> Slot | None:
        """Return a slot whose deadline has come, the earliest first; None if there is none."""
        while self._heap and self._heap[0][0] <= now:
            deadline = heapq.heappop(self._heap)
            if self._stands(deadline):
                return self._slots[deadline[2]]
        return None

    def _stands(self, deadline: tuple[float, int, int]) -> bool:
        _, serial, index = deadline
        return self._slots[index].serial == serial and self._slots[index].pid != 0
