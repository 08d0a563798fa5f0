"""What is said of nodes whose attempts all fail: a suspicion that is taken back in a moment is not worth a line.

Why: where it is the tasks that fail, many in a row (those that an earlier start has left come first) make every node
suspected and fit again within seconds, many times over. The schedule needs that; who reads along does not.

The rule: that a node is suspected is said when it has been so for LASTS_S. A verdict is said at once. That a node gets
tasks again is said if people know that it did not.
"""

from __future__ import annotations

from collections.abc import Iterator

from mpifarm.schedule.quarantine import Fitness, Judged

LASTS_S = 15.0  # three times as long as the first pause before such a node is tried


class Suspicions:
    """The nodes of a run that are not fit, as far as people know."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[Judged, float]] = {}  # by node: not said yet, and since when
        self._said: set[str] = set()  # nodes

    def take(self, judged: Judged, now: float) -> bool:
        """What is thought of a node has changed; return whether that is to be said now."""
        held = self._held.pop(judged.node, None)
        if judged.fitness is Fitness.SUSPECTED and judged.node not in self._said:
            self._held[judged.node] = held or (judged, now)
            return False
        if judged.fitness is not Fitness.FIT:
            self._said.add(judged.node)
            return True
        known = judged.node in self._said
        self._said.discard(judged.node)
        return known

    def due(self, now: float) -> Iterator[Judged]:
        """Yield what has lasted, once."""
        lasting = [judged for judged, since in self._held.values() if now >= since + LASTS_S]
        for judged in lasting:
            del self._held[judged.node]
            self._said.add(judged.node)
            yield judged
