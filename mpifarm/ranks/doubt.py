"""Ends that may turn out to be interruptions: Slurm may signal tasks and rank together, and the tasks' end comes first.

A task that has died of a signal that stops a whole job has failed, or was stopped with the job. Who is told of the same
signal a moment later knows which; so such an end waits for a moment, and what ended after it waits behind it, since rank 0
takes the parts of an output and its end in their order. What waits is the word of it alone: its slot is free, and was told
to be.

An exit code says as little as a signal: a program that was told to end, and has cleaned up, exits with 128 and the signal's
number (Java does, and every shell that waited), and so does one that has failed and likes the number.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mpifarm.ended import Ended
from mpifarm.launcher.launcher import Frame
from mpifarm.ranks import wire

DOUBT_S = 1.0  # how much later than its tasks this process may learn of a signal that was sent to both

_STOPPED = [
    status
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
    for status in (-number, 128 + number)
]


class Doubt:
    """What the launcher has said that waits, in order."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[float, Frame]] = deque()  # and until when
        self.size = 0  # bytes of it
        self.records = 0  # attempts

    def add(self, frame: Frame, now: float) -> None:
        """Let *frame* wait for a moment."""
        self._append(now + DOUBT_S, frame)

    def follow(self, frame: Frame) -> None:
        """Let *frame* wait for the one before it, only because it came later."""
        self._append(self.waiting[-1][0], frame)

    def take(self, now: float, everything: bool) -> Iterator[Frame]:
        """Yield what has waited long enough, or everything: one by one, for it may be megabytes, and is sent as a copy."""
        while self.waiting and (everything or now >= self.waiting[0][0]):
            _, frame = self.waiting.popleft()
            self.size -= len(frame.body)
            self.records -= frame.records
            yield frame

    def clear(self) -> None:
        """Forget what waits."""
        self.waiting.clear()
        self.size = self.records = 0

    def _append(self, until: float, frame: Frame) -> None:
        self.waiting.append((until, frame))
        self.size += len(frame.body)
        self.records += frame.records


def signalled(frame: Frame) -> NDArray[np.bool_]:
    """Return which attempts of *frame* have died of a signal that stops a whole job, or report that as a shell does."""
    records = np.frombuffer(frame.body, dtype=wire.ENDED, count=frame.records)
    if not records["status"].any():  # nearly always, and much cheaper to know
        return np.zeros(records.size, dtype=np.bool_)
    died: NDArray[np.bool_] = np.isin(records["status"], _STOPPED) & (records["flags"] & Ended.TIMED_OUT == 0)
    return died


def interrupted(frame: Frame) -> Frame:
    """Return *frame* with the attempts that have died of such a signal marked as interrupted."""
    body = bytearray(frame.body)
    records = np.frombuffer(body, dtype=wire.ENDED, count=frame.records)
    records["flags"][signalled(frame)] |= np.uint32(Ended.INTERRUPTED)
    return Frame(frame.lane, frame.kind, frame.records, bytes(body))
