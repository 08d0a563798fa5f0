"""The list as this node sees it, and the tasks whose lines it could not read yet.

NFS shows some things late: a file that rank 0 has just written may not be there, or end too early. That is nobody's
failure. The worker keeps such tasks and looks again, after pauses that grow. After some seconds others may do better with
them: it gives them back, and asks for no more until it can read what it could not. After a minute this node cannot work.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from mpifarm.ranks import wire
from mpifarm.tasks.reader import Reader
from mpifarm.tasks.tfin import command_of, is_record

UNREAD_S = 60.0  # how long the list may look different here than to rank 0
UNREAD_HELD_S = 3.0  # and how long this worker keeps what it cannot read
UNREAD_PAUSE_S = 1.0  # and when to look again, doubled each time


class List:
    """The .tfin file as this node sees it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1  # opened when it is needed: NFS shows what was closed before an open
        self._reader: Reader | None = None

    def commands(self, granted: wire.Records) -> list[bytes | None]:
        """Return the commands of these tasks; None for each of which this node sees something else than rank 0."""
        offsets, lengths = granted["offset"].tolist(), granted["length"].tolist()
        try:
            if self._reader is None:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                self._reader = Reader(self._descriptor)
            records = self._reader.records(offsets, lengths)
        except OSError:
            return [None] * len(offsets)
        pairs = zip(records, lengths, strict=True)
        return [command_of(record) if is_record(record, length) else None for record, length in pairs]

    def reopen(self) -> None:
        """Look anew."""
        if self._reader is not None:
            os.close(self._descriptor)
            self._reader = None


class Unread:
    """Tasks whose lines this node could not read yet, or could not when it gave them back."""

    def __init__(self) -> None:
        self.tasks: wire.Records = np.empty(0, dtype=wire.GRANTED)
        self.held = True  # they are this worker's
        self._since: float | None = None
        self._due_at = 0.0  # when to try again
        self._pause_s = UNREAD_PAUSE_S

    def keep(self, tasks: wire.Records, now: float) -> None:
        """Keep these, too. If there are none at all, all is well."""
        if not tasks.size:
            if not self.tasks.size:
                self._since, self._pause_s, self.held = None, UNREAD_PAUSE_S, True
            return
        if self._since is None:
            self._since = now
        if now >= self._due_at:
            self._due_at = now + self._pause_s
            self._pause_s *= 2
        self.tasks = np.concatenate((self.tasks, tasks))

    def take(self) -> wire.Records:
        """Return them, and keep none."""
        taken, self.tasks = self.tasks, self.tasks[:0]
        return taken

    def take_held(self) -> wire.Records:
        """Return those that are this worker's, and keep none."""
        taken = self.take()
        return taken if self.held else taken[:0]

    def give_back(self) -> None:
        """They are not this worker's any more: what is kept says what it could not read."""
        self.held = False

    def is_due(self, now: float) -> bool:
        """Whether to try again."""
        return now >= self._due_at

    def is_for_others(self, now: float) -> bool:
        """Whether this worker has kept them for too long."""
        return self.held and self._for_s(now) >= UNREAD_HELD_S

    def is_hopeless(self, now: float) -> bool:
        """Whether this node cannot work."""
        return self._for_s(now) >= UNREAD_S

    def _for_s(self, now: float) -> float:
        """Return for how long there have been some."""
        return 0.0 if self._since is None else now - self._since
