"""What can be wrong or odd in a list, as kinds, and where the first of a kind are.

The rule: these are values. Who finds them is `survey`, who says what to do is `view.advice`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from mpifarm.tasks.check import Place

SHOWN = 3  # places of a kind


class Fault(Enum):
    """What can be wrong."""

    ENCODING = auto()
    NUL = auto()
    RETURN = auto()
    DIRECTIVE = auto()
    NO_TASK = auto()
    FOREIGN = auto()
    SYNTAX = auto()
    PROGRAM = auto()
    STEP = auto()
    ONE_FILE = auto()
    EQUAL = auto()
    BASH = auto()
    BACKGROUND = auto()
    ALONE = auto()
    LINE_END = auto()
    MARK = auto()


@dataclass(slots=True)
class Tally:
    """The first places of a kind of fault, and how many there are."""

    places: list[Place] = field(default_factory=list)
    count: int = 0
    exact: bool = True
