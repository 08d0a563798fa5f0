"""A descriptor that somebody reads: a pipe, a terminal, a socket, or a file. Writing to it without ever waiting.

The rule: whoever prints something goes on with his work, whether it is read or not. A reader may be `less`, a terminal that
was stopped with Ctrl-S, a `tee` that hangs.

O_NONBLOCK is a property of an open file that others share: the shell, the tasks of others, whoever has started us. So it
must not be set on what was inherited. A pipe and a terminal can be opened once more by their entry in /proc, and that open
file is ours alone. Where this fails (a terminal of somebody else's, after su; a socket), poll(2) tells whether something is
taken, and a pipe that takes anything takes PIPE_BUF without blocking: pipe(7).
"""

from __future__ import annotations

import os
import select
import stat
import time
from contextlib import suppress

_FLAGS = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Outlet:
    """The writing end of something that is read."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._asks = _may_block(descriptor)  # by poll, before each write
        self._reluctant = False  # it was ready, and has taken nothing
        if self._asks:
            with suppress(OSError):
                self.descriptor = os.open(f"/proc/self/fd/{descriptor}", _FLAGS)
                self._asks = False
        self._poll = select.poll()
        self._poll.register(self.descriptor, select.POLLOUT)

    @property
    def tells(self) -> bool:
        """Whether a poll tells when it takes more. A terminal with one place left is ready, and takes no end of line."""
        return not self._reluctant

    def write(self, content: bytes | memoryview) -> int:
        """Write what is taken at once; return how many bytes of *content* that were. Raises OSError."""
        view = memoryview(content)
        at = 0
        self._reluctant = False
        while at < len(view) and (not self._asks or self._poll.poll(0)):
            try:
                at += os.write(self.descriptor, view[at : at + select.PIPE_BUF] if self._asks else view[at:])
            except BlockingIOError:
                self._reluctant = not at and bool(self._poll.poll(0))
                break
        return at

    def write_within(self, content: bytes | memoryview, patience_s: float) -> int:
        """Write *content*, waiting up to *patience_s* for its reader; return how many bytes were taken. Raises OSError."""
        view = memoryview(content)
        until = time.monotonic() + patience_s
        at = self.write(view)
        while at < len(view) and (left_s := until - time.monotonic()) > 0:
            if self._reluctant:
                time.sleep(min(left_s, 0.01))
            else:
                self._poll.poll(left_s * 1000)
            at += self.write(view[at:])
        return at

    def close(self, inherited: int) -> None:
        """Close what was opened beside *inherited*."""
        if self.descriptor != inherited:
            os.close(self.descriptor)


def _may_block(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or (stat.S_ISCHR(mode) and os.isatty(descriptor))
