"""Who has been silent for too long. Pure, as the schedule is that asks it: `now` is an argument.

Its rule: a worker is taken for lost only for a silence that the manager has listened to. Three deadlines:

1. A worker that has said nothing for `lost_after_s` is lost. So is a rank that has not joined that long after the start.
2. After a stop that kills, one that still has leases is lost STOP_PATIENCE_S later, whatever it says.
3. If the manager itself was away (a file system that hung), nobody could be heard: that time is added to everybody's.

Rank 0 is this process, and never silent.
"""

from __future__ import annotations

from mpifarm.schedule.workers import Workers

STOP_PATIENCE_S = 15.0  # how long after a stop that kills a worker may take to say that all is dead
LOOK_S = 1.0  # how often to look for silent workers


class Silence:
    """The deadlines of those who should say something."""

    def __init__(self, lost_after_s: float) -> None:
        self._lost_after_s = lost_after_s
        self._ticked = float("inf")
        self._look_at = float("-inf")
        self._away_s = 0.0
        self._join_by: float | None = None
        self._stop_by = float("inf")

    def killing(self, now: float) -> None:
        """All that runs is told to end."""
        self._stop_by = now + STOP_PATIENCE_S

    def too_long(self, workers: Workers, now: float) -> list[int]:
        """It is *now*, and all that has arrived was told; return the ranks that are lost. Looks every LOOK_S."""
        self._away_s += max(0.0, now - self._ticked - LOOK_S)
        self._ticked = now
        return self._look(workers, now) if now >= self._look_at else []

    def _look(self, workers: Workers, now: float) -> list[int]:
        """Find the silent ones. What the manager was away itself is added to their time."""
        self._look_at = now + LOOK_S
        away_s, self._away_s = self._away_s, 0.0
        self._join_by = now + self._lost_after_s if self._join_by is None else self._join_by + away_s
        silent = list(workers.expected) if now > self._join_by else []
        for rank, worker in workers.by_rank.items():
            worker.heard = min(now, worker.heard + away_s)
            too_long = now > worker.heard + self._lost_after_s or (now > self._stop_by and worker.leases)
            if too_long and rank:  # rank 0 is this process
                silent.append(rank)
        return silent
