"""A list of arguments, read as the task list that its template makes of it: a file of commands that nobody has written.

Why: whoever reads a list reads bytes of a file, goes back to its start, and looks at its end. So the commands come as such
a file, and a scan, an edit, and a judgement of lines are the same for both kinds of lists.

The rule: it is never in memory as a whole. What is read is made, chunk by chunk; who goes back has it made anew from the
start. Only the last chunks stay at hand, so that a look at the end of a list costs no second pass.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

AT_HAND_BYTES = 1024 * 1024
_BUFFER_BYTES = 64 * 1024


class Expanded(io.RawIOBase):
    """The bytes of a list that is made of chunks, by whoever makes them, from the first one at each call."""

    def __init__(self, make: Callable[[], Iterator[bytes]]) -> None:
        self._make = make
        self._chunks = make()
        self._behind = 0  # where the next chunk begins
        self._at_hand: deque[tuple[int, bytes]] = deque()  # the last ones, and where each begins
        self._held = 0  # bytes of these
        self._size: int | None = None  # if the end was reached
        self._at = 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that one can go anywhere in it."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer* from where it stands, as far as a chunk goes; return how many bytes that are, 0 at the end."""
        view = memoryview(buffer).cast("B")
        begin, chunk = self._chunk()
        part = chunk[self._at - begin : self._at - begin + len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; return it, from the start."""
        if whence == os.SEEK_END:
            offset += self._end()
        self._at = max(0, offset + (self._at if whence == os.SEEK_CUR else 0))
        return self._at

    def tell(self) -> int:
        """Return where it stands."""
        return self._at

    def _end(self) -> int:
        at = self._at
        while self._size is None:
            self._at = self._behind
            self._chunk()
        self._at = at
        return self._size

    def _chunk(self) -> tuple[int, bytes]:
        """Return the chunk in which it stands, and where that begins; nothing at the end."""
        if self._at < (self._at_hand[0][0] if self._at_hand else self._behind):
            self._chunks, self._behind, self._held = self._make(), 0, 0
            self._at_hand.clear()
        while self._behind <= self._at:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._size = self._behind
                return self._at, b""
            self._at_hand.append((self._behind, chunk))
            self._behind += len(chunk)
            self._held += len(chunk)
            while self._held - len(self._at_hand[0][1]) >= AT_HAND_BYTES:
                self._held -= len(self._at_hand.popleft()[1])
        return next(held for held in reversed(self._at_hand) if held[0] <= self._at)


def buffered(make: Callable[[], Iterator[bytes]]) -> BinaryIO:
    """Return what *make* makes as a file."""
    return cast(BinaryIO, io.BufferedReader(Expanded(make), _BUFFER_BYTES))
