"""Ranges: 1-1000, 1-100:5, 1,7,9-12, as Slurm writes those of a job array.

The rule: they mean what they mean to Slurm, and come in the order in which they are written. What Slurm takes in another
way than it looks is refused: a number that is in it twice (an array has it once), zeros in front (they are dropped).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from mpifarm import FarmError
from mpifarm.settings import Each
from mpifarm.texts import shown

_PART = re.compile(r"([0-9]+)(?:-([0-9]+)(?::([0-9]+))?)?")
_RANGE = re.compile(rf"(?:{_PART.pattern})(?:,{_PART.pattern})*(?:%[0-9]*)?")
_AT_A_TIME = 8192  # numbers
_LONGEST = 18  # digits


def is_range(text: str) -> bool:
    """Return whether *text* is written as a range, be it one that is refused."""
    return _RANGE.fullmatch(text) is not None


class Range:
    """The numbers of a range, a row each."""

    lines = False
    csv = False

    def __init__(self, text: str) -> None:
        """Raises FarmError."""
        self.name = shown(text)
        if "%" in text:
            raise FarmError(f"{self.name}: how many run at a time is told by --threads, not by % behind a range")
        self._ranges = [_part(part, self.name) for part in text.split(",")]
        self._refuse_twice()

    def chunks(self, each: Each) -> Iterator[bytes]:
        """Yield whole lines; each call begins anew. Raises FarmError."""
        if each.header:
            raise FarmError(f"{self.name}: a range has no first line that names columns: leave --header out")
        return self._numbers()

    def where(self, number: int) -> str:
        """Return how a message names the *number*th number."""
        return f"{self.name}, number {number} of them"

    def _numbers(self) -> Iterator[bytes]:
        for numbers in self._ranges:
            for at in range(0, len(numbers), _AT_A_TIME):
                part = numbers[at : at + _AT_A_TIME]
                yield b"%d\n" * len(part) % tuple(part)

    def _refuse_twice(self) -> None:
        before: list[range] = []
        for numbers in sorted(self._ranges, key=lambda numbers: numbers[0]):
            for other in before:
                if twice := _common(other, numbers):
                    raise FarmError(f"{self.name}: {twice[0]} is in it twice; a job array has it once")
            before = [other for other in before if other[-1] >= numbers[0]] + [numbers]


def _common(first: range, second: range) -> list[int]:
    """Return the least number that is in both, if there is one."""
    few, many = sorted((first, second), key=len)
    late = few[max(0, -((few[0] - many[0]) // few.step)) :]  # none before it is in both
    turn = many.step // math.gcd(few.step, many.step)  # after which the remainders by its step come again
    return next(([number] for number in late[:turn] if number in many), [])


def _part(part: str, name: str) -> range:
    found = _PART.fullmatch(part)
    if not found:
        raise FarmError(f"{name}: '{shown(part)}' is no range of numbers, such as 1-1000, 1-100:5 or 1,7,9-12")
    for digits in filter(None, found.groups()):
        if len(digits) > 1 and digits.startswith("0"):
            raise FarmError(
                f"{name}: {digits} would be {int(digits[-_LONGEST:])}, as in a job array; for zeros in front, "
                "write the range without them, and $(printf %03d {}) in the template"
            )
        if len(digits) > _LONGEST:
            raise FarmError(f"{name}: {shown(digits, 40)} is too large a number")
    first, last, step = (int(number) if number else None for number in found.groups())
    assert first is not None
    if step == 0:
        raise FarmError(f"{name}: the step of '{part}' is 0")
    if last is not None and last < first:
        raise FarmError(f"{name}: '{part}' runs backwards, and so is empty")
    return range(first, (first if last is None else last) + 1, step or 1)
