"""Records of a .tfin file by their offsets: how a rank comes by the commands of the tasks that it was granted.

The rule: what lies together is read at once. Tasks are dealt in list order, so most of the time a single read brings all
that is asked for, and what will be asked for next.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from operator import add

_APART_BYTES = 64 * 1024  # records that lie so far apart are read one by one


class Reader:
    """Reads records of a .tfin file that mostly lie near each other."""

    def __init__(self, descriptor: int, ahead: int = 0) -> None:
        """*ahead*: bytes to read at least, since the next records to be asked for will be among them."""
        self._descriptor = descriptor
        self._ahead = ahead
        self._start = 0
        self._span = b""

    def records(self, offsets: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
        """Return the records of these *lengths* at *offsets*, shorter where the file ends. Raises OSError."""
        ends = list(map(add, offsets, lengths))
        start, end = min(offsets), max(ends)
        if start < self._start or end > self._start + len(self._span):
            if end - start > _APART_BYTES + 2 * sum(lengths):
                pairs = zip(offsets, lengths, strict=True)
                return [os.pread(self._descriptor, length, offset) for offset, length in pairs]
            self._start, self._span = start, os.pread(self._descriptor, max(end - start, self._ahead), start)
        base, span = self._start, self._span
        return [span[at - base : to - base] for at, to in zip(offsets, ends, strict=True)]
