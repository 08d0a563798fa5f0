"""Laws of the simulation about time: who may be taken for lost, when a stop is over, and that no node waits for ever.

They keep their own account of who has listened to whom for how long, and hold the schedule and the workers to it.
"""

from __future__ import annotations

from collections.abc import Iterable

from mpifarm.awake import AWAY_S
from mpifarm.ranks.patience import READER_MOST_S
from mpifarm.schedule.answers import Action, Grant, How, Lost, Verdict
from mpifarm.schedule.quarantine import Fitness, Judged
from mpifarm.schedule.retries import Task
from mpifarm.schedule.schedule import Schedule
from mpifarm.schedule.silence import STOP_PATIENCE_S
from mpifarm.schedule.workers import Worker, Workers
from mpifarm.settings import KILL_AFTER_S

PAUSES_S = {"PAUSE_S": 1.0, "SICK_PAUSE_S": 3.0, "LONGEST_PAUSE_S": 8.0}  # of the quarantine, in lists as short as these
LOST_AFTER_S = 10.0
SLACK_S = 4.0  # a look a second, a beat, a message on its way


def listened(passed_s: float) -> float:
    """Return how much of the time between two turns counts as listened to."""
    return passed_s if passed_s <= 2 * AWAY_S else AWAY_S


class Laws:
    """What one run is held to, by rank 0's clock."""

    def __init__(self, schedule: Schedule, now: float) -> None:
        self.dead: set[int] = set()  # ranks
        self._schedule = schedule
        self._quarantine = schedule._workers._quarantine
        self._now = now  # of the last turn of rank 0
        self._silent_s: dict[int, float] = {}  # by rank: how long rank 0 has listened to its silence
        self._slept_s: dict[int, float] = {}  # by rank: how much of that it was away itself
        self._ending_s: float | None = None  # since a stop that kills
        self._unserved_s: dict[str, float] = {}  # by node that is not fit: how long it has had a slot for what waits
        self._granted: dict[str, int] = {}
        self._on_trial: dict[str, set[int]] = {}  # by node that is not fit: what it was given, since anything failed there
        self.hurried = False  # in the last turn retries did not wait
        self._proved: set[str] = set()  # nodes on which one of those has just succeeded
        self._watch_silence()
        self._watch_charges()
        self._watch_trials()
        self._watch_hurry()

    # what happens

    def heard(self, rank: int) -> None:
        """Rank 0 has heard of *rank*."""
        self._silent_s[rank] = self._slept_s[rank] = 0.0

    def turn_begins(self, now: float, asleep: Iterable[int]) -> None:
        """Rank 0 has a turn; the ranks *asleep* were away for some time before it."""
        passed_s, self._now = now - self._now, now
        for rank in self._schedule._workers.by_rank:
            self._silent_s[rank] = self._silent_s.get(rank, 0.0) + listened(passed_s)
        for rank in asleep:
            self._slept_s[rank] = self._slept_s.get(rank, 0.0) + listened(passed_s)
        if self._ending_s is not None:
            self._ending_s += listened(passed_s)
            assert self._ending_s <= KILL_AFTER_S + STOP_PATIENCE_S + READER_MOST_S + SLACK_S, "a stop has no end"
        elif self._schedule.stopping not in (None, How.DRAIN):
            self._ending_s = 0.0
        self._look_at_nodes(passed_s)

    # what must hold

    def _watch_silence(self) -> None:
        """Nobody is lost of whose silence rank 0 has not heard enough, or who was there all the time."""
        schedule, silence = self._schedule, self._schedule._silence
        find = silence.too_long

        def watched(workers: Workers, now: float) -> list[int]:
            lost = find(workers, now)
            joined = [rank for rank in lost if rank in workers.by_rank] if schedule.stopping in (None, How.DRAIN) else []
            for rank in joined:
                assert rank, "rank 0 is taken for lost by itself"
                assert self._silent_s.get(rank, 0.0) >= LOST_AFTER_S - 2 * AWAY_S, "absence is taken for silence"
                away = rank in self.dead or self._slept_s.get(rank, 0.0) >= LOST_AFTER_S - SLACK_S
                assert away, "a worker is lost that was there"
            return lost

        silence.too_long = watched  # type: ignore[method-assign]

    def _watch_charges(self) -> None:
        """What fails on a node that is not fit is never charged."""
        judge, known = self._schedule._judge, self._schedule._histories._known
        end = judge.ended

        def watched(
            worker: Worker, task: Task, attempt: int, bad: bool, stopped: bool, ending: bool, now: float
        ) -> Verdict:
            fit = self._quarantine.fitness(worker.node) is Fitness.FIT
            before = known[task[0]].failures if task[0] in known else 0
            verdict = end(worker, task, attempt, bad, stopped, ending, now)
            if bad and not stopped and not fit:
                assert verdict is Verdict.FAILED, "a task has failed for good on a node that is not fit"
                assert known[task[0]].failures == before, "a task is charged for its node"
                self._on_trial.pop(worker.node, None)
            return verdict

        judge.ended = watched  # type: ignore[method-assign]

    def _watch_trials(self) -> None:
        """A node on trial on which one of its tasks succeeds is fit by the next turn."""
        begin, succeed = self._quarantine.put_on_probation, self._quarantine.succeeded

        def begun(node: str, offset: int, now: float) -> None:
            self._on_trial.setdefault(node, set()).add(offset)
            begin(node, offset, now)

        def succeeded(node: str, offsets: Iterable[int]) -> None:
            if not self._on_trial.get(node, set()).isdisjoint(offsets):
                self._proved.add(node)
            succeed(node, offsets)

        self._quarantine.put_on_probation = begun  # type: ignore[method-assign]
        self._quarantine.succeeded = succeeded  # type: ignore[method-assign]

    def _watch_hurry(self) -> None:
        """While it is open whether more than max_fails tasks fail, what has failed is tried first.

        After that has been decided nothing is started at all.
        """
        schedule = self._schedule
        tick = schedule.clock_ticked

        def watched(now: float, all_told: bool = True) -> list[Action]:
            self.hurried = self._may_have_failed_too_often()
            actions = tick(now, all_told)
            grants = [action for action in actions if isinstance(action, Grant)]
            failed, most = schedule._histories.failed, schedule._max_fails
            assert most is None or len(failed) <= most or not grants, "dealt after too many have failed"
            if self.hurried and grants and self._may_have_failed_too_often() and not any_judged(actions):
                for grant in grants:
                    self._look_at_hurried(grant, schedule._workers.by_rank[grant.rank])
            return actions

        def any_judged(actions: Iterable[Action]) -> bool:
            return any(isinstance(action, (Judged, Lost)) for action in actions)  # what is in question has changed

        schedule.clock_ticked = watched  # type: ignore[method-assign]

    def _may_have_failed_too_often(self) -> bool:
        most, failed, known = self._schedule._max_fails, self._schedule._histories.failed, self._schedule._histories._known
        if most is None:
            return False
        return len(failed.keys() | {offset for offset, history in known.items() if history.failures}) > most

    def _look_at_hurried(self, grant: Grant, worker: Worker) -> None:
        if self._quarantine.fitness(worker.node) is not Fitness.FIT:
            return
        known = self._schedule._histories._known
        others = [offset for offset in grant.offsets if offset not in known]
        elsewhere = [node for node in self._schedule._queue.retries._queues if node != worker.node]
        assert not (others and elsewhere), "others go before what is to be decided"
        alone = all(one.node == worker.node for one in self._schedule._workers.by_rank.values())
        assert not (others and alone and len(self._schedule._queue.retries)), "others go before what is to be decided"

    def _look_at_nodes(self, passed_s: float) -> None:
        if self._schedule.gave_up:  # nobody is judged any more
            return
        for node in self._proved:
            assert self._quarantine.fitness(node) is Fitness.FIT, "a node that is well does not come back"
        self._proved.clear()
        unfit = self._quarantine._unfit
        if self._on_trial:
            self._on_trial = {node: tasks for node, tasks in self._on_trial.items() if node in unfit}
        if unfit:
            self._look_at_the_unfit(passed_s)

    def _look_at_the_unfit(self, passed_s: float) -> None:
        """A node that is not fit, and has a slot for what waits, gets something now and then."""
        schedule, queue, by_rank = self._schedule, self._schedule._queue, self._schedule._workers.by_rank.values()
        waits = (queue._front or queue._fresh_left) and schedule.stopping is None and not queue.lineup.alone
        if not waits or passed_s > 2 * AWAY_S:
            self._unserved_s.clear()
            return
        with_room = (one for one in by_rank if len(one.leases) < one.slots and one.granted < one.limit and not one.leaving)
        idle = {worker.node for worker in with_room} & self._quarantine._unfit
        granted = {node: sum(one.granted for one in by_rank if one.node == node) for node in idle}
        self._unserved_s = {
            node: self._unserved_s.get(node, 0.0) + passed_s if granted[node] == self._granted.get(node) else 0.0
            for node in idle
        }
        self._granted = granted
        bound_s = PAUSES_S["LONGEST_PAUSE_S"] + PAUSES_S["SICK_PAUSE_S"] + SLACK_S
        assert all(time_s <= bound_s for time_s in self._unserved_s.values()), "a node waits for ever"
