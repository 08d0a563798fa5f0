"""How long a rank may still take before its guardian kills it. Pure: what was said, and a clock that is shown.

Its rule: a rank that can hear is never killed, unless a user insists. Before MPI has started one signal that stops is
enough: MPI_Init waits for all ranks, and if one of them never comes, for ever. Later a stop in order has deadlines of its
own, and a second INT says that they are not kept. Only a worker that has heard it stays, on purpose, until rank 0 lets it
go.
"""

from __future__ import annotations

import math
import signal
from enum import IntEnum

INSIST_S = 45.0  # between a second INT and the KILL: longer than a stop takes for which every other patience is used up
START_INSIST_S = 10.0  # the same before MPI has started, after any signal that stops: nothing has been done yet


class Word(IntEnum):
    """What a rank says to its guardian, a byte each; the numbers below are signals that have arrived there."""

    MANAGES = 100  # MPI has started, and this is rank 0
    WORKS = 101  # MPI has started, and this is another rank
    HEARD = 102  # what arrived last has reached the rank's loop
    CLOSES = 110  # plus the number of a helper: it was told to go


class Patience:
    """The deadlines of one rank."""

    def __init__(self, start_s: float) -> None:
        """*start_s*: how long MPI may take to start."""
        self._start_by = start_s
        self._end_by = math.inf
        self._interrupts = 0
        self._started = False
        self._works = False

    @property
    def due_at(self) -> float:
        """When `lost` has an answer, if nothing is said before."""
        return min(self._start_by, self._end_by)

    def told(self, word: int, now: float) -> None:
        """The rank says a Word, or a signal has arrived there."""
        if word in (Word.MANAGES, Word.WORKS):
            self._started, self._works = True, word == Word.WORKS
            self._start_by = math.inf
            self._end_by = now + INSIST_S if self._interrupts >= 2 else math.inf
        elif word == Word.HEARD and self._works:
            self._interrupts, self._end_by = 0, math.inf
        elif word in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._interrupts += word == signal.SIGINT
            if not self._started:
                self._end_by = min(self._end_by, now + START_INSIST_S)
            elif self._interrupts >= 2:
                self._end_by = min(self._end_by, now + INSIST_S)

    def lost(self, now: float) -> str | None:
        """Return why the rank has to be killed, None as long as it need not be."""
        if now >= self._start_by:
            return "MPI does not start: has one of the ranks not come up? Ending this one"
        if now >= self._end_by:
            what = "signal" if self._interrupts < 2 else "second INT"
            return f"this process does not end after a {what}, something in it does not come back: killed"
        return None
