"""The list of the simulation: what its lines do, and who edits it between two runs of the farm.

Accounts are kept by the names of the tasks, which stand in their commands: what is at an offset changes with the list.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LIST = Path("tasks.txt")
_FIRST_NEW = 10_000  # what is written by hand later has names from here on


@dataclass(frozen=True)
class Task:
    """What a line of the list does when it is run."""

    seconds: float
    fails: float  # how often
    poison: bool  # its worker dies of it
    bytes: int
    kills: bool = False  # the whole farm dies of it


class Lines:
    """The list as its owner sees it."""

    def __init__(self, seed: int, names: Iterable[int]) -> None:
        self._random = random.Random(f"{seed} edits")
        self.edits = self._random.choice((0, 0, 1, 3))  # that are still to come
        self.new: dict[int, Task] = {}
        self.most: Counter[int] = Counter()  # by name: in how many lines it has stood at once
        self._lines = [f"task {name}" for name in names]
        self._write()

    def edit(self) -> set[int] | None:
        """Edit it; return the names of what was touched, None if anything may match anything."""
        self.edits -= 1
        wild = self._random.random() < 0.3
        touched: set[int] = set()
        for _ in range(self._random.choice((1, 1, 2, 5))):
            kinds = [self._insert, self._insert, self._change, self._delete, self._comment, self._move]
            touched |= self._random.choice(kinds + [self._double, self._double] * wild)()
        self._write()
        return None if wild else touched

    def _write(self) -> None:
        LIST.write_text("".join(f"{line}\n" for line in self._lines))
        self.at = names_at(b"".join(b"> %s\n" % line.encode() for line in self._lines if not line.startswith("#")))
        self.most |= Counter(self.at.values())

    @property
    def alone(self) -> set[int]:
        """The names that stand in one line only."""
        return {name for name, count in Counter(self.at.values()).items() if count == 1}

    def _pick(self) -> int:
        return self._random.choice([at for at, line in enumerate(self._lines) if not line.startswith("#")])

    def _may_lose_one(self) -> bool:
        return sum(not line.startswith("#") for line in self._lines) > 1

    def _made(self) -> str:
        name = _FIRST_NEW + len(self.new)
        fails = self._random.choice((0.0, 0.0, 0.0, 0.3, 1.0))
        self.new[name] = Task(self._random.choice((0.001, 1.0)), fails, False, self._random.choice((0, 1, 20, 50)))
        return f"task {name}"

    def _insert(self) -> set[int]:
        self._lines.insert(self._random.randint(0, len(self._lines)), self._made())
        return set()

    def _delete(self) -> set[int]:
        return {_name(self._lines.pop(self._pick()))} if self._may_lose_one() else set()

    def _change(self) -> set[int]:
        at = self._pick()
        touched = {_name(self._lines[at])}
        self._lines[at] = self._made()
        return touched

    def _comment(self) -> set[int]:
        if not self._may_lose_one():
            return set()
        at = self._pick()
        touched = {_name(self._lines[at])}
        self._lines[at] = f"# {self._lines[at]}"
        return touched

    def _move(self) -> set[int]:
        line = self._lines.pop(self._pick())
        self._lines.insert(self._random.randint(0, len(self._lines)), line)
        return set()

    def _double(self) -> set[int]:
        self._lines.insert(self._random.randint(0, len(self._lines)), self._lines[self._pick()])
        return set()


def names_at(tfin: bytes) -> dict[int, int]:
    """Return the name of each task of a .tfin file, by its offset."""
    found, offset = {}, 0
    for line in tfin.splitlines(keepends=True):
        found[offset] = _name(line.decode())
        offset += len(line)
    return found


def _name(line: str) -> int:
    return int(line.rsplit(maxsplit=1)[-1])
