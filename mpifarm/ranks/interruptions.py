"""What was interrupted, told in the log: which tasks ran when the farm was stopped, and how far they were.

The rule: a stop of a wide farm interrupts hundreds of thousands within a second, shortly before it is killed itself. So the
first MOST_TOLD are told by name, with what they had printed so far, and the rest is counted; the joblog has them all.
"""

from __future__ import annotations

from mpifarm.journal.journal import Journal
from mpifarm.journal.lines import Attempt
from mpifarm.ranks.deadline import Deadline
from mpifarm.words import count

MOST_TOLD = 20


class Interruptions:
    """The interrupted attempts of one run."""

    def __init__(self, journal: Journal, deadline: Deadline) -> None:
        self._journal = journal
        self._deadline = deadline
        self._number = 0

    def record(self, attempt: Attempt, out: memoryview, err: memoryview) -> None:
        """Record an attempt that was interrupted, and what it had printed."""
        self._journal.interrupted(attempt)
        self._number += 1
        ended_by_job = self._deadline.ends_tasks
        if ended_by_job:
            self._deadline.cut_off(attempt)
        if self._number <= MOST_TOLD:
            self._journal.tell_interrupted(attempt, " by the end of the job" if ended_by_job else "", out, err)

    def finish(self) -> None:
        """Tell how many there were beyond those that were named."""
        if self._number > MOST_TOLD:
            more = count(self._number - MOST_TOLD, "more task")
            self._journal.event(f"interrupted: {more}, which the joblog names")
