"""What people hear of a farm: on standard error, with --quiet only of what is not well, and in the log what lasts.

How it is put stands in `status`; here is when it is said, and how often. Nothing is decided.
"""

from __future__ import annotations

from mpifarm import __version__
from mpifarm.journal.journal import Journal
from mpifarm.journal.lines import Attempt
from mpifarm.journal.opening import Run
from mpifarm.schedule.answers import Counts, Outcome
from mpifarm.schedule.schedule import Schedule
from mpifarm.settings import Config
from mpifarm.site.offer import Offer
from mpifarm.view import status
from mpifarm.view.placement import placement

_MOST_TOLD = 3  # of tasks that leave processes behind, on standard error; the log has them all


class Notices:
    """What is said in one run."""

    def __init__(self, config: Config, run: Run, journal: Journal, workers: int, now: float) -> None:
        """*workers* are expected."""
        self._config = config
        self._journal = journal
        self.max_fails = config.max_fails.words if config.max_fails else ""
        self.log = run.names.log
        self.total, self._before = run.scan.tasks, run.start.done_count
        self._expected = workers
        self._offers: dict[int, Offer] = {}
        self._left = 0  # tasks that have left processes behind
        self._taken = 0  # by the reader of standard output, in all, when the last status was said
        self._stalled = False  # he has not taken anything since the one before
        self._began = now
        self._status_at = now + status.EVERY_S

    @property
    def left_before(self) -> int:
        """Tasks that earlier runs had not done."""
        return self.total - self._before

    def say(self, text: str) -> None:
        """Say it."""
        if not self._config.quiet:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Say it, --quiet or not."""
        self._journal.voice.say(text)

    def hush(self) -> None:
        """It is all said: wait a moment for whoever has to read it."""
        self._journal.voice.end()

    def tell(self, text: str) -> None:
        """Say it, and keep it in the log."""
        self._journal.event(text)
        self.say(text)

    def alarm(self, text: str) -> None:
        """Say it, --quiet or not, and keep it in the log."""
        self._journal.event(text)
        self.warn(text)

    def joined(self, rank: int, offer: Offer) -> None:
        """A worker has come; when all have, tell who works where."""
        if rank in self._offers:
            self.tell(f"worker {rank} on {offer.node} is back")
            return
        self._offers[rank] = offer
        if len(self._offers) == self._expected:
            first, *more = placement(self._offers, self._config)
            job = f", job {self._config.job.id}" if self._config.job else ""
            self._journal.event(f"started: {first}, mpifarm {__version__}{job}")
            for notice in (first, *more):
                self.say(notice)

    def left_behind(self, attempt: Attempt, place: str) -> None:
        """A task, which stands at *place*, has ended with 0, and some of it goes on, nobody will know to what end."""
        self._left += 1
        text = status.left_behind(attempt, place)
        self._journal.event(text)
        if self._left <= _MOST_TOLD:
            self.say(text)
        elif self._left == _MOST_TOLD + 1:
            self.say(f"more tasks leave processes running in the background: {self.log} names them")

    def status(self, schedule: Schedule, now: float) -> None:
        """Say now and then how far the run is."""
        if now < self._status_at:
            return
        self._status_at = now + status.EVERY_S
        counts = schedule.counts
        counts.done -= self._waiting_for_reader()
        slots = sum(slots for _, slots in schedule.workers.values())
        self.say(status.line(counts, self.total, self._before, slots, now - self._began))

    def _waiting_for_reader(self) -> int:
        """Return how many tasks are done but for the reader of standard output; say it, once, when he stops reading."""
        waiting, taken = len(self._journal.output.unread), self._journal.output.taken
        stalled = self._journal.output.waits and taken == self._taken
        if stalled and not self._stalled:
            self.tell(status.unread_yet(waiting))
        self._stalled, self._taken = stalled, taken
        return waiting

    def verdict(self, outcome: Outcome, counts: Counts, now: float) -> None:
        """Say how the run has ended; with --quiet, only if it is not all well."""
        said = self.say if outcome is Outcome.ALL_SUCCEEDED else self.warn
        said(status.verdict(outcome, counts, self.total, self._before, now - self._began, self.log))

    def giving_up(self, counts: Counts) -> None:
        """Say that nothing more is started: too many tasks have failed."""
        self.tell(status.giving_up(self.max_fails, counts))

    def note_gave_up(self, counts: Counts) -> None:
        """Keep in the log how a run has ended in which too many tasks have failed."""
        self._journal.event(self._gave_up(counts))

    def gave_up(self, counts: Counts) -> None:
        """Say it: that is an error, --quiet or not."""
        self.warn(self._gave_up(counts))

    def _gave_up(self, counts: Counts) -> str:
        return status.gave_up(self.max_fails, counts, self.total, self._before, self.log)

    def in_vain(self) -> None:
        """Say that nothing came of this run, and nothing will of another one like it."""
        self.warn(status.in_vain(self._before, self.total))
