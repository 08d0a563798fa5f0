"""Many nodes, told as few: those about which something is odd, and the sums of the others.

The rule: however many nodes there are, a status file stays as small as that of MOST_NODES, and no node is counted twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from mpifarm.view.snapshot import Node, Others

MOST_NODES = 64


def shortened(nodes: Sequence[Node]) -> tuple[tuple[Node, ...], Others]:
    """Return at most MOST_NODES of *nodes*, the odd ones first, and the sums of the others."""
    ordered = sorted(nodes, key=lambda node: (not node.is_odd, node.node))
    return tuple(ordered[:MOST_NODES]), sums(ordered[MOST_NODES:])


def sums(nodes: Sequence[Node]) -> Others:
    """Return the sums of *nodes*."""
    rates = [node.rate for node in nodes if node.rate is not None]
    return Others(
        nodes=len(nodes),
        slots=sum(node.slots for node in nodes),
        busy=sum(node.busy for node in nodes),
        done=sum(node.done for node in nodes),
        failed=sum(node.failed for node in nodes),
        rate=sum(rates) if rates else None,
    )
