"""Who is away in the simulation, for longer than any deadline: a worker, its node, a helper, rank 0, or all of them.

Events of the seed, from a source of chance of their own. Who is away takes no turn; time stands still for it, and all that
it should have done happens at once when it is back. Where tasks are suspended, too, they stand still as well.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Protocol

from mpifarm.schedule.answers import How

SLEEPS_S = (1.0, 5.0, 30.0, 100.0)  # a worker is lost after 10 s, and rank 0 may be away for 70 s
NEVER = float("-inf")
_MOST = 3  # absences of a kind in one run
_A_TURN = 0.02  # how likely one is in a turn, as long as more are to come


class ModelRank(Protocol):
    """A worker that may be away."""

    hangs_until: float

    def suspend(self, until: float, seconds: float) -> None:
        """Stand still with the tasks."""

    def suspend_helper(self, until: float) -> None:
        """Let the helper stand still, and neither the rank nor the tasks."""


class Absences:
    """The absences of one run."""

    def __init__(self, random: random.Random, calm: bool) -> None:
        self._random = random
        kinds = ("farm", "manager", "worker", "helper")
        self._left = {kind: 0 if calm or random.random() < 0.8 else random.randint(1, _MOST) for kind in kinds}
        self._quiet = not any(self._left.values())
        self.suspended_s = 0.0  # how long the whole farm stood still
        self.manager_until = NEVER  # rank 0 is away until then
        self.stops: list[tuple[float, How]] = []  # when somebody has waited for long enough

    def suspension(self) -> float:
        """Return for how long the whole farm stands still now: nearly always for no time."""
        if not self._comes("farm"):
            return 0.0
        seconds = self._random.choice(SLEEPS_S)
        self.suspended_s += seconds
        return seconds

    def begin(self, ranks: Mapping[int, ModelRank], now: float) -> None:
        """One of those who are there may go away now."""
        if self._quiet:
            return
        if self._comes("manager"):
            self.manager_until = now + self._random.choice(SLEEPS_S)
        workers = [rank for number, rank in ranks.items() if number]
        if workers and self._comes("worker"):
            seconds = self._random.choice(SLEEPS_S)
            self._random.choice(workers).suspend(now + seconds, seconds)
        if ranks and self._comes("helper"):
            who = min(ranks) if self._random.random() < 0.5 else self._random.choice(list(ranks))
            ranks[who].suspend_helper(now + self._random.choice(SLEEPS_S))
            if self._random.random() < 0.5:
                stop_at = now + self._random.choice(SLEEPS_S[:3])
                self.stops = [(stop_at, How.KILL), (stop_at + 10.0, How.KILL_NOW)]

    def _comes(self, kind: str) -> bool:
        if not self._left[kind] or self._random.random() > _A_TURN:
            return False
        self._left[kind] -= 1
        return True
