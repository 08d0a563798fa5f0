"""The end of the job: when a farm stops because of it, and what that has cut off.

Three limits, all of them before the end: from the first one on nothing more is started, since it would hardly get done; at
the second one what runs is ended; at the third what has not obeyed is killed, and there is time left to write that down.
The end of the job goes before --kill-after: that has what there is of the margin, and no more. A job may be so short that
every start of the farm ends like this with nothing done: what was cut off is remembered here, so that people can be told.

A job that Slurm suspends ends later by as long: so do the limits, if the end was asked of Slurm, and what people are told
of it: they all ask here for the end. Somebody who was away for
longer than a file system hangs was suspended, or will be told by Slurm's TERM that it was something else.
"""

from __future__ import annotations

import math

from mpifarm import FarmError
from mpifarm.journal.lines import Attempt
from mpifarm.schedule.answers import How
from mpifarm.settings import Config
from mpifarm.words import duration

MARGIN_S = 60.0
FLUSH_S = 5.0  # between the last KILL and the end of the job, where there is time for it: all is written down in it
LEAST_S = 0.1  # how long before the end what runs is ended, in a job that has hardly begun
SUSPENDED_S = 60.0  # between two turns: not a file system that hung


class Deadline:
    """The end of the job of one farm."""

    def __init__(self, config: Config, end: float | None, now: float) -> None:
        """*end* is when the job ends (monotonic, seconds), None if it does not."""
        self.end = end  # as it stands now
        self._limits = _limits(config, end, now)
        self._moves = config.walltime_s is None
        self._stopped: How | None = None  # how it has stopped the farm
        self.interrupted = 0  # tasks that it has cut off
        self.longest: Attempt | None = None  # of them

    @property
    def stopped(self) -> bool:
        """Whether the end of the job has stopped the farm, and not somebody before, as hard."""
        return self._stopped is not None

    @property
    def ends_tasks(self) -> bool:
        """Whether what is interrupted now is so because of it."""
        return self._stopped not in (None, How.DRAIN)

    @property
    def next_at(self) -> float:
        """When the next limit comes."""
        return self._limits[0][0] if self._limits else math.inf

    def take(self, now: float, stopping: How | None) -> tuple[How, str] | None:
        """Return how to stop now, and why, once for each limit; *stopping* is how the farm is stopping already."""
        if not self._limits or now < self._limits[0][0]:
            return None
        _, how, why = self._limits.pop(0)
        if stopping is None or stopping < min(how, How.KILL):  # whose TERM it was, his is the KILL
            self._stopped = how
        return how, why

    def was_away(self, away_s: float) -> None:
        """So long this process did not run, between two turns of its loop."""
        if self._moves and away_s > SUSPENDED_S:
            self._limits = [(moment + away_s, how, why) for moment, how, why in self._limits]
            self.end = None if self.end is None else self.end + away_s

    def cut_off(self, attempt: Attempt) -> None:
        """Remember an attempt that it has interrupted."""
        self.interrupted += 1
        if self.longest is None or attempt.seconds > self.longest.seconds:
            self.longest = attempt


def refuse_short_job(config: Config, end: float | None, now: float) -> None:
    """Raise FarmError if the options leave no time to start anything in a job that ends at *end* (monotonic, seconds)."""
    asked = {"--time-request": config.time_request_s, "--margin": config.margin_s or 0.0}
    for option, asked_s in asked.items():
        left_s = max(0.0, (end or 0.0) - now)
        if end is not None and asked_s and asked_s >= left_s:
            longer = f"{option} {duration(asked_s)} is longer than the job: {duration(left_s)} are left"
            raise FarmError(f"{longer}: give less, or ask for a longer job")


def _limits(config: Config, end: float | None, now: float) -> list[tuple[float, How, str]]:
    """Return when to stop, how, and why, for a job that ends at *end* (monotonic, seconds)."""
    if end is None:
        return []
    margin_s = min(MARGIN_S, max(0.0, end - now) / 4) if config.margin_s is None else config.margin_s
    last_s = max(LEAST_S, min(config.kill_after_s + FLUSH_S, margin_s))
    start_s = max(margin_s, config.time_request_s, last_s)
    kill_s = max(last_s - config.kill_after_s, min(FLUSH_S, last_s / 2))
    return [
        (end - start_s, How.DRAIN, f"the job ends in {duration(start_s)}: starting nothing more"),
        (end - last_s, How.KILL, f"the job ends in {duration(last_s)}: ending what runs"),
        (end - kill_s, How.KILL_NOW, f"the job ends in {duration(kill_s)}: killing what has not ended"),
    ]
