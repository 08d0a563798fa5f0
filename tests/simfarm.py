"""A schedule for a list that is not there, with the workers' side of the bookkeeping: what tests of its parts drive."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mpifarm.schedule.answers import Action, Finish, Grant, Lost, Outcome, Stop, Verdict
from mpifarm.schedule.queue import Records
from mpifarm.schedule.schedule import Schedule
from mpifarm.schedule.silence import Silence
from mpifarm.schedule.suspects import Suspect
from mpifarm.settings import KILL_AFTER_S

RECORD = np.dtype([("offset", "<i8"), ("length", "<i8"), ("seq", "<i8")])
LENGTH = 10


def records(*seqs: int) -> Records:
    """Return the tasks with these seqs; each is LENGTH bytes long."""
    return np.array([((seq - 1) * LENGTH, LENGTH, seq) for seq in seqs], dtype=RECORD)


class Farm:
    """A schedule for a list of *tasks* tasks, with the workers' side of the bookkeeping."""

    def __init__(
        self,
        tasks: int,
        nodes: dict[int, str],
        slots: int = 1,
        again: Records | None = None,
        suspects: Sequence[Suspect] = (),
        lost_after_s: float = 120.0,
        kill_after_s: float = KILL_AFTER_S,
        **options: int,
    ) -> None:
        self._next = 1
        self._tasks = tasks
        again = records() if again is None else again
        silence = Silence(lost_after_s, kill_after_s)
        self.schedule = Schedule(self._fresh, tasks, again, nodes, suspects=suspects, silence=silence, **options)
        self.now = 0.0
        self.slots = slots
        self.held: dict[int, dict[int, int]] = {}  # rank -> offset -> attempt
        self.seen: dict[int, int] = {}
        self.stops: list[Stop] = []
        self.losses: list[Lost] = []
        self.outcome: Outcome | None = None
        self.order: list[int] = []
        self.succeeded: list[int] = []
        for rank, node in nodes.items():
            self.join(rank, node)

    def _fresh(self, count: int) -> Records:
        taken = range(self._next, min(self._next + count, self._tasks + 1))
        self._next = taken.stop
        return records(*taken)

    def join(self, rank: int, node: str) -> None:
        self.held[rank], self.seen[rank] = {}, 0
        self.take(self.schedule.worker_joined(rank, node, self.slots, self.now))

    def ask(self, rank: int, ahead: int = 0) -> None:
        """*rank* reports its free slots, and that it would hold *ahead* more."""
        credit = max(0, self.slots + ahead - len(self.held[rank]))
        self.schedule.heard_of(rank, self.now)
        self.schedule.credit_changed(rank, self.seen[rank], credit)

    def tick(self, after_s: float = 0.0) -> None:
        self.now += after_s
        self.take(self.schedule.clock_ticked(self.now))
        self.schedule.check()

    def take(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Grant):
                assert self.outcome is None
                for offset, attempt in zip(action.offsets, action.attempts, strict=True):
                    self.held[action.rank][offset] = attempt
                self.seen[action.rank] += len(action.offsets)
                self.order += action.offsets
            elif isinstance(action, Stop):
                self.stops.append(action)
            elif isinstance(action, Lost):
                self.losses.append(action)
            elif isinstance(action, Finish):
                assert self.outcome is None, "finished twice"
                self.outcome = action.outcome

    def end(self, rank: int, offset: int, bad: bool = False, stopped: bool = False, attempt: int | None = None) -> Verdict:
        """Report an attempt of *rank*."""
        held = self.held.get(rank, {}).pop(offset, 1)
        ends = self.schedule.attempts_ended(rank, [offset], [attempt or held], [bad], [stopped], self.now)
        self.schedule.check()
        if ends.verdicts == [Verdict.SUCCEEDED]:
            self.succeeded.append(offset)
        return ends.verdicts[0]

    def ask_all(self) -> None:
        for rank in self.held:
            self.ask(rank)
        self.tick()


def suspect(seq: int, deaths: int, convicted: bool = False) -> Suspect:
    return Suspect(deaths, ((seq - 1) * LENGTH, LENGTH, seq), convicted)
