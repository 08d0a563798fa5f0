"""How long a rank sleeps between two looks at MPI when nothing happens. Pure: `now` is an argument.

The rule: a small part of the time since something last did. So the delay that polling adds to a task is a small part of the
task, and a rank that is idle for long is idle.
"""

from __future__ import annotations

LONGEST_WAIT_S = 0.1
IDLE_PART = 64


class Backoff:
    """Of one rank."""

    def __init__(self, now: float, shortest_s: float) -> None:
        self._since = now
        self._shortest_s = shortest_s

    def reset(self, now: float) -> None:
        """Something has happened."""
        self._since = now

    def wait_s(self, now: float) -> float:
        """Return how long to sleep now."""
        return min(max((now - self._since) / IDLE_PART, self._shortest_s), LONGEST_WAIT_S)
