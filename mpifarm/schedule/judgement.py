"""What it means for tasks that an attempt has ended, a worker is lost, or a node is found unfit.

Its rule: no credit and no dealing, only what a task is charged with, and where it goes for that (laws 4, 5 and 8 of
`schedule`). It holds nothing itself: what is known of tasks is in `history`, of nodes in `quarantine`, and what is to be
tried again goes to `queue`.
"""

from __future__ import annotations

from collections.abc import Iterable

from mpifarm.schedule.answers import Verdict
from mpifarm.schedule.history import Histories
from mpifarm.schedule.quarantine import Fitness, Judged, Quarantine
from mpifarm.schedule.queue import Queue
from mpifarm.schedule.retries import Task
from mpifarm.schedule.workers import Worker


class Judge:
    """Judges by the histories of tasks and the quarantine of nodes; the queue gets what is to be dealt again."""

    def __init__(self, histories: Histories, quarantine: Quarantine, queue: Queue) -> None:
        self._histories = histories
        self._quarantine = quarantine
        self._queue = queue

    def all_succeeded(self, node: str, offsets: list[int]) -> None:
        """Attempts on *node* have succeeded: what nearly always happens, and so in bulk."""
        self._histories.forget_all(offsets)
        self._quarantine.succeeded(node, offsets)

    def ended(
        self, worker: Worker, task: Task, attempt: int, bad: bool, stopped: bool, ending: bool, now: float
    ) -> Verdict:
        """An attempt of *worker* has ended, *stopped* by somebody, or else *bad* or good; *ending*: the farm ends, too."""
        offset = task[0]
        if not bad and not stopped:
            self._histories.forget(offset)
            self._quarantine.succeeded(worker.node, [offset])
            return Verdict.SUCCEEDED
        history = self._histories.of(offset, attempt)
        if not (stopped and (ending or history.carried)):  # the end of the farm clears nobody
            history.lost_in_turn, history.suspect = 0, False
        if stopped:
            self._queue.add(task)
            return Verdict.INTERRUPTED
        self._quarantine.failed(worker.node, offset, worker.slots, now)
        if self._quarantine.fitness(worker.node) is not Fitness.FIT:
            history.let_off = True
            self._queue.add(task)
            return Verdict.FAILED
        failures = self._histories.charge(task)
        if offset in self._histories.failed:
            return Verdict.FAILED_FOR_GOOD
        self._queue.retries.add(worker.node, task, failures, now)
        return Verdict.FAILED

    def lost(self, worker: Worker, innocent: bool) -> list[int]:
        """*worker* is lost: what it had goes back in front. Return who is convicted of it: one, or nobody.

        *innocent*: it is known that none of that has done it.
        """
        convicted = [] if innocent else self._histories.blame(worker.leases)
        for offset in convicted:
            self._queue.acquit(self._histories.acquit_the_others(offset))
        leases = worker.leases.items()
        self._queue.put_back((offset, length, seq) for offset, (_, length, seq, _) in leases if offset not in convicted)
        return convicted

    def nodes(self, judged: Iterable[Judged]) -> list[int]:
        """What has failed in a row on a node that is suspected now is to be tried elsewhere.

        Return those of it that had failed for good, by seq.
        """
        revived: list[int] = []
        for change in judged:
            if change.fitness is Fitness.SUSPECTED:
                accused = self._quarantine.accused(change.node)
                to_try = self._histories.charged(accused)
                failed, waiting = self._histories.take_back(to_try), self._queue.retries.remove(to_try)
                self._quarantine.put_on_trial(change.node, self._try_again(failed + waiting))
                revived += [seq for _, _, seq in failed]
        return revived

    def _try_again(self, tasks: list[Task]) -> list[int]:
        """Put *tasks* in front, let off one failure; return their offsets."""
        self._histories.let_off(tasks)
        self._queue.put_in_front(tasks)
        return [offset for offset, *_ in tasks]
