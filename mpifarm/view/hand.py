"""Who has a list, as its lock tells: somebody, nobody, or a manager that is gone. Read, never touched.

The rule: without numpy, since `--status` is to answer at once; and nothing is guessed. A manager is gone if it is seen to
be dead, or if its lock was not touched for so long that the next one would take it over (`journal.watch`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mpifarm.journal.holder import Fate, Holder, parse_holder, read_lock, this_process
from mpifarm.journal.watch import STALE_S


class Hand(Enum):
    """Who has the list."""

    NOBODY = "nobody"  # the lock was given back
    RUNNING = "running"
    GONE = "gone"  # the lock lies there, and its holder is seen to be dead, or nobody touches it


@dataclass(frozen=True, slots=True)
class Held:
    """A lock."""

    hand: Hand
    holder: Holder | None = None
    silent_s: float = 0.0  # since it was touched
    dead: bool = False  # its holder was seen to be


def read(lock: Path) -> Held:
    """Return who has the list that *lock* is of."""
    try:
        text, status = read_lock(lock)
    except OSError:
        return Held(Hand.NOBODY)
    holder = parse_holder(text)
    silent_s = max(0.0, time.time() - status.st_mtime)
    if holder and holder.fate(this_process()) is Fate.DEAD:
        return Held(Hand.GONE, holder, silent_s, dead=True)
    return Held(Hand.RUNNING if silent_s < STALE_S else Hand.GONE, holder, silent_s)
