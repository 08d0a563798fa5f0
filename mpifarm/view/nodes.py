"""What each node did: how much, how fast, and which of them are odd.

A node is slow if its tasks take half as long again as those of the median node, in the median, and that is far beyond what
nodes differ by: more than five times their median absolute deviation. Of two nodes nobody can tell which is the odd one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpifarm.view.account import Account, Kind
from mpifarm.view.logbook import Mark

_LEAST_NODES = 3
_LEAST_TASKS = 10
_SLOW = 1.5
_DEVIATIONS = 5
_TO_SIGMA = 1.4826  # of the median absolute deviation of a normal distribution


@dataclass(frozen=True, slots=True)
class Node:
    """What a node did."""

    name: str
    slots: int
    succeeded: int  # attempts
    failed: int
    busy_s: float  # in all its slots
    median_s: float  # of attempts that succeeded; nan if there was none
    slower: float  # how many times as long as on the median node; 0 if nobody can tell
    slow: bool
    told: str  # what the log says of it

    @property
    def odd(self) -> bool:
        """Whether people should look at it."""
        return self.slow or bool(self.told) or (self.failed > 0 and self.failed >= self.succeeded)


def nodes(account: Account) -> list[Node]:
    """Return what each node did, by name."""
    rows = account.attempts.rows
    count = len(account.attempts.nodes)
    good, bad = account.of(Kind.SUCCEEDED), account.of(Kind.FAILED)
    succeeded = np.bincount(rows["node"][good], minlength=count)
    failed = np.bincount(rows["node"][bad], minlength=count)
    busy = np.bincount(rows["node"], rows["seconds"], count)
    slots = np.zeros(count, dtype=np.int64)
    np.maximum.at(slots, rows["node"], rows["slot"])
    medians = np.full(count, np.nan)
    order = np.lexsort((rows["seconds"][good], rows["node"][good]))
    seconds = rows["seconds"][good][order]
    starts = np.concatenate(([0], np.cumsum(succeeded)))
    for place in np.flatnonzero(succeeded):
        medians[place] = np.median(seconds[starts[place] : starts[place + 1]])
    known = succeeded >= _LEAST_TASKS
    usual = float(np.median(medians[known])) if np.count_nonzero(known) >= _LEAST_NODES else 0.0
    spread = _TO_SIGMA * float(np.median(np.abs(medians[known] - usual))) if usual else 0.0
    slower = np.where(known, medians / usual, 0.0) if usual else np.zeros(count)
    slow = known & (slower >= _SLOW) & (medians - usual > _DEVIATIONS * spread)
    told = _told(account)
    made = [
        Node(
            name=name,
            slots=int(slots[place]),
            succeeded=int(succeeded[place]),
            failed=int(failed[place]),
            busy_s=float(busy[place]),
            median_s=float(medians[place]),
            slower=float(slower[place]),
            slow=bool(slow[place]),
            told=told.get(name, ""),
        )
        for place, name in enumerate(account.attempts.nodes)
    ]
    return sorted(made, key=lambda node: node.name)


def _told(account: Account) -> dict[str, str]:
    """Return what the log says of nodes, the last word on each."""
    return {event.node: event.mark.value for event in account.marks(Mark.LOST, Mark.BACK, Mark.QUARANTINE) if event.node}
