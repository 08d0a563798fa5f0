"""The command line: options -> `Config` -> one call.

Imports neither numpy nor MPI before the launcher's helpers are forked: a task never inherits what MPI_Init leaves in a
process, and `--help` works on a login node where MPI_Init would abort.
"""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from collections.abc import Sequence

from mpifarm import FarmError, arguments, config, entry, options, say
from mpifarm.launcher import launcher, processes
from mpifarm.settings import Config

_START_S = 10.0  # that MPI may take to start, however short --lost-after is


def main(argv: Sequence[str] | None = None) -> int:
    """Run mpifarm with the options *argv* and return its exit code."""
    entry.normalise()
    argv = sys.argv[1:] if argv is None else argv
    try:
        entry.strangers()
        known = options.parser()
        arguments.check(argv, known.options)
        given = known.parse_args(argv)
        if given.report is not None:
            return _report(given.report, given.tasklist)
        settings, task_environ = config.read(given)
    except FarmError as error:
        return config.refuse(error, "--no-mpi" in argv)
    asked = config.ask_end(settings)
    processes.adopt_orphans()  # of a helper that is killed, and of a guardian
    start_s = math.inf if settings.no_mpi else max(_START_S, config.START_LOST_AFTERS * settings.lost_after_s)
    try:
        crew = launcher.fork_helpers(settings.cpus, task_environ, start_s)
    except OSError as error:  # of this node alone, so every process speaks for itself
        lacking = "no processes, memory or descriptors are left (ulimit -u, -n)"
        say(f"{settings.node}: cannot start the launcher's helper: {error.strerror}: {lacking}")
        return 2
    signal.set_wakeup_fd(crew.guard.wakeup, warn_on_full_buffer=False)
    try:
        return _run(settings, crew, asked)
    except FarmError as error:
        return config.refuse(error, settings.no_mpi)
    except KeyboardInterrupt:  # before the farm has handlers of its own
        return 3
    finally:
        crew.dismiss()


def _report(target: str, tasklist: str) -> int:
    """Write a report, in the first process alone: no farm is started. Raises FarmError."""
    if not config.is_first():
        return 0
    from mpifarm.site import packages  # noqa: PLC0415

    packages.need_numpy()
    from mpifarm.view import report  # noqa: PLC0415

    try:
        report.write(target, tasklist)
    except KeyboardInterrupt:
        raise FarmError(f"--report {target}: interrupted, and not written") from None
    return 0


def _run(settings: Config, crew: launcher.Crew, asked: subprocess.Popen[str] | None) -> int:
    """Import what may be imported only now, after the fork, and run the farm. Raises FarmError."""
    from mpifarm.site import packages  # noqa: PLC0415

    packages.need_numpy()
    from mpifarm.ranks import farm  # noqa: PLC0415

    return farm.run(settings, crew, asked)
