"""How long tasks took in earlier runs of a list: what is known of the end of a run before enough of its own have ended.

The rule: it delays nobody. A joblog may have ten million lines; its last MOST_BYTES, about ten thousand lines, are a sample
of them: those of the last run, or of its end, which are most like what is left. They are read once, when somebody asks.
Only successes of tasks that are still in the list count: how long a task fails is a story of its own.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mpifarm.view import attempts
from mpifarm.view.estimate import RunTimes

MOST_BYTES = 1024 * 1024


class Earlier:
    """The run times of earlier runs."""

    def __init__(self, joblog: Path, size: int) -> None:
        """*size*: bytes of the *joblog* that are theirs."""
        self._joblog, self._size = joblog, size
        self._times: RunTimes | None = None

    def times(self) -> RunTimes:
        """Return them; none if there are none, or if they cannot be read."""
        if self._times is None:
            self._times = RunTimes()
            with suppress(OSError):  # nobody's result
                rows = attempts.last(self._joblog, self._size, MOST_BYTES)
                self._times.take(rows["seconds"][(rows["exit"] == 0) & (rows["signal"] == 0) & (rows["seq"] > 0)])
        return self._times
