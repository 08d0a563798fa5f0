"""What rank 0 says on standard error, and what the tasks of others have printed there: one queue, in order.

The rule: nobody waits for its reader, and it is nobody's result. As long as it is read every byte is kept. Beyond
MOST_BYTES what does not fit is dropped, and before the next thing that gets through stands how much that was. The log has
the notices.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress

from mpifarm import as_line
from mpifarm.outlet import Outlet
from mpifarm.words import counted

MOST_BYTES = 4 * 1024 * 1024
LAST_PATIENCE_S = 1.0  # in the end, for what is left

_AT_ONCE_BYTES = 64 * 1024
_STDERR = 2
_ERASE = b"\r\033[2K"  # the line that the cursor is in


class Voice:
    """A queue of what is to be read by people."""

    def __init__(self) -> None:
        self._outlet: Outlet | None = None
        with suppress(OSError):  # closed: then nobody hears anything
            self._outlet = Outlet(_STDERR)
        self._waiting: deque[bytes | memoryview] = deque()
        self._size = 0
        self._dropped = 0
        self._bar = b""  # what is to stand below all else
        self._shown = b""  # of it, now
        self.torn = False  # the last line has no end yet

    @property
    def descriptors(self) -> list[int]:
        """What to poll for writing."""
        return [self._outlet.descriptor] if self._outlet and self._waiting and self._outlet.tells else []

    def say(self, text: object, stamp: str = "") -> None:
        """Say something to people; *stamp* tells when, and what it is about."""
        begin = f"mpifarm {stamp} " if stamp else "mpifarm: "
        self.add(f"{begin}{as_line(text)}\n".encode(errors="backslashreplace"))

    def add(self, content: bytes | memoryview) -> None:
        """Pass on what a task has printed."""
        self.clear()
        if self._dropped:
            self._tell_dropped()
        if self._dropped or self._size + len(content) > MOST_BYTES:
            self._dropped += len(content)
            return
        self._put(content)
        self.torn = bytes(content[-1:]) not in (b"", b"\n")

    def bar(self, text: str) -> None:
        """Show this line below all that is said, in place of the last one, on a terminal; nothing: take it away."""
        self._bar = text.encode("ascii", "replace")
        if not text:
            self.clear()

    def clear(self) -> None:
        """Take the bar away until the next turn: something else goes to the terminal."""
        if self._shown:
            self._shown = b""
            self._put(_ERASE)
            while self._waiting and self._write(0.0):
                pass

    def _put(self, content: bytes | memoryview) -> None:
        self._waiting.append(content)
        self._size += len(content)

    def _draw(self) -> None:
        """Show the bar, when all that was said is out: a terminal that was stopped gets no pile of them."""
        if self._bar == self._shown or self._waiting:
            return
        self._put((_ERASE if self._shown else b"\n" if self.torn else b"") + self._bar)
        self.torn, self._shown = False, self._bar
        self._write(0.0)

    def turn(self, draws: bool = True) -> None:
        """Write what is taken, and then the bar, if it *draws* one below that."""
        while self._waiting and self._write(0.0):
            pass
        if self._dropped:
            self._tell_dropped()
        if self._bar and draws:
            self._draw()

    def end(self) -> None:
        """Wait a moment for the reader, and then no more."""
        self.bar("")
        self.turn()
        while self._waiting and self._write(LAST_PATIENCE_S):
            pass

    def _write(self, patience_s: float) -> bool:
        """Write some of what waits; return whether it was taken. What cannot be written, on a full disk say, is gone."""
        content = memoryview(self._some())
        try:
            taken = self._outlet.write_within(content, patience_s) if self._outlet else len(content)
        except OSError:
            taken = len(content)
        self._size -= taken
        if taken < len(content):
            self._waiting.appendleft(content[taken:])
        return taken == len(content)

    def _some(self) -> bytes | memoryview:
        """Take the first of what waits; of small parts, several."""
        content = self._waiting.popleft()
        while self._waiting and len(content) + len(self._waiting[0]) <= _AT_ONCE_BYTES:
            content = b"".join((content, self._waiting.popleft()))
        return content

    def _tell_dropped(self) -> None:
        """Say how much is missing here, if there is room for that again."""
        if self._size > MOST_BYTES // 2:
            return
        dropped, self._dropped = self._dropped, 0
        self.say(f"nobody has read standard error in time: {counted(dropped, 'byte')} left out here")
