"""What each node did: how much, how fast, and which of them are odd.

Which of them are slow is said by `slowness`, for the report as for --status.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpifarm.view import slowness
from mpifarm.view.account import Account, Kind
from mpifarm.view.logbook import Mark

_LEAST_TASKS = 10  # that a node has done before it is compared


@dataclass(frozen=True, slots=True)
class Node:
    """What a node did."""

    name: str
    slots: int
    succeeded: int  # attempts
    failed: int
    busy_s: float  # in all its slots
    median_s: float  # of attempts that succeeded; nan if there was none
    slower: float  # how many times as long as on the others, if that makes it slow; else 0
    told: str  # what the log says of it

    @property
    def odd(self) -> bool:
        """Whether people should look at it."""
        return self.slower > 0 or bool(self.told) or (self.failed > 0 and self.failed >= self.succeeded)


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
    slower = slowness.factors(np.where(succeeded >= _LEAST_TASKS, medians, np.nan).tolist())
    told = _told(account)
    made = [
        Node(
            name=name,
            slots=int(slots[place]),
            succeeded=int(succeeded[place]),
            failed=int(failed[place]),
            busy_s=float(busy[place]),
            median_s=float(medians[place]),
            slower=slower[place],
            told=told.get(name, ""),
        )
        for place, name in enumerate(account.attempts.nodes)
    ]
    return sorted(made, key=lambda node: node.name)


def _told(account: Account) -> dict[str, str]:
    """Return what the log says of nodes, the last word on each."""
    return {event.node: event.mark.value for event in account.marks(Mark.LOST, Mark.BACK, Mark.QUARANTINE) if event.node}
