"""The reader of standard output in the simulation: he reads, stalls for a while, or never reads again.

What a farm says on standard error is not looked at.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from mpifarm.outlet import Outlet

MOST_BYTES = 600  # that wait in rank 0: a task or two
_STALLS_S = (1.0, 20.0, 200.0, float("inf"))


class Reader:
    """Of one run after the other."""

    def __init__(self, random: random.Random, now: Callable[[], float]) -> None:
        self._random = random
        self._now = now
        self._stalls_at = self._reads_at = float("inf")
        self._room = 0

    def begin(self, calm: bool) -> None:
        """A run begins."""
        self._stalls_at = self._reads_at = float("inf")
        if not calm and self._random.random() < 0.5:
            self._stalls_at = self._now() + self._random.choice((0.0, 0.0, 1.0, 20.0))
            self._reads_at = self._stalls_at + self._random.choice(_STALLS_S)
        self._room = self._random.choice((0, 10, 100))  # what a pipe takes before it is full

    @property
    def is_gone(self) -> bool:
        """Whether he will never read again."""
        return self._stalls_at < self._reads_at == float("inf")

    def write(self, content: bytes | memoryview) -> int:
        if not self._stalls_at <= self._now() < self._reads_at:
            return os.write(1, content)
        taken = os.write(1, content[: self._room]) if self._room else 0
        self._room -= taken
        return taken

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let everything that is printed go through here."""

        def write(outlet: Outlet, content: bytes | memoryview) -> int:
            return self.write(content) if outlet.descriptor == 1 else len(content)

        with patch.object(Outlet, "write", write), patch("mpifarm.journal.output.MOST_BYTES", MOST_BYTES):
            yield
