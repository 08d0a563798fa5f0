"""What a node is called: by the first part of its host's name, as people do, where that tells it from all others.

The rule: two hosts never become one node. Slots are divided among the workers of a node, a sick node is left alone, and a
retry goes to another one: so who is where is judged by whole names, and a short one is only shown. 10.0.0.1 and 10.0.0.2,
as some containers call themselves, have no short ones; node1.rack1 and node1.rack2 are shown as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import AnyStr

_ADDRESS = re.compile(r"[\d.]+|.*:.*", re.DOTALL)


def short(host: str) -> str:
    """Return the first part of a host's name; all of it if that is an address, or has no first part."""
    return host if _ADDRESS.fullmatch(host) else host.partition(".")[0] or host


def shown(node: AnyStr, host: AnyStr, others: Iterable[tuple[AnyStr, AnyStr]]) -> AnyStr:
    """Return what *node* is called beside *others*: as it is, or, where another *host* is called the same, by its host."""
    return host if any(other == node and place != host for other, place in others) else node
