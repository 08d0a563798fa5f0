"""The first failures of a run, and when they are told: at once, since nobody should wait for the end to hear of a typo.

Its rule: few are told, and of many only some are looked at. The first failure, and the first of each other kind up to
MOST_KINDS (see `view.failures`), are told one by one, the others together, now and then; all are in the log. If nothing at
all has succeeded, and ROUNDS times as many attempts as there are slots have failed alike, that is said once, and loudly: it
is hardly the tasks.
"""

from __future__ import annotations

from mpifarm.journal.lines import Attempt
from mpifarm.ranks.custody import Custody
from mpifarm.ranks.notices import Notices
from mpifarm.schedule.quarantine import ROUNDS
from mpifarm.schedule.schedule import Schedule
from mpifarm.view import failures
from mpifarm.view.failures import Failure, Kind

MOST_KINDS = 5


class Alarm:
    """What has failed in one run, as far as it is told."""

    def __init__(self, schedule: Schedule, custody: Custody, notices: Notices) -> None:
        self._schedule = schedule
        self._custody = custody
        self._notices = notices
        self._kinds: set[Kind] = set()
        self._count = 0  # of failures, all of one kind, while nothing succeeds
        self._look_at = 1  # at so many: how many slots are there?
        self._alike = True  # as far as is known

    def failed(self, attempt: Attempt, err: memoryview) -> None:
        """An attempt has failed; *err* is its standard error."""
        if not self._alike and not self._notices.wants_more:
            return
        one = failures.failure(attempt, err)
        kind = one.kind
        if kind not in self._kinds and len(self._kinds) < MOST_KINDS:
            self._kinds.add(kind)
            self._tell(one)
        else:
            self._notices.more(one)
        self._alike = self._alike and self._kinds == {kind} and not self._schedule.done
        if self._alike:
            self._compare(one)

    def _tell(self, one: Failure) -> None:
        self._notices.failed(failures.told(one, self._custody.place(one.attempt.seq)), len(self._kinds))

    def _compare(self, one: Failure) -> None:
        """One more has failed like all before it."""
        self._count += 1
        if self._count < self._look_at:
            return
        self._look_at = ROUNDS * sum(slots for _, slots in self._schedule.workers.values())
        if self._count < self._look_at:
            return
        self._alike = False
        if not self._schedule.gave_up:  # then it is too late for advice
            self._notices.alarm(failures.all_alike(self._count, one, self._notices.max_fails))
