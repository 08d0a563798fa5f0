"""A node that has no room for another process, for a moment: fewer tasks run there until it has.

fork(2) fails with EAGAIN where the processes of a user (`ulimit -u`) or of a container are used up, and with ENOMEM;
pipe(2) with EMFILE and ENFILE. That is not the fault of the task that was to be started, and trying again at once fails
for the whole list in a second. So

1. as many as run may run: one that ends makes room for one;
2. after a pause, of 1 s and then longer, one more is tried. When it starts twice as many may run, a second later;
3. if nothing runs, and nothing can be started for a minute, it is the node that has failed.
"""

from __future__ import annotations

import errno
import math

PAUSE_S, LONGEST_PAUSE_S = 1.0, 16.0
HOPELESS_S = 60.0

_OF_THE_NODE = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}


def is_scarcity(error: Exception) -> bool:
    """Return whether it is for want of room on the node that something could not be started."""
    return isinstance(error, OSError) and error.errno in _OF_THE_NODE


class Scarcity:
    """How many tasks may run: *running* is how many do, *now* is by the helper's clock."""

    def __init__(self) -> None:
        self._most = math.inf
        self._pause_s = PAUSE_S
        self._retry_at = 0.0  # when one more than that may be tried
        self._since = math.inf  # nothing runs, and nothing could be started

    @property
    def retry_at(self) -> float:
        """When one more may be tried."""
        return self._retry_at

    def allows(self, running: int, now: float) -> bool:
        """Return whether another task may be started."""
        return running < self._most or now >= self._retry_at

    def failed(self, running: int, now: float) -> None:
        """There was no room for one more."""
        self._since = math.inf if running else min(self._since, now)
        self._most = running
        self._retry_at = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def started(self, running: int, now: float) -> None:
        """There was room: *running* run now."""
        self._since = math.inf
        if running > self._most:
            self._most = 2 * running
            self._pause_s = PAUSE_S
            self._retry_at = now + PAUSE_S

    def is_hopeless(self, now: float) -> bool:
        """Return whether nothing could be started for so long that nothing will."""
        return now >= self._since + HOPELESS_S
