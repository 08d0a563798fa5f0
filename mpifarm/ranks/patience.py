"""How long rank 0 waits for the reader of standard output when the farm is to stop. Pure: `now` is an argument.

The rule: no reader holds up a stop that kills. Who takes nothing is given READER_S, who goes on reading READER_MOST_S, as
much as a task has between TERM and KILL if nobody says otherwise; a stop that kills at once gives nothing. A drain waits
for as long as it takes.
"""

from __future__ import annotations

from mpifarm.schedule.answers import How

READER_S = 2.0
READER_MOST_S = 5.0


class Patience:
    """With one reader."""

    def __init__(self) -> None:
        self._killed_at: float | None = None
        self._taken = 0
        self._taken_at = 0.0

    def is_over(self, stopping: How | None, taken: int, now: float) -> bool:
        """Whether to give him up; *taken* is how much he has taken in all."""
        if stopping is None or stopping is How.DRAIN:
            return False
        if self._killed_at is None:
            self._killed_at = self._taken_at = now
        if taken != self._taken:
            self._taken, self._taken_at = taken, now
        until = min(self._taken_at + READER_S, self._killed_at + READER_MOST_S)
        return stopping is How.KILL_NOW or now >= until
