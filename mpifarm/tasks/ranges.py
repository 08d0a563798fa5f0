"""Ranges: 1-1000, 1-100:5, 1,7,9-12, as Slurm writes those of a job array.

The rule: the numbers come in the order in which they are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mpifarm import FarmError

_PART = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")
_RANGE = re.compile(rf"{_PART.pattern}(?:,{_PART.pattern})*(%\d*)?", re.ASCII)
_AT_A_TIME = 8192  # numbers


def is_range(text: str) -> bool:
    """Return whether *text* is written as a range."""
    return _RANGE.fullmatch(text) is not None


class Range:
    """The numbers of a range, a row each."""

    def __init__(self, text: str) -> None:
        """Raises FarmError."""
        self.name = text
        self._ranges: list[range] = []
        if "%" in text:
            raise FarmError(f"{text}: how many run at a time is told by --threads, not by %")
        for part in text.split(","):
            found = _PART.fullmatch(part)
            if not found:
                raise FarmError(f"{text}: {part!r} is no range of numbers, such as 1-1000, 1-100:5 or 1,7,9-12")
            first, last, step = found.groups()
            self._ranges.append(range(int(first), int(last or first) + 1, int(step or 1)))

    def chunks(self) -> Iterator[bytes]:
        """Yield whole lines; each call begins anew."""
        for numbers in self._ranges:
            for at in range(0, len(numbers), _AT_A_TIME):
                yield b"".join([b"%d\n" % number for number in numbers[at : at + _AT_A_TIME]])
