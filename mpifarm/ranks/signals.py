"""What a rank is told by signals: by Slurm, by its launcher, by somebody at a terminal.

INT, TERM and HUP end what runs, a second INT at once; USR2 lets it finish. A handler only takes a note, and a descriptor
wakes the one poll of the loop.

The handlers are Python's, and do not run while something in C does not come back. For that the numbers go to the guardian,
too (see `launcher.guardian`), which is told when the loop has heard of them. So Python's own way to wake a poll is taken,
and the handler does it: a signal that comes in the instant before the poll is heard when that ends.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from mpifarm.schedule.answers import How

_KILLERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Asked(Exception):
    """A signal asks this process to end, while there is nothing yet that could be stopped in an orderly way."""


class Signals:
    """What this process was told by signals, and a descriptor that wakes a poll when it is."""

    def __init__(self, heard: Callable[[], None]) -> None:
        """*heard* is called whenever what has arrived was taken."""
        self._heard = heard
        self.descriptor, self._wakeup = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._wakeup, False)
        self._arrived: list[int] = []
        self._killed = False
        self._ignored = {number for number in _KILLERS if signal.getsignal(number) is signal.SIG_IGN}  # nohup
        self.listen()

    def listen(self) -> None:
        """Take the signals; to be called again after MPI_Init, which may take some (UCX takes HUP for debugging)."""
        for number in (*_KILLERS, signal.SIGUSR2):
            handler = signal.SIG_IGN if number in self._ignored else self._arrive
            signal.signal(number, handler)
        # By default it would end us; MPICH sends it when a rank has died, and takes itself for dead if it sees it.
        signal.signal(signal.SIGUSR1, lambda *_: None)

    def _arrive(self, number: int, _frame: object) -> None:
        self._arrived.append(number)
        with suppress(BlockingIOError):  # it is awake already
            os.write(self._wakeup, b"!")

    def take(self) -> list[tuple[How, str]]:
        """Return what was asked for since, and by which signal. A second INT means at once."""
        asked: list[tuple[How, str]] = []
        if not self._arrived:
            return asked
        while self._arrived:
            number = self._arrived.pop(0)
            how = How.DRAIN
            if number in _KILLERS:
                how = How.KILL_NOW if self._killed and number == signal.SIGINT else How.KILL
                self._killed = True
            asked.append((how, signal.Signals(number).name))
        self._heard()
        return asked

    def pause(self, seconds: float) -> None:
        """Sleep for so long. Raises Asked if a signal comes that asks for anything."""
        ready = select.poll()
        ready.register(self.descriptor, select.POLLIN)
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            if ready.poll(left_s * 1000):
                self.clear()
            for _, name in self.take():
                raise Asked(name)

    def clear(self) -> None:
        """Make the descriptor quiet again."""
        try:
            os.read(self.descriptor, 4096)
        except BlockingIOError:
            return
