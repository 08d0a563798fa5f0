"""How a task ends when it is not its leader alone that ends: at its timeout, with the farm, or leaving others behind.

1. A task is not gone because its shell is: a terminated one keeps its slot until nobody of it is left, or `grace_s` later
   for the KILL.
2. One that has *succeeded* has a moment in which what is about to end (`exec > >(tee log)`) may end, too; what it leaves
   in the background then is told, runs on, and is killed with the rest in the end.
3. One TERM is enough: to some programs a second one means at once.

The states of a slot in this, by two of its fields:

    kill_at  result
    None     None      it runs; a deadline is its timeout
    None     is there  its leader has ended by itself, others may be about to; a deadline is another look
    a time   None      it was terminated; the deadline is the KILL
    a time   is there  it was terminated and its leader is gone, others are not; a deadline is another look, or the KILL
"""

from __future__ import annotations

import signal
from collections.abc import Collection

from mpifarm.ended import Ended
from mpifarm.launcher.capture import Readers
from mpifarm.launcher.deadlines import Deadlines
from mpifarm.launcher.slot import Slot
from mpifarm.launcher.strays import Strays

LINGER_S = 0.05  # how often to look whether all of a terminated task is gone
LEAVE_S = 0.2  # how long what a task has left may take to end by itself


class Termination:
    """Ends tasks, and says when one is over."""

    def __init__(
        self, strays: Strays, deadlines: Deadlines, readers: Readers, leaders: Collection[int], grace_s: float
    ) -> None:
        """*leaders* are the pids of those that run; *grace_s* is between TERM and KILL."""
        self._strays = strays
        self._deadlines = deadlines
        self._readers = readers
        self._leaders = leaders
        self._grace_s = grace_s

    def leader_ended(self, slot: Slot, now: float, strays_are_told: bool) -> bool:
        """Return whether the attempt in *slot*, whose leader was reaped, is over; else there will be a deadline.

        *strays_are_told*: what `Strays.look` has returned since.
        """
        assert slot.result is not None
        slot.left = 0
        if slot.kill_at is not None:
            waits_until = slot.kill_at if self._strays.alive(slot.whose, now) else now
        else:
            # Whose a stray is cannot always be told: it may be anybody's who ran by then, and hold the pipes.
            slot.shared = self._strays.seen_since(slot.started) or (
                not strays_are_told and self._strays.alive(slot.whose, now)
            )
            if slot.shared and slot.result.status == 0:
                slot.left = len(self._strays.left_by(slot.whose, now))
            waits_until = slot.ended + LEAVE_S if slot.left else now
        if now < waits_until:
            self._deadlines.add(min(now + LINGER_S, waits_until), slot)
            return False
        if slot.shared or self._strays:
            self._readers.read()  # what ended since they were looked up has written before
        return True

    def deadline(self, slot: Slot, now: float) -> bool:
        """A deadline of the attempt in *slot* has come: do what is due, and return whether it is over."""
        if slot.kill_at is not None and now >= slot.kill_at:
            self._strays.signal(slot.whose, signal.SIGKILL, now)
            if slot.result is None:
                return False
            slot.shared = True  # the leader went before; now the rest as well
            return True
        if slot.result is not None:
            return self.leader_ended(slot, now, self._strays.look(self._leaders, now))
        if slot.kill_at is None:
            self._terminate(slot, now, Ended.TIMED_OUT, self._grace_s)
        return False

    def interrupt(self, slot: Slot, now: float, at_once: bool) -> None:
        """End what runs in *slot*, if anything does, because the farm stops: TERM, and KILL in the end or *at_once*."""
        has_ended_by_itself = slot.result is not None and slot.kill_at is None
        if slot.pid and not has_ended_by_itself:
            self._terminate(slot, now, Ended.INTERRUPTED, 0.0 if at_once else self._grace_s)

    def _terminate(self, slot: Slot, now: float, why: Ended, grace_s: float) -> None:
        slot.flags |= why
        if slot.kill_at is None:
            self._strays.look(self._leaders, now)
            self._strays.signal(slot.whose, signal.SIGTERM, now)
            self._strays.signal(slot.whose, signal.SIGCONT, now)  # a stopped process acts on TERM only when it goes on
        if slot.kill_at is None or now + grace_s < slot.kill_at:
            slot.kill_at = now + grace_s
            self._deadlines.add(slot.kill_at, slot)
