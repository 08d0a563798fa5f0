"""How long a list will take on so many nodes: the schedule itself, played with a clock and workers that only wait.

Why: a bound is a bound. What waits for the longest task, what a last round leaves idle, the order in which tasks are dealt:
the schedule has all that, so it is asked.

The rule: `schedule.Schedule` decides, nothing here does. A played worker takes what it is granted, holds it for as long as
the task takes, and asks for as many as it has free slots. Starting processes, MPI and file systems cost nothing here, and
no task fails. Of a long list only the end is played: before that all slots are busy, and whole rounds of them are work
divided by slots.
"""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import NDArray

from mpifarm.schedule.answers import Finish, Grant
from mpifarm.schedule.queue import Records
from mpifarm.schedule.schedule import Schedule
from mpifarm.schedule.silence import Silence
from mpifarm.tasks.tfin import RECORD
from mpifarm.view.allocation import Choice

PLAYED = 20_000  # tasks at the end of a list, or ROUNDS of all slots if that is more
MOST_PLAYED = 200_000
ROUNDS = 10
DEFAULT_NODES = 8  # that are tried if nobody says how many

Floats = NDArray[np.float64]


def counts(most: int) -> list[int]:
    """Return the numbers of nodes to try: 1, 2, 4, ..., and *most*."""
    return [*(2**power for power in range(most.bit_length()) if 2**power < most), most]


def plans(times: Floats, slots: int, most: int) -> tuple[list[Choice], int]:
    """Return what each number of nodes up to *most* takes, and how many tasks were played for one of them, at least.

    *times*: seconds of each task, in order; *slots* of a node.
    """
    tried = [plan(times, nodes, slots) for nodes in counts(most)]
    return [choice for choice, _ in tried], min(played for _, played in tried)


def plan(times: Floats, nodes: int, slots: int) -> tuple[Choice, int]:
    """Return what *nodes* nodes of *slots* slots take for tasks of *times* seconds, in order, and how many were played."""
    everywhere = nodes * slots
    played = min(MOST_PLAYED, max(PLAYED, ROUNDS * everywhere))
    before = max(0, times.size - played) // everywhere * everywhere  # whole rounds
    seconds = float(times[:before].sum()) / everywhere + _played(times[before:], nodes, slots)
    return Choice(nodes, seconds), times.size - before


def _played(times: Floats, nodes: int, slots: int) -> float:
    """Return when the last task ends."""
    numbers = np.arange(times.size, dtype=np.int64)
    records = np.zeros(times.size, RECORD)
    records["offset"], records["length"], records["seq"] = numbers, 1, numbers + 1
    dealt = 0

    def fresh(count: int) -> Records:
        nonlocal dealt
        dealt += count
        return records[dealt - count : dealt]

    schedule = Schedule(fresh, times.size, records[:0], range(nodes), retries=0, silence=Silence(math.inf, 0.0))
    seen, held = [0] * nodes, [0] * nodes
    for rank in range(nodes):
        schedule.worker_joined(rank, f"node {rank}", slots, 0.0)
        schedule.credit_changed(rank, 0, slots)
    lasts = times.tolist()
    running: list[tuple[float, int, int, int]] = []  # end, rank, offset, attempt
    now = 0.0
    while True:
        for action in schedule.clock_ticked(now, all_told=False):
            if isinstance(action, Finish):
                return now
            if isinstance(action, Grant):
                for offset, attempt in zip(action.offsets, action.attempts, strict=True):
                    heapq.heappush(running, (now + lasts[offset], action.rank, offset, attempt))
                seen[action.rank] += len(action.offsets)
                held[action.rank] += len(action.offsets)
        now = running[0][0]
        ended: dict[int, tuple[list[int], list[int]]] = {}
        while running and running[0][0] <= now:
            _, rank, offset, attempt = heapq.heappop(running)
            offsets, attempts = ended.setdefault(rank, ([], []))
            offsets.append(offset)
            attempts.append(attempt)
        for rank, (offsets, attempts) in ended.items():
            no = [False] * len(offsets)
            schedule.attempts_ended(rank, offsets, attempts, no, no, now)
            held[rank] -= len(offsets)
            schedule.credit_changed(rank, seen[rank], slots - held[rank])
