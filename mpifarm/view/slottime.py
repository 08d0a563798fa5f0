"""Where the time of the slots went: what ran in them, and why nothing did. It adds up to all of it.

The rule: every second of every slot is in exactly one line of this balance. A slot is there from the start of a stretch to
its end, or until its node is lost. What ran in it is known to a millisecond; the time when nothing did is told apart by
where it lies: before the slot's first task, behind its last one, or between two. Which slots there were tell those that had
a task, and the log's word on the start, if it has one.

Clocks of nodes differ, so parts of a slot's time may add up to more than the whole: then the parts are the whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpifarm.view.account import Account, Kind
from mpifarm.view.logbook import Mark

_SLOTS = re.compile(r"(\d{1,9}) slots?\b")

Floats = NDArray[np.float64]

# The lines of the balance, in the order in which they are shown, and whether a task ran.
DONE, FAILED, STOPPED, REPEATED, HISTORY = (
    "tasks that succeeded",
    "tasks that failed",
    "stopped with the farm",
    "done again",
    "no longer in the list",
)
START, BETWEEN, TAIL, DRAIN, LOST, UNUSED = (
    "before the first task",
    "between two tasks",
    "after the last task",
    "before the end of the job",
    "lost with a node",
    "never used",
)
OF_KIND = {Kind.SUCCEEDED: DONE, Kind.FAILED: FAILED, Kind.STOPPED: STOPPED, Kind.REPEATED: REPEATED, Kind.HISTORY: HISTORY}
IDLE = (START, BETWEEN, TAIL, DRAIN, LOST, UNUSED)


@dataclass(frozen=True, slots=True)
class SlotTime:
    """The slots of each stretch, and where their time went."""

    slots: list[int]  # of each stretch, as far as they are known
    held_s: float  # slots x time, all of it
    lost: NDArray[np.float64]  # from when to when each slot was missing whose node was lost, Unix time, shape (slots, 2)
    parts: dict[str, float]  # slot-seconds of each line of the balance, in order; they add up to held_s

    @property
    def busy(self) -> float:
        """Which share of the time something ran: 0 to 1."""
        idle = sum(self.parts[name] for name in IDLE)
        return 1 - idle / self.held_s if self.held_s else 0.0

    def share(self, name: str) -> float:
        """Return which share of the time went into a line of the balance: 0 to 1."""
        return self.parts[name] / self.held_s if self.held_s else 0.0


def balance(account: Account) -> SlotTime:
    """Return where the time of the slots went."""
    rows = account.attempts.rows
    parts = dict.fromkeys([*OF_KIND.values(), *IDLE], 0.0)
    if not rows.size:
        return SlotTime([], 0.0, np.empty((0, 2)), parts)
    for kind, name in OF_KIND.items():
        parts[name] = float(rows["seconds"][account.of(kind)].sum())
    ends = account.ends
    most = int(rows["slot"].max()) + 1
    nodes = len(account.attempts.nodes)
    keys = (account.stretch.astype(np.int64) * nodes + rows["node"]) * most + rows["slot"]
    order = np.argsort(keys, kind="stable")
    edges = np.flatnonzero(np.diff(keys[order], prepend=-1))
    slot_keys = keys[order][edges]
    first = np.minimum.reduceat(rows["start"][order], edges)
    last = np.maximum.reduceat(ends[order], edges)
    ran = np.add.reduceat(rows["seconds"][order], edges)
    stretch, node = slot_keys // most // nodes, slot_keys // most % nodes
    begin = np.array([each.begin for each in account.stretches])[stretch]
    gone, lost = _gone(account, stretch, node, last)
    parts[START] = float(np.maximum(first - begin, 0).sum())
    parts[BETWEEN] = float(np.maximum(last - first - ran, 0).sum())
    behind = np.maximum(gone - last, 0)
    cut = np.array([each.cut for each in account.stretches])[stretch]
    parts[LOST] = float(behind[lost].sum())
    parts[DRAIN] = float(behind[cut & ~lost].sum())
    parts[TAIL] = float(behind[~cut & ~lost].sum())
    used = np.bincount(stretch, minlength=len(account.stretches)).tolist()
    slots = []
    for each, count in zip(account.stretches, used, strict=True):
        told = _SLOTS.search(each.started)
        slots.append(max(count, int(told[1]) if told else 0))
        parts[UNUSED] += (slots[-1] - count) * (each.end - each.begin)
    ends_of = np.array([each.end for each in account.stretches])[stretch]
    return SlotTime(slots, sum(parts.values()), np.stack((gone[lost], ends_of[lost]), axis=1), parts)


def _gone(
    account: Account, stretch: NDArray[np.int64], node: NDArray[np.int64], last: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return until when each slot was there, and whether it was lost then, with its node."""
    gone = np.array([each.end for each in account.stretches])[stretch]
    lost = np.zeros(gone.size, dtype=np.bool_)
    places = {name: place for place, name in enumerate(account.attempts.nodes)}
    for event in account.marks(Mark.LOST):
        there = (node == places.get(event.node, -1)) & (event.at < gone)
        there &= np.array([each.begin <= event.at for each in account.stretches])[stretch]
        of_node = last[there]
        if of_node.size and of_node.max() <= event.at + 1:  # it has not come back
            gone[there], lost[there] = event.at, True
    return gone, lost
