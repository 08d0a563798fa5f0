"""The table: a line for each figure of mpifarm, with what it is compared with, how it compares, and the goal.

Figures are the medians of the rounds. They are compared round by round, and the median of that is what counts: what a
busy machine does to one round, it does to both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from statistics import median
from typing import Any


class By(Enum):
    """How two figures are compared."""

    RATIO = "x"
    DIFFERENCE = "+"
    ITSELF = "="  # with the goal alone


@dataclass(frozen=True, slots=True)
class Goal:
    """What the comparison should come to."""

    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"

    def reached(self, compared: float) -> bool:
        """Say whether it is reached."""
        return compared >= self.at_least if self.at_least is not None else compared <= (self.at_most or 0.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of mpifarm and one of a peer, or of a limit: a sample for each round."""

    what: str
    unit: str
    ours: Sequence[float]
    peer: str
    theirs: Sequence[float] | None  # None: the peer is missing
    goal: Goal | None = None
    by: By = By.RATIO

    @property
    def compared(self) -> list[float] | None:
        """The comparison, round by round."""
        if self.by is By.ITSELF:
            return list(self.ours)
        if self.theirs is None:
            return None
        pairs = zip(self.ours, self.theirs, strict=True)
        return [ours - theirs if self.by is By.DIFFERENCE else ours / max(theirs, 1e-9) for ours, theirs in pairs]

    def cells(self) -> list[str]:
        """Return what is printed."""
        theirs = "" if self.theirs is None else _short(median(self.theirs))
        compared, verdict = "", ""
        if (rounds := self.compared) is not None:
            if self.by is not By.ITSELF:
                compared = f"{median(rounds):+.2f}" if self.by is By.DIFFERENCE else f"{median(rounds):.2f} x"
                compared += f" ({min(rounds):.2f}..{max(rounds):.2f})" if len(rounds) > 1 else ""
            if self.goal:
                verdict = "yes" if self.goal.reached(median(rounds)) else "NO"
        return [self.what, self.unit, _short(median(self.ours)), self.peer, theirs, compared, _goal(self), verdict]

    def json(self) -> dict[str, Any]:
        """Return everything that is known of it, as JSON has it."""
        compared = self.compared
        return {
            **asdict(self),
            "by": self.by.value,
            "ours_median": median(self.ours),
            "theirs_median": median(self.theirs) if self.theirs else None,
            "compared": compared,
            "compared_median": median(compared) if compared else None,
            "reached": self.goal.reached(median(compared)) if self.goal and compared else None,
        }


_HEADER = ["what", "unit", "mpifarm", "peer or limit", "its", "compared (min..max)", "goal", "met"]
_RIGHT = (2, 4)


def text(rows: Sequence[Row]) -> str:
    """Return the table for people."""
    lines = [_HEADER, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if column in _RIGHT else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def _goal(row: Row) -> str:
    return f"{'+' if row.by is By.DIFFERENCE else ''} {row.goal}".strip() if row.goal else ""


def _short(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
