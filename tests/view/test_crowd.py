"""Many nodes in a small file."""

from __future__ import annotations

import pytest

from mpifarm.view import crowd, snapshot
from mpifarm.view.snapshot import Node, Reason

from .test_snapshot import FULL


def test_many_nodes_make_a_file_no_longer_and_the_odd_ones_are_in_it() -> None:
    nodes = [Node(f"n{number:05}", 4, 3, 10, 1, 0.5, note="lost" if number == 9999 else "") for number in range(10_000)]
    listed, others = crowd.shortened(nodes)
    assert len(listed) == crowd.MOST_NODES
    assert listed[0].node == "n09999"
    assert (others.nodes, others.slots, others.done) == (10_000 - 64, 4 * (10_000 - 64), 10 * (10_000 - 64))
    assert others.rate == pytest.approx(0.5 * (10_000 - 64))
    reasons = (Reason("x" * 160, "y" * 160, 1, 1, (1, 2, 3), "z" * 160, 1),) * snapshot.MOST_REASONS
    full = FULL._replace(nodes=listed, others=others, reasons=reasons)
    assert len(full.text()) < snapshot.MOST_BYTES
