"""What rank 0 does last, when all is written: the command of --on-end.

The rule: the run is over, and its exit code stands. So whatever becomes of the command is said, and no more. A signal that
comes meanwhile ends the command, and with it the farm. Who has nothing to do, since all was done before, has ended, too:
whoever waits for a mail at the end of each start gets it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from mpifarm import say
from mpifarm.launcher.on_end import LIMIT_S, STOPPED_LIMIT_S, OnEnd
from mpifarm.ranks.signals import Signals
from mpifarm.schedule.answers import How
from mpifarm.settings import Config


class Parting:
    """The end of one process's part."""

    def __init__(self, config: Config, on_end: OnEnd | None, signals: Signals, now: float) -> None:
        self._on_end = on_end
        self._missed = config.on_end is not None and on_end is None
        self._signals = signals
        self._began = now

    def run(self, code: int, totals: Mapping[str, int], stopped: bool) -> None:
        """Run the command, if there is one, after a run that ends with *code*; *stopped*: by somebody, or its job's end."""
        if self._missed:
            say("--on-end: not run: this is not the process that its launcher calls the first")
        if self._on_end is None:
            return
        values = {**totals, "EXIT": int(code), "SECONDS": round(time.monotonic() - self._began)}
        self._signals.take()  # what has ended the run is no wish to end this
        if said := self._on_end.run(values, STOPPED_LIMIT_S if stopped else LIMIT_S, self._asked):
            say(f"{said}; the exit code is that of the run: {int(code)}")

    def _asked(self) -> bool:
        return any(how is not How.DRAIN for how, _ in self._signals.take())
