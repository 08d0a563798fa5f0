"""Is the holder of a lock alive, of whom nothing is known here? His lock is watched, and whoever lives touches it.

The rule: it is silent if it has not been touched for 30 s. By its age, and where its clock is ahead of ours by what was
watched, pause by pause: who was himself away meanwhile has only watched for longer. But ages are of clocks, and those
differ; so whatever the age, no less is watched than a living one needs for a touch. How time passes is handed in: no test
has to wait.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mpifarm import FarmError, say
from mpifarm.journal.holder import Fate, parse_holder

STALE_S = 30.0
TOUCH_S = 5.0
SETTLE_S = TOUCH_S + 2.0  # longer than a touch and a turn
LOOK_S = 1.0  # between two looks


@dataclass(frozen=True, slots=True)
class Waiting:
    """A clock, a pause, in seconds, and somebody who is told what is waited for."""

    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] = time.sleep
    tell: Callable[[str], object] = say


IN_PERSON = Waiting()


class Watch:
    """A look now and then at the lock of a list, or of a file given as --output."""

    def __init__(self, path: Path, output: Path | None, waiting: Waiting) -> None:
        self._path = path
        self._output = output
        self._waiting = waiting
        self._seen: tuple[int, int, str] | None = None
        self._watched_s = 0.0

    def is_silent(self, fate: Fate, text: str, status: os.stat_result, age_s: float) -> bool:
        """Return whether it has been silent for long enough; wait a bit if not. Raises FarmError if its holder lives."""
        seen = status.st_ino, status.st_mtime_ns, text
        touched = self._seen not in (None, seen)
        if touched or (fate is Fate.ALIVE and age_s < STALE_S):
            raise self._busy(text, age_s)
        left_s = max(STALE_S - max(age_s, self._watched_s), SETTLE_S - self._watched_s)
        if left_s <= 0:
            return True
        if self._seen is None:
            whose = parse_holder(text) or "somebody who has not signed it"
            at_most = f"waiting {left_s + SETTLE_S:.0f} s at most to see whether it is touched"
            self._waiting.tell(f"{self._path} is of {whose}, and nobody here knows whether that is alive: {at_most}")
        self._seen = seen
        self._waiting.pause(LOOK_S)
        self._watched_s += LOOK_S
        return False

    def _busy(self, text: str, age_s: float) -> FarmError:
        holder = parse_holder(text)
        if holder is None:
            return FarmError(f"{self._path} is held by somebody who has not signed it: if no farm runs here, remove it")
        busy = f"--output {self._output} is being written" if self._output else "this list is being run"
        ago = f"{self._path} was touched {max(age_s, 0):.0f} s ago"
        return FarmError(f"{busy} by {holder}: wait for it, or stop it ({ago})")
