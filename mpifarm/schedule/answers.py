"""What the schedule answers: what is to be done, what an attempt that ended means, how things stand. Values, and no more.

Its rule: nothing here decides. An event is answered by actions, in the order in which they are to be done, or, when
attempts have ended, by a verdict on each. Who carries them out finds in them all that it takes, and asks nobody again. A
grant and the ends of attempts are columns, since they come by the thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from mpifarm.schedule.quarantine import Judged


class Verdict(IntEnum):
    """What an attempt that ended means for its task."""

    STALE = 0  # not a lease of this rank: drop it
    SUCCEEDED = 1
    FAILED = 2  # it will be tried again
    FAILED_FOR_GOOD = 3
    INTERRUPTED = 4  # stopped with the farm: it will be dealt again, uncharged


class How(IntEnum):
    """How the farm is to stop."""

    DRAIN = 1
    KILL = 2
    KILL_NOW = 3


class Outcome(IntEnum):
    """How it ended: the exit code."""

    ALL_SUCCEEDED = 0
    SOME_FAILED = 1
    NO_WORKER = 2  # work is left, and no node can do any: nothing was tried, and nothing learnt
    WORK_LEFT = 3


@dataclass(frozen=True, slots=True)
class Grant:
    """Send these tasks to *rank*: lists of equal length."""

    rank: int
    offsets: list[int]
    lengths: list[int]
    seqs: list[int]
    attempts: list[int]


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell *rank* to stop."""

    rank: int
    how: How


@dataclass(frozen=True, slots=True)
class Lost:
    """*rank* is lost: its *leases* are dealt again, but for those that have failed for good, *poisoned* (offsets)."""

    rank: int
    node: str
    leases: int
    poisoned: list[int]


@dataclass(frozen=True, slots=True)
class Revived:
    """These had failed for good, and have not: it may have been their node. They are tried elsewhere."""

    seqs: list[int]


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing more can be done."""

    outcome: Outcome


Action = Grant | Stop | Lost | Judged | Revived | Finish


class Running(NamedTuple):
    """An attempt that runs."""

    rank: int
    offset: int
    length: int
    seq: int
    attempt: int
    node: str


@dataclass(frozen=True, slots=True)
class Ends:
    """Verdicts on attempts that ended, and what the schedule knows of their tasks: lists of equal length."""

    verdicts: list[Verdict]
    lengths: list[int]
    seqs: list[int]


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker, for people."""

    rank: int
    node: str
    slots: int
    running: int  # slots that are taken
    queued: int  # tasks that it holds beyond these
    silent_s: float  # since it was heard
    oldest: list[tuple[int, int, int, int]]  # what it has had for longest: offset, attempt, length, seq


@dataclass(slots=True)
class Counts:
    """For the status line."""

    done: int = 0
    failed: int = 0
    leased: int = 0
    waiting: int = 0
    stale: int = 0
    undecided: int = 0  # of those that wait or are leased, how many have failed once, at least
    failed_attempts: int = 0
