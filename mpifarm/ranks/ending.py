"""How a run ends: when it has, with which exit code, and the last words.

Its rule: WORK_LEFT asks for another run, and scripts start one as long as they are asked. So a run that another one would
only repeat does not end with it: a job that was too short for whatever is left, or one in which no node can run anything.
If somebody has stopped it, or it has learnt something, such as which task may kill its node, the next one will differ.

The schedule says when the tasks have ended. The farm has when the reader of what they have printed has taken it all; until
then a turn is a turn, with signals and limits. After a stop that kills, `patience` has an end: what he has not taken is not
recorded, and runs again.
"""

from __future__ import annotations

from mpifarm.ended import Ended
from mpifarm.ranks.custody import Custody
from mpifarm.ranks.deadline import Deadline
from mpifarm.ranks.notices import Notices
from mpifarm.ranks.patience import Patience
from mpifarm.ranks.wire import Report
from mpifarm.ranks.witness import Witness
from mpifarm.schedule.answers import Counts, Lost, Outcome
from mpifarm.schedule.schedule import Schedule
from mpifarm.view import status
from mpifarm.view.facts import End, Stop

_CODES = {
    Stop.TROUBLE: Outcome.WORK_LEFT,
    Stop.TOO_SHORT: Outcome.SOME_FAILED,
    Stop.NO_WORKER: Outcome.NO_WORKER,
}


class Ending:
    """The end of one run, and what has come up in the course of it that tells how it ends."""

    def __init__(
        self, schedule: Schedule, custody: Custody, deadline: Deadline, notices: Notices, witness: Witness
    ) -> None:
        self.outcome: Outcome | None = None  # None: it goes on
        self._schedule = schedule
        self._custody = custody
        self._deadline = deadline
        self._notices = notices
        self._witness = witness
        self._patience = Patience()
        self._finished: Outcome | None = None  # as far as the tasks go: what they have printed may still wait
        self._asked = False  # to stop, by somebody
        self._asked_by = ""
        self._gives_up = False  # since more tasks have failed than may
        self._tried = False  # some attempt, at least, has run until it ended
        self._suspected = schedule.suspects()  # at the start
        self._missing: dict[int, str] = {}  # what has become of the workers that are gone, by rank

    # what comes up

    def stop_asked(self, why: str) -> None:
        """Somebody has asked to stop; *why* begins with what by."""
        self._asked = True
        self._asked_by = self._asked_by or why.partition(":")[0]

    def attempts_ended(self, report: Report) -> None:
        """A worker has reported ends."""
        self._tried = self._tried or bool((report.ended["flags"] & Ended.NOT_STARTED == 0).any())

    def worker_joined(self, rank: int) -> None:
        """*rank* is here, or back."""
        self._missing.pop(rank, None)

    def worker_lost(self, lost: Lost) -> None:
        """A worker is gone."""
        told = f"worker {lost.rank} on {lost.node} is lost" if lost.node else f"worker {lost.rank} has not come"
        self._missing[lost.rank] = told

    def worker_broken(self, rank: int, node: str, lacks: str) -> None:
        """A worker is gone because its node *lacks* something."""
        self._missing[rank] = f"{node}: {lacks}"

    def tasks_ended(self, outcome: Outcome) -> None:
        """Nothing runs, and nothing more will."""
        self._finished = outcome

    # when

    def hurry(self, now: float) -> None:
        """Wait no more for the reader of standard output, if a stop has waited long enough."""
        if self._patience.is_over(self._schedule.stopping, self._custody.taken, now) and self._custody.waits:
            self._custody.give_up()

    def decide(self) -> None:
        """End if the tasks have, and what they have printed is out."""
        if self._finished is not None and not self._custody.waits:
            self.outcome = Outcome.WORK_LEFT if self._custody.given_up else self._finished

    # how

    def heed_failures(self) -> None:
        """Say it, once, if nothing more is started because too many tasks have failed."""
        if self._schedule.gave_up and not self._gives_up:
            self._gives_up = True
            self._notices.giving_up(self._schedule.counts)
            self._witness.stopping(f"stopped by --max-fails {self._notices.max_fails}")

    def note_failures(self, now: float) -> None:
        """Nothing runs any more, and the log is still open: say in it what was not run."""
        if self._schedule.gave_up:
            self._notices.note_end(self._end(now))

    def judge(self) -> Outcome:
        """Return how it has ended, after the last of it was written, or was not."""
        assert self.outcome is not None
        if self._custody.stopped or self._is_too_short():
            return Outcome.WORK_LEFT
        return self.outcome

    def last_words(self, now: float) -> Outcome:
        """Say how it has ended, after the last of it was written, or was not; return that."""
        assert self.outcome is not None
        if longest := self._deadline.longest:
            self._notices.say(status.cut_off(self._deadline.interrupted, longest, self._custody.place(longest.seq)))
        end = self._end(now)
        self.outcome = _CODES.get(end.stop, self.outcome)
        self._notices.verdict(end, self._counts(), now)
        return self.outcome

    @property
    def was_stopped(self) -> bool:
        """Whether somebody, or the end of the job, has stopped it."""
        return self._schedule.stopping is not None

    def totals(self) -> dict[str, int]:
        """Return how many tasks are done, by earlier runs, too, have failed for good, and are left beside these."""
        counts, total = self._counts(), self._notices.total
        done = total - self._notices.left_before + counts.done
        return {"DONE": done, "FAILED": counts.failed, "LEFT": total - done - counts.failed}

    def _end(self, now: float) -> End:
        stop, by = self._stop()
        longest = self._deadline.longest
        return self._notices.end(self._counts(), stop, by, longest.seconds if longest else 0.0, now)

    def _stop(self) -> tuple[Stop, str]:
        """Return what has ended the run before all was done, and what there is to say of that."""
        if self._custody.stopped:
            return Stop.TROUBLE, ""
        if self._is_too_short():
            return Stop.TOO_SHORT, ""
        if self._has_no_worker():
            return Stop.NO_WORKER, status.missing(self._missing.values())
        if self._schedule.gave_up and self.outcome is Outcome.SOME_FAILED:
            return Stop.MAX_FAILS, self._notices.max_fails
        if self.outcome is not Outcome.WORK_LEFT:
            return Stop.NOTHING, ""
        if self._deadline.stopped:
            return Stop.LIMIT, ""
        return (Stop.ASKED, self._asked_by) if self._asked else (Stop.WORKERS_LEFT, "")

    def _counts(self) -> Counts:
        counts = self._schedule.counts
        counts.done = self._custody.recorded
        return counts

    def _is_too_short(self) -> bool:
        """Whether the end of the job, and nothing else, has stopped it, and it is no further than the run before it."""
        limited = self._deadline.stopped and not self._asked and self.outcome is Outcome.WORK_LEFT
        return limited and self._custody.unchanged and not self._custody.stopped

    def _has_no_worker(self) -> bool:
        """Whether work is left, nobody stopped it, no worker is left, and nothing was tried or learnt."""
        stopped = self._schedule.stopping is not None or self._custody.stopped
        by_itself = self.outcome is Outcome.WORK_LEFT and not stopped and not self._schedule.workers
        return by_itself and not self._tried and self._schedule.suspects() == self._suspected
