"""Which nodes are fit to run tasks. Pure, as the schedule is that asks it.

A node without its file system, its licence server or its GPU driver fails a task a millisecond, and would eat the list
while the others work. So:

1. Suspicion. When the last ROUNDS x slots attempts of a node have all failed, and another node is fit, it gets nothing for
   now. What failed there is dealt again in front, uncharged: that is the trial.
2. Verdict. If most of the first TRIALS of them succeed elsewhere, the node is sick. If they fail there, too, it is the
   tasks, and the node is released. A success of its own releases one that is suspected at once.
3. Probation. Elsewhere all slots may be busy for hours, so that the trial does not come; and a file system comes back. So
   after a pause a node that is not fit is given one task, rather another than those that have failed there. If that
   succeeds the node is fit again. If it fails the task is not charged, and the next pause is twice as long. While it
   runs, and none of them has failed, there are twice as many after each pause: a task may take hours, and nobody knows.
4. If no other node is fit any more, nothing can be compared: who is suspected is released.

So no node waits for much longer than LONGEST_PAUSE_S and a task, whatever the others do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass, field
from enum import IntEnum

ROUNDS = 3
TRIALS = 3
PAUSE_S, SICK_PAUSE_S, LONGEST_PAUSE_S = 5.0, 60.0, 600.0  # before a task is tried on a node that is suspected, or sick


class Fitness(IntEnum):
    """What is thought of a node."""

    FIT = 0
    SUSPECTED = 1
    SICK = 2


@dataclass(frozen=True, slots=True)
class Judged:
    """What is thought of *node* has changed; its last *failures* attempts have failed."""

    node: str
    fitness: Fitness
    failures: int


@dataclass(slots=True)
class _Node:
    fitness: Fitness = Fitness.FIT
    row: list[int] = field(default_factory=list)  # offsets of its last attempts, all of them failures
    awaited: int = 0  # trials that have not ended
    cleared: int = 0  # tasks that failed here, and succeeded elsewhere
    confirmed: int = 0  # tasks that failed here, and elsewhere, too
    pause_s: float = 0.0  # before the next probation; it grows with each that fails, and never shrinks in a run
    try_at: float = 0.0
    tried: set[int] = field(default_factory=set)  # offsets of what was given on probation since the last failure of it
    well: bool = False  # some of that has succeeded


class Quarantine:
    """The nodes of a run."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}
        self._trials: dict[int, str] = {}  # offset -> the node that is judged by it
        self._unfit: set[str] = set()  # nodes
        self._look = False  # whether something has happened that may lead to a verdict

    def fitness(self, node: str) -> Fitness:
        """Return what is thought of *node*."""
        known = self._nodes.get(node)
        return known.fitness if known else Fitness.FIT

    def may_be_sick(self, node: str) -> bool:
        """Return whether the last attempt on *node* has failed, and not elsewhere, too, as far as is known."""
        known = self._nodes.get(node)
        return known is not None and bool(known.row)

    def succeeded(self, node: str, offsets: Iterable[int]) -> None:
        """Attempts on *node* have succeeded."""
        known = self._nodes.get(node)
        if known and known.row:
            known.row.clear()
            self._look = True
        if known and not known.tried.isdisjoint(offsets):
            known.well = self._look = True
        for offset in offsets if self._trials else ():
            self._testify(node, offset, succeeded=True)

    def failed(self, node: str, offset: int, slots: int, now: float) -> None:
        """An attempt on *node*, which has *slots* slots, has failed."""
        known = self._nodes.setdefault(node, _Node())
        if known.fitness is not Fitness.FIT:
            self._failed_on_probation(known, offset, now)
            return  # and what fails on a node that is not fit says nothing about the task, or about another node
        if self._testify(node, offset, succeeded=False):
            return  # the task has failed on another node, too: that says nothing about this one
        known.row.append(offset)
        self._look = self._look or len(known.row) >= ROUNDS * slots

    def nodes_changed(self) -> None:
        """A node has come, or takes no tasks any more."""
        self._look = True

    def judge(self, slots: dict[str, int], now: float) -> list[Judged]:
        """Return what has changed; *slots* are those of every node that takes tasks."""
        if not self._look:
            return []
        self._look = False
        judged = [changed for node in self._nodes if (changed := self._judge(node, slots))]
        for change in judged:
            self._begin(change, now)
        return judged

    def accused(self, node: str) -> Set[int]:
        """Return the tasks that have failed on *node* in a row."""
        return set(self._nodes[node].row)

    def put_on_trial(self, node: str, offsets: Collection[int]) -> None:
        """These tasks of *node* are dealt again."""
        self._trials.update(dict.fromkeys(offsets, node))
        known = self._nodes[node]
        known.awaited, known.cleared, known.confirmed = len(offsets), 0, 0
        self._look = True

    # probation

    def due(self, now: float) -> list[str]:
        """Return the nodes that are not fit, and may be tried now."""
        return [node for node in self._unfit if now >= self._nodes[node].try_at] if self._unfit else []

    def tried(self, node: str) -> Set[int]:
        """Return the tasks that *node* was given on probation, none of which has failed there."""
        return self._nodes[node].tried

    def put_on_probation(self, node: str, offset: int, now: float) -> None:
        """*node*, which is not fit, is given a task."""
        known = self._nodes[node]
        known.tried.add(offset)
        known.try_at = now + known.pause_s

    def _failed_on_probation(self, known: _Node, offset: int, now: float) -> None:
        if offset not in known.tried:
            return
        known.tried.clear()
        known.pause_s = min(2 * known.pause_s, LONGEST_PAUSE_S)
        known.try_at = now + known.pause_s

    def _begin(self, change: Judged, now: float) -> None:
        """A node is on trial, or sick, or fit again."""
        known = self._nodes[change.node]
        if change.fitness is Fitness.FIT:
            known.tried.clear()
            known.well = False
            self._unfit.discard(change.node)
            return
        self._unfit.add(change.node)
        first_s = SICK_PAUSE_S if change.fitness is Fitness.SICK else PAUSE_S
        known.pause_s = max(known.pause_s, first_s)
        known.try_at = max(known.try_at, now + first_s)

    # verdicts

    def _judge(self, node: str, slots: dict[str, int]) -> Judged | None:
        known = self._nodes[node]
        compared = any(other != node and self.fitness(other) is Fitness.FIT for other in slots)
        failures = len(known.row)
        if known.fitness is Fitness.FIT:
            if not compared or node not in slots or failures < ROUNDS * slots[node]:
                return None
            known.fitness = Fitness.SUSPECTED
        elif known.fitness is Fitness.SUSPECTED:
            tried = known.cleared + known.confirmed
            fails = known.row and not known.well
            if compared and fails and known.awaited and tried < TRIALS:
                return None
            sick = compared and fails and known.cleared > known.confirmed
            known.fitness = Fitness.SICK if sick else Fitness.FIT
            known.row.clear()
            self._trials = {offset: accuser for offset, accuser in self._trials.items() if accuser != node}
        elif known.well:
            known.fitness = Fitness.FIT
        else:
            return None
        return Judged(node, known.fitness, failures)

    def _testify(self, node: str, offset: int, succeeded: bool) -> bool:
        """Take note of a trial that has ended; return whether it was one."""
        accuser = self._trials.get(offset, node)
        if accuser == node:
            return False
        del self._trials[offset]
        known = self._nodes[accuser]
        known.awaited -= 1
        known.cleared += succeeded
        known.confirmed += not succeeded
        self._look = True
        return True


def slots_by_node(workers: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the slots of every node: *workers* are pairs of node and slots."""
    slots: dict[str, int] = {}
    for node, count in workers:
        slots[node] = slots.get(node, 0) + count
    return slots
