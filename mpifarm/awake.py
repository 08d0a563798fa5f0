"""A clock that stands still while this process does not run: absence is not silence.

A process may be away without knowing it: SIGSTOP, `scontrol suspend`, a file system that hangs. All that should have
happened meanwhile happens at once when it is back: others look silent, since nobody has listened to them, and tasks look
as if they had run for too long. So whoever judges by the time that has passed, judges by the time that it was awake.

The rule: between two turns of a loop lies what it has slept of its own accord, and less than AWAY_S beside that. What lies
there beyond it does not count.
"""

from __future__ import annotations

AWAY_S = 1.0  # between two turns, beside what was slept on purpose: this process was not there


class Awake:
    """The time that this process has been awake, in seconds, from a monotonic clock that it is shown every turn."""

    def __init__(self, now: float) -> None:
        self._shown = now
        self.away_s = 0.0  # in all

    def turn(self, now: float, slept_s: float = 0.0) -> float:
        """A turn begins, after a sleep of *slept_s* at the most; return the time on this clock."""
        beyond_s = now - self._shown - slept_s
        if beyond_s > AWAY_S:
            self.away_s += beyond_s
        self._shown = max(now, self._shown)
        return now - self.away_s

    def at(self, now: float) -> float:
        """Return the time on this clock in the middle of a turn."""
        return now - self.away_s
