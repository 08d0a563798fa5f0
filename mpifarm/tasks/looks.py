"""What is looked for in a list, and what was found there: the question of a `survey`, and its answer.

The rule: what is refused, and so an error, is up to the options; what was found is gathered by kind, the first few places
and how many there are.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from mpifarm.settings import Each
from mpifarm.tasks import lint
from mpifarm.tasks.check import Place
from mpifarm.tasks.faults import SHOWN, Fault, Tally


@dataclass(frozen=True, slots=True)
class Looks:
    """What to look for, and how."""

    shell: str
    path: str  # the tasks' PATH
    variables: Collection[str]  # that are set for them
    anyway: bool = False
    ignore_directives: bool = False
    each: Each | None = None  # the list is of arguments

    @property
    def dash(self) -> bool:
        """Whether the shell is dash; what else it may be reads a line much as bash does."""
        return lint.is_dash(self.shell)

    def refused(self) -> frozenset[Fault]:
        """Return what a start is refused for, with these options."""
        refused = {Fault.ENCODING, Fault.NUL}
        if not self.anyway:
            refused |= {Fault.RETURN, Fault.NO_TASK}
        if not self.ignore_directives:
            refused |= {Fault.DIRECTIVE} if self.anyway else {Fault.DIRECTIVE, Fault.FOREIGN}
        return frozenset(refused)


@dataclass(slots=True)
class Survey:
    """What was found in a list."""

    tasks: int = 0
    tallies: dict[Fault, Tally] = field(default_factory=dict)
    refused: frozenset[Fault] = frozenset()  # these are errors
    differs_at: int | None = None  # first byte in which the .tfin file of an earlier run differs; None: nowhere, or no file
    not_looked_at: list[str] = field(default_factory=list)

    def add(self, fault: Fault, number: int, said: str, last: int = 0) -> None:
        """Note a fault in line *number*, or from there to the *last*."""
        tally = self.tallies.setdefault(fault, Tally())
        tally.count += 1
        if len(tally.places) < SHOWN:
            tally.places.append(Place(number, said, last))

    def errors(self) -> int:
        """Return how many faults a start would be refused for."""
        return sum(tally.count for fault, tally in self.tallies.items() if fault in self.refused)

    def remarks(self) -> int:
        """Return how many there are of all others."""
        return sum(tally.count for fault, tally in self.tallies.items() if fault not in self.refused)
