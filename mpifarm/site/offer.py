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
    node_cpus: int = 0  # so many the machine has, whoever may use them; 0: not known
    memory_kib: int = 0  # that the node gives to tasks; 0: not known

    @property
    def seen_cpus(self) -> int:
        """How many CPUs each of its tasks may use: all that are usable, where it is bound to fewer than its slots need."""
        return self.usable_cpus if self.cpus < min(self.slots, self.usable_cpus) else self.cpus
