"""The disk of the simulation: any single operation of rank 0 may be its last, or fail, or be lost when the node dies."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mpifarm.journal import appender

_SURVIVORS = ("tasks.txt", "stdout")  # the user's, and what he has read already


class Killed(BaseException):
    """The manager's process is gone."""


@dataclass
class Disk:
    """The operations on files that rank 0 does."""

    random: random.Random
    left: int | None = None  # operations until the kill: before the last one, after it, or in the middle of it
    healthy: int | None = None  # operations until the disk is full, or broken
    hang: Callable[[], None] = lambda: None  # each operation may take its time
    synced: dict[int, int] = field(default_factory=dict)  # by inode: bytes that survive a crash

    def write(self, real: Callable[..., int], descriptor: int, content: bytes | memoryview) -> int:
        half = memoryview(content)[: self.random.randint(0, len(content))]
        return int(self._step(lambda: real(descriptor, content), lambda: real(descriptor, half), grows=True))

    def overwrite(self, real: Callable[..., int], descriptor: int, content: bytes, offset: int) -> int:
        half = content[: self.random.randint(0, len(content))]
        return int(self._step(lambda: real(descriptor, content, offset), lambda: real(descriptor, half, offset)))

    def sync(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self._step(lambda: self.synced.__setitem__(status.st_ino, status.st_size), grows=True)

    def crash(self) -> None:
        """The node dies: of each file, what was not synced may be gone, or be zeros."""
        for path in sorted(Path().iterdir()):
            status = path.stat()
            safe = min(self.synced.get(status.st_ino, 0), status.st_size)
            if path.name in _SURVIVORS or safe == status.st_size:
                continue
            os.truncate(path, self.random.randint(safe, status.st_size))
            if self.random.random() < 0.3:
                os.truncate(path, status.st_size)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let everything that mpifarm does to files go through here."""
        names = ("ftruncate", "unlink", "replace", "rename", "link")
        real = {name: getattr(os, name) for name in (*names, "write", "pwrite", "fsync")}
        fdatasync = appender._fdatasync

        def wrapped(name: str) -> Callable[..., Any]:
            return lambda *args, **options: self._step(lambda: real[name](*args, **options))

        replaced: dict[str, Callable[..., Any]] = {name: wrapped(name) for name in names}
        replaced["pwrite"] = lambda *args: self.overwrite(real["pwrite"], *args)
        replaced |= {"write": lambda *args: self.write(real["write"], *args), "fsync": self.sync}
        try:
            for name, function in replaced.items():
                setattr(os, name, function)
            appender._fdatasync = self.sync
            yield
        finally:
            for name, function in real.items():
                setattr(os, name, function)
            appender._fdatasync = fdatasync

    def _step(self, do: Callable[[], Any], torn: Callable[[], object] | None = None, grows: bool = False) -> Any:
        self.hang()
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self._last(do, torn)
        if self.healthy is not None:
            self.healthy -= 1
            if self.healthy < 0 and grows:  # shrinking and removing work on a full disk
                if torn:
                    torn()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return do()

    def _last(self, do: Callable[[], Any], torn: Callable[[], object] | None) -> None:
        when = self.random.choice(("before", "after", "torn"))
        if when == "after":
            do()
        elif when == "torn" and torn:
            torn()
        raise Killed
