"""The output of a task that is still running, as far as it has come: nothing of it counts before its attempt has ended.

The rule: a block is written to --output as a whole or not at all, so a long output waits here until its end is known, in
memory that does not grow with it.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from mpifarm import files

SPOOL_BYTES = 256 * 1024  # of an output that is under way, in memory

_COPY_BYTES = 1024 * 1024


class Spool:
    """The first part of a long standard output, until its attempt is known to have ended.

    A short one is kept in memory: there may be one for each helper of every worker, and that would be many files. A long
    one is kept in an unnamed file.
    """

    def __init__(self) -> None:
        self._parts: list[memoryview] = []
        self._file: BinaryIO | None = None
        self.size = 0

    def append(self, part: memoryview) -> None:
        """Keep one more part. Raises OSError."""
        self.size += len(part)
        self._parts.append(part)
        if self.size <= SPOOL_BYTES:
            return
        if self._file is None:
            self._file = os.fdopen(files.open_unnamed(), "w+b", buffering=0)
        for kept in self._parts:
            files.write_all(self._file.fileno(), kept)  # a raw file's own write() may keep a part of it and say nothing
        self._parts.clear()

    def parts(self) -> Iterator[bytes | memoryview]:
        """Yield everything, in pieces of 1 MiB at most. Raises OSError, if it is not all there any more as well."""
        yield from self._parts
        if self._file:
            for at in range(0, self.size, _COPY_BYTES):
                part = os.pread(self._file.fileno(), min(_COPY_BYTES, self.size - at), at)
                if len(part) < min(_COPY_BYTES, self.size - at):
                    raise OSError(errno.EIO, "a part of a task's output is not there any more", tempfile.gettempdir())
                yield part

    def close(self) -> None:
        """Forget it."""
        self._parts.clear()
        if self._file:
            with suppress(OSError):  # it has no name, and nobody wants it any more
                self._file.close()
