"""How many nodes to ask a batch system for, and for how long: arithmetic.

The rule: what is asked for is more than what is known to be needed, by a quarter and a minute, and is written as somebody
would write it into a batch script.

The time that is needed is Graham's bound for list scheduling: on m slots no order takes longer than work / m + (1 - 1/m) x
the longest task. (R. L. Graham, Bounds on multiprocessing timing anomalies, 1969.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mpifarm.view.units import limit

_SPARE = 1.25  # of the bound, since the next tasks may be longer than those before
_START_S = 60.0  # of a job, and the margin at its end
_DEAR = 1.15  # times the fewest node-hours


@dataclass(frozen=True, slots=True)
class Choice:
    """What a number of nodes would take, by the schedule."""

    nodes: int
    seconds: float

    @property
    def node_hours(self) -> float:
        """What that costs."""
        return self.nodes * self.seconds / 3600

    @property
    def line(self) -> str:
        """The line of a batch script that asks for it."""
        return f"#SBATCH -N {self.nodes} -t {spared(self.seconds)}"


def nodes_for(work_s: float, longest_s: float, slots: int, most: int) -> int:
    """Return on how many nodes, *most* at the most, the work takes no less time than its longest task."""
    return max(1, min(most, int(work_s / (slots * longest_s)) if longest_s > 0 else most))


def makespan(work_s: float, longest_s: float, slots: int) -> float:
    """Return the time that no order of the tasks takes longer than."""
    return work_s / slots + longest_s * (1 - 1 / slots)


def spared(seconds: float) -> str:
    """Return a time to ask for if so many are needed, as sbatch -t and --walltime take it."""
    asked_s = _SPARE * seconds + _START_S
    step_s = next(step for below, step in ((3600, 300), (6 * 3600, 900), (math.inf, 3600)) if asked_s <= below)
    return limit(math.ceil(asked_s / step_s) * step_s)


def best(choices: Sequence[Choice]) -> Choice:
    """Return the one with most nodes of those that cost little more than the cheapest."""
    least = min(choice.node_hours for choice in choices)
    return max((one for one in choices if one.node_hours <= _DEAR * least), key=lambda one: one.nodes)
