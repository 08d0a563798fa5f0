"""How fast a run goes: how long its attempts take, since when the running ones run, what that says of the end.

The rule: nothing here is done for a task. Of the reports a sample is looked at, and since when a task runs the `seniors`
know by how far dealing had come at which moment. What the bar and the status file say of the end is the same estimate.
"""

from __future__ import annotations

import time
from collections import deque

import numpy as np

from mpifarm.journal.lines import in_one_line
from mpifarm.ranks.custody import Custody
from mpifarm.ranks.deadline import Deadline
from mpifarm.ranks.seniors import Seniors
from mpifarm.ranks.wire import Report
from mpifarm.schedule.answers import Running
from mpifarm.schedule.schedule import Schedule
from mpifarm.texts import LONGEST_LINE, shown
from mpifarm.view.bar import Numbers, Oldest
from mpifarm.view.earlier import Earlier
from mpifarm.view.estimate import End, Left, RunTimes

TICK_S = 1.0
_WINDOW = 60  # ticks that the rate is of
_MOST_AGES = 1000
_ESTIMATE_S = 10.0  # between two estimates: each takes up to 30 ms


class Pace:
    """The pace of one run."""

    def __init__(self, schedule: Schedule, custody: Custody, deadline: Deadline, now: float, earlier: Earlier) -> None:
        self.times = RunTimes()
        self.seniors = Seniors(custody.dealt_to)
        self.cpu_s = 0.0  # of the attempts in the sample
        self.slots_s = 0.0  # that there were
        self._schedule, self._custody, self._deadline = schedule, custody, deadline
        self._earlier = earlier
        self._rates: deque[tuple[float, int]] = deque(maxlen=_WINDOW)
        self.ticked = self._began = now
        self._estimated = float("-inf")
        self._end: End | None = None  # as estimated then
        self._idle_s = 0.0

    def ended(self, report: Report) -> None:
        """Attempts have ended, none of them stopped."""
        if self.times.room:
            self.times.take(report.ended["seconds"])
            self.cpu_s += sum(report.ended["user_s"].tolist()) + sum(report.ended["system_s"].tolist())

    def turn(self, now: float) -> None:
        """Dealing may have come further."""
        self.seniors.dealt(self._custody.dealt_to, now)

    def tick(self, now: float) -> None:
        """It is *now*: to be called about once a second, and in the end."""
        slots = sum(slots for _, slots in self._schedule.workers.values())
        self.slots_s += slots * (now - self.ticked)
        self.ticked = now
        self._rates.append((now, self._schedule.done))
        self.times.refill()

    def numbers(self, total: int, before: int, unread: int, now: float) -> Numbers:
        """Return how far the run is: of *total* tasks, *before* were done by earlier runs, and *unread* are not yet."""
        counts = self._schedule.counts
        left = self._left()
        end = self.end(now)
        within = self._deadline.end - now if self._deadline.end is not None else None
        at = time.time()
        (began, first), (last, done) = self._rates[0], self._rates[-1]
        return Numbers(
            total, before + counts.done - unread, counts.done - unread, counts.failed,
            left.waiting, left.running, left.slots,
            (done - first) / (last - began) if last > began else 0.0,
            at, end, None if within is None else at + within,
            left.after(within, end) if end and within is not None else 0,
            self._oldest(now) if not left.waiting and left.running < left.slots else None,
            self.times.quantile_s(0.5) if self.times.ended else 0.0, self.times.ended,
        )  # fmt: skip

    def end(self, now: float) -> End | None:
        """Return when all will have ended, None if too little is known; it is estimated anew now and then."""
        if now - self._estimated >= min(_ESTIMATE_S, (now - self._began) / 10):
            self._estimate(self._left(), now)
        return self._end and self._end.after(now - self._estimated)

    @property
    def attempts(self) -> int:
        """How many have ended by themselves."""
        counts = self._schedule.counts
        return counts.done + counts.failed_attempts

    @property
    def busy(self) -> float:
        """Which share of the time of the slots attempts took that have ended by themselves, 0 to 1."""
        return min(1.0, self.times.mean_s * self.attempts / self.slots_s) if self.slots_s else 0.0

    @property
    def used_cpu_s(self) -> float:
        """CPU time of the attempts."""
        return self.cpu_s / self.times.ended * self.attempts if self.times.ended else 0.0

    def _estimate(self, left: Left, now: float) -> None:
        self._estimated = now
        ages = np.array([self._age(one, now) for one in self._schedule.running_ones(_MOST_AGES)])
        if left.waiting and self.attempts:
            idle_s = (
                self.slots_s - self.times.mean_s * self.attempts - (float(ages.mean()) * left.running if ages.size else 0)
            )
            self._idle_s = max(0.0, idle_s / self.attempts)
        earlier = self._earlier.times() if left.running else None  # it is not read before the first tasks are dealt
        self._end = self.times.end(left._replace(idle_s=self._idle_s), ages, earlier)

    def _left(self) -> Left:
        counts, running = self._schedule.counts, self._schedule.running
        slots = sum(slots for _, slots in self._schedule.workers.values())
        return Left(max(0, counts.waiting + counts.leased - running), running, slots)

    def _age(self, one: Running, now: float) -> float:
        return now - self.seniors.since(one.rank, one.offset, one.attempt, now)

    def _oldest(self, now: float) -> Oldest | None:
        running = [(self._age(one, now), one) for one in self._schedule.running_ones(_MOST_AGES)]
        if not running:
            return None
        age, one = max(running)
        command = self._custody.peek(one.offset, one.length)
        return Oldest(age, one.node, shown(in_one_line(command), LONGEST_LINE))
