"""How fast a run goes: how long its attempts take, since when the running ones run, what that says of the end.

The rule: nothing here is done for a task. Of the reports a sample is looked at, and since when a task runs is known by how
far dealing had come at which moment.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from itertools import islice

import numpy as np

from mpifarm.journal.lines import in_one_line
from mpifarm.ranks.custody import Custody
from mpifarm.ranks.wire import Report
from mpifarm.schedule.schedule import Schedule
from mpifarm.texts import LONGEST_LINE, shown
from mpifarm.view.bar import Numbers, Oldest
from mpifarm.view.estimate import End, Left, RunTimes

TICK_S = 1.0
_WINDOW = 60  # ticks that the rate is of
_MOST_MARKS = 1024
_MOST_AGES = 1000
_ESTIMATE_S = 10.0  # between two estimates: each takes up to 30 ms


class Pace:
    """The pace of one run."""

    def __init__(self, schedule: Schedule, custody: Custody, now: float, end: float | None) -> None:
        """*end*: of the job (monotonic, seconds)."""
        self.times = RunTimes()
        self.cpu_s = 0.0  # of the attempts in the sample
        self.slots_s = 0.0  # that there were
        self._schedule, self._custody, self._job_end = schedule, custody, end
        self._marks: deque[tuple[int, float]] = deque()  # records dealt, and when
        self._rates: deque[tuple[float, int]] = deque(maxlen=_WINDOW)
        self.ticked = self._began = now
        self._estimated = float("-inf")
        self._end: End | None = None  # as estimated then
        self._idle_s = 0.0

    def ended(self, report: Report) -> None:
        """Attempts have ended, none of them stopped."""
        if self.times.take(report.ended["seconds"]):
            self.cpu_s += sum(report.ended["user_s"].tolist()) + sum(report.ended["system_s"].tolist())

    def tick(self, now: float) -> None:
        """It is *now*: to be called about once a second, and in the end."""
        slots = sum(slots for _, slots in self._schedule.workers.values())
        self.slots_s += slots * (now - self.ticked)
        self.ticked = now
        self._rates.append((now, self._schedule.done))
        self._marks.append((self._custody.records_dealt, now))
        if len(self._marks) > _MOST_MARKS:
            self._marks = deque(islice(self._marks, 0, None, 2))
        self.times.refill()

    def numbers(self, total: int, before: int, unread: int, now: float) -> Numbers:
        """Return how far the run is: of *total* tasks, *before* were done by earlier runs, and *unread* are not yet."""
        counts = self._schedule.counts
        running = self._schedule.running
        left = Left(
            max(0, counts.waiting + counts.leased - running), running, sum(s for _, s in self._schedule.workers.values())
        )
        if now - self._estimated >= min(_ESTIMATE_S, (now - self._began) / 10):
            self._estimate(left, now)
        end = self._end and self._end.after(now - self._estimated)
        within = self._job_end - now if self._job_end is not None else None
        at = time.time()
        (began, first), (last, done) = self._rates[0], self._rates[-1]
        return Numbers(
            total, before + counts.done - unread, counts.done - unread, counts.failed, left.waiting, running, left.slots,
            (done - first) / (last - began) if last > began else 0.0,
            at, end, None if within is None else at + within,
            left.after(within, end) if end and within is not None else 0,
            self._oldest(now) if not left.waiting and running < left.slots else None,
            self.times.quantile_s(0.5) if self.times.ended else 0.0, self.times.ended,
        )  # fmt: skip

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
        ages = np.array([self._age(lease.attempt, lease.seq, now) for lease in self._schedule.running_ones(_MOST_AGES)])
        if left.waiting and self.attempts:
            idle_s = (
                self.slots_s - self.times.mean_s * self.attempts - (float(ages.mean()) * left.running if ages.size else 0)
            )
            self._idle_s = max(0.0, idle_s / self.attempts)
        self._end = self.times.end(left._replace(idle_s=self._idle_s), ages)

    def _age(self, attempt: int, seq: int, now: float) -> float:
        """Return how long a task has been running; of one that is tried again that is not known."""
        if attempt > 1 or not self._marks:
            return 0.0
        at = bisect_left(self._marks, (seq, 0.0))
        return now - self._marks[min(at, len(self._marks) - 1)][1]

    def _oldest(self, now: float) -> Oldest | None:
        running = [(self._age(one.attempt, one.seq, now), one) for one in self._schedule.running_ones(_MOST_AGES)]
        if not running:
            return None
        age, one = max(running)
        command = self._custody.commands([one.offset], [one.length])[0]
        return Oldest(age, one.node, shown(in_one_line(command), LONGEST_LINE))
