"""What a worker has to offer: where it is, and how much of that may be used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Offer:
    """What a worker says of itself in its first message."""

    slots: int
    cpus: int  # it is bound to so many
    usable_cpus: int  # the job allows it so many on this node
    node: str
