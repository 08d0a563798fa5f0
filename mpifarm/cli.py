"""The command line: options -> `Config` -> one call.

Imports neither numpy nor MPI before the launcher's helpers are forked: a task never inherits what MPI_Init leaves in a
process, and `--help` works on a login node where MPI_Init would abort.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mpifarm import FarmError, arguments, config, entry, options, say, sources
from mpifarm.launcher.frames import SHELL
from mpifarm.settings import Config, Each

if TYPE_CHECKING:
    from mpifarm.launcher.launcher import Crew
    from mpifarm.launcher.on_end import OnEnd

_LOOKS = ("status", "report", "failed", "show", "joblog")
_START_S = 10.0  # that MPI may take to start, however short --lost-after is


def main(argv: Sequence[str] | None = None) -> int:
    """Run mpifarm with the options *argv* and return its exit code."""
    entry.normalise()
    argv = sys.argv[1:] if argv is None else argv
    try:
        entry.strangers()
        known = options.parser()
        words, values = sources.split(argv)
        arguments.check(words, known.options, values)
        given = known.parse_args(words)
        if given.expand is not None:
            return _expand(given, values)
        if asked_for := _asked_for(given):
            given.tasklist = config.list_name(given)
            return _look(asked_for, given)
        settings, task_environ = config.read(given)
        if given.check:
            return _check(settings, task_environ, given.nodes, given.task_time)
    except FarmError as error:
        return config.refuse(error, "--no-mpi" in argv)
    return _farm(settings, task_environ)


def _farm(settings: Config, task_environ: Mapping[str, str]) -> int:
    """Fork the helpers, run the farm, and return its exit code."""
    from mpifarm.launcher import launcher, processes  # noqa: PLC0415  a third of what --status would take
    from mpifarm.launcher.on_end import OnEnd  # noqa: PLC0415

    asked = config.ask_end(settings)
    processes.adopt_orphans()  # of a helper that is killed, and of a guardian
    start_s = math.inf if settings.no_mpi else max(_START_S, config.START_LOST_AFTERS * settings.lost_after_s)
    try:
        crew = launcher.fork_helpers(settings.cpus, task_environ, start_s)
        mine = settings.on_end is not None and config.is_first(settings.no_mpi)
        on_end = OnEnd(settings.on_end or "", settings.shell or SHELL, task_environ) if mine else None
    except OSError as error:  # of this node alone, so every process speaks for itself
        lacking = "no processes, memory or descriptors are left (ulimit -u, -n)"
        say(f"{settings.node}: cannot start the launcher's helper: {error.strerror}: {lacking}")
        return 2
    signal.set_wakeup_fd(crew.guard.wakeup, warn_on_full_buffer=False)
    try:
        return _run(settings, crew, asked, on_end)
    except FarmError as error:
        return config.refuse(error, settings.no_mpi)
    except KeyboardInterrupt:  # before the farm has handlers of its own
        return 3
    finally:
        if on_end:
            on_end.dismiss()
        crew.dismiss()


def _asked_for(given: argparse.Namespace) -> str:
    """Return which of the options is given that look at a run and start none; nothing if none is. Raises FarmError."""
    looks = [name for name in _LOOKS if getattr(given, name) not in (None, False)]
    if len(looks) > 1:
        raise FarmError(f"{' and '.join(f'--{name}' for name in looks)}: one of them at a time")
    if looks != ["status"] and (given.watch or given.json):
        raise FarmError("--watch and --json belong to --status: give it, too")
    return looks[0] if looks else ""


def _look(asked_for: str, given: argparse.Namespace) -> int:
    """Print or write what is *asked_for* of a run, in the first process alone: no farm is started. Raises FarmError."""
    if not config.is_first():
        return 0
    if asked_for == "status":
        from mpifarm.view import inquiry  # noqa: PLC0415  it is at once: without numpy

        try:
            return inquiry.answer(given.tasklist, as_json=given.json, watch=given.watch)
        except KeyboardInterrupt:
            raise FarmError("--status: interrupted") from None
    from mpifarm.site import packages  # noqa: PLC0415

    packages.need_numpy()
    from mpifarm.view import failed, joblog, report, show  # noqa: PLC0415

    try:
        if asked_for == "report":
            report.write(given.report, given.tasklist)
            return 0
        if asked_for == "failed":
            return failed.write(given.tasklist, given.quiet)
        if asked_for == "show":
            return show.write(given.show, given.tasklist)
        return joblog.write(given.tasklist)
    except KeyboardInterrupt:
        target = f" {given.report}" if asked_for == "report" else ""
        raise FarmError(f"--{asked_for}{target}: interrupted, and not written") from None


def _expand(given: argparse.Namespace, values: Sequence[str]) -> int:
    """Print the list that a template makes of *values*, or of what is given in their place: no farm is started."""
    if not config.is_first(given.no_mpi):
        return 0
    from mpifarm.site import packages  # noqa: PLC0415

    packages.need_numpy()
    from mpifarm.view import expand  # noqa: PLC0415

    if given.tasklist is None:
        each = Each(given.expand, given.colsep, given.header or given.params is not None)
    else:
        given.each = given.expand
        each = config.each(given) or Each(given.expand)
    try:
        return expand.write(each, values, given.params, given.tasklist, given.quiet)
    except KeyboardInterrupt:
        raise FarmError("--expand: interrupted, and not all is printed") from None


def _check(settings: Config, environ: Mapping[str, str], nodes: int | None, task_s: float | None) -> int:
    """Say what is wrong with the list, and how long it takes: no farm is started. Raises FarmError."""
    if not config.is_first(settings.no_mpi):
        return 0
    from mpifarm.site import packages  # noqa: PLC0415

    packages.need_numpy()
    from mpifarm.view import checked  # noqa: PLC0415

    try:
        return checked.check(settings, environ.get("PATH", os.defpath), nodes, task_s)
    except KeyboardInterrupt:
        raise FarmError(f"--check {settings.tasklist}: interrupted") from None


def _run(settings: Config, crew: Crew, asked: subprocess.Popen[str] | None, on_end: OnEnd | None) -> int:
    """Import what may be imported only now, after the fork, and run the farm. Raises FarmError."""
    from mpifarm.site import packages  # noqa: PLC0415

    packages.need_numpy()
    from mpifarm.ranks import farm  # noqa: PLC0415

    return farm.run(settings, crew, asked, on_end)
