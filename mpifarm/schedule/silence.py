"""Who has been silent for too long. Pure, as the schedule is that asks it: `now` is an argument.

Its rule: a worker is taken for lost only for a silence that the manager has listened to, so all deadlines are on the clock
of `awake`, which stands still while the manager itself is away (suspended, or in a file system that hangs):

1. A worker that has said nothing for `lost_after_s` is lost. So is a rank that has not joined that long after the start.
2. After a stop that kills, one that still has leases is lost STOP_PATIENCE_S after its tasks have to be dead, whatever it
   says.

Rank 0 is this process, and never silent; but its launcher's helper may hang, and so the second one goes for it, too.
"""

from __future__ import annotations

from mpifarm.awake import AWAY_S, Awake
from mpifarm.schedule.workers import Workers

STOP_PATIENCE_S = 10.0  # how long a worker may take to say that all is dead, once it has to be
LOOK_S = 1.0  # how often to look for silent workers


class Silence:
    """The deadlines of those who should say something, on its own clock."""

    def __init__(self, lost_after_s: float, kill_after_s: float) -> None:
        """*kill_after_s* is between the TERM of a task and its KILL."""
        self._lost_after_s = lost_after_s
        self._kill_after_s = kill_after_s
        # Of each turn so much counts, whatever it was: a manager that is slow in every turn would wait for ever.
        self._counts_s = min(AWAY_S, lost_after_s / 8)
        self._clock: Awake | None = None
        self._look_at = float("-inf")
        self._join_by = float("inf")
        self._stop_by = float("inf")

    def awake(self, now: float) -> float:
        """It is *now*; return the time on the clock of this process's being awake."""
        if self._clock is None:
            self._clock = Awake(now)
            self._join_by = now + self._lost_after_s
        return self._clock.turn(now, slept_s=self._counts_s)

    def killing(self, now: float, at_once: bool) -> None:
        """All that runs is told to end, or is killed *at_once*."""
        patience_s = STOP_PATIENCE_S + (0.0 if at_once else self._kill_after_s)
        self._stop_by = min(self._stop_by, self.awake(now) + patience_s)  # a second stop gives no more time

    def too_long(self, workers: Workers, now: float) -> list[int]:
        """It is *now*, and all that has arrived was told; return the ranks that are lost. Looks every LOOK_S."""
        awake = self.awake(now)
        if awake < self._look_at:
            return []
        self._look_at = awake + LOOK_S
        silent = list(workers.expected) if awake > self._join_by else []
        for rank, worker in workers.by_rank.items():
            is_silent = rank and awake > worker.heard + self._lost_after_s  # rank 0 is this process
            if is_silent or (awake > self._stop_by and worker.leases):
                silent.append(rank)
        return silent
