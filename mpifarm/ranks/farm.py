"""One rank's part of a farm, from its start to its end: who it is, what it needs for that, and its exit code.

Rank 0 is the manager, every other rank a worker; one rank alone, or rank 0 with --manager-works, is both, in one loop.
"""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from mpifarm import FarmError, NodeError, say, say_all
from mpifarm.journal.lock import TakenOver
from mpifarm.journal.opening import open_run
from mpifarm.journal.watch import Waiting
from mpifarm.launcher.frames import SHELL, Killed
from mpifarm.launcher.launcher import Crew, Launcher
from mpifarm.launcher.on_end import OnEnd
from mpifarm.launcher.patience import Word
from mpifarm.ranks import loop
from mpifarm.ranks.comm import CRASHED, Comm, Loopback, connect
from mpifarm.ranks.deadline import refuse_short_job
from mpifarm.ranks.leaving import dismiss
from mpifarm.ranks.manager import Manager
from mpifarm.ranks.parting import Parting
from mpifarm.ranks.signals import Asked, Signals
from mpifarm.ranks.worker import ManagerLost, Settings, Worker
from mpifarm.schedule.answers import Outcome
from mpifarm.settings import Config, Interface
from mpifarm.site import slurm
from mpifarm.view import advice
from mpifarm.view.facts import Fewer

_ALLOCATIONS = 50_000  # between two searches for cycles: gc.set_threshold

_STARTED_BY = {Interface.PMI: "the mpiexec of MPICH (PMI)", Interface.PMIX: "the mpiexec of Open MPI (PMIx)"}


def run(settings: Config, crew: Crew, asked: subprocess.Popen[str] | None = None, on_end: OnEnd | None = None) -> NoReturn:
    """Run this process's part of the farm, and end the process with its exit code.

    *asked* is whoever was asked when the job ends, *on_end* what rank 0 is to run in the end. Raises FarmError if MPI does
    not start.
    """
    signals = Signals(lambda: crew.guard.tell(Word.HEARD))
    launcher = Launcher(crew, settings.shell or SHELL, settings.kill_after_s)
    try:
        if not launcher.most_slots:
            raise NodeError("ulimit -n is too low for any task to be started: raise it")
        comm = _connect(settings)
    except FarmError:
        launcher.close()
        raise
    signals.listen()
    try:
        _run_rank(settings, comm, launcher, signals, asked, Parting(settings, on_end, signals, time.monotonic()))
    except ManagerLost as lost:
        launcher.close()
        say(f"{settings.node}: {lost}: its tasks are ended")
        comm.leave(1, complete=False)
    except Exception:
        say_all(traceback.format_exc())
        launcher.close()
        if comm.rank:  # where the launcher lets the others live, this costs one node
            comm.leave(CRASHED, complete=False)
        comm.abort(CRASHED)


def _connect(settings: Config) -> Comm:
    if settings.no_mpi:
        return Loopback()
    either = "or give --no-mpi for one process"
    if settings.job is None:
        beside = Path(sys.executable).with_name("mpiexec")  # pip has put it there, with the library
        which = f", such as {beside}" if beside.exists() else ""
        fallback = f"start with the mpiexec of the MPI library that mpi4py uses{which}, {either}"

        def about_mpiexec(vendor: str, version: str) -> str | None:
            started = slurm.misfit(settings.interface, vendor, version) and _STARTED_BY.get(settings.interface)
            return started and f"{sys.executable} has the mpi4py of {vendor}, and was started by {started}: {fallback}"

        return connect(settings.launched_ranks, about_mpiexec, fallback)

    def advice(vendor: str, version: str) -> str | None:
        flag = slurm.misfit(settings.interface, vendor, version)
        return flag and f"this {vendor} needs srun {flag}: start with srun {flag}, {either}"

    fallback = f"start with srun --mpi=pmi2 (MPICH) or --mpi=pmix (Open MPI), see srun --mpi=list, {either}"
    return connect(settings.launched_ranks, advice, fallback)


def _end(settings: Config, asked: subprocess.Popen[str] | None, now: float) -> float | None:
    """Return when the job ends (monotonic), None if it has no limit."""
    if settings.walltime_s:
        return now + settings.walltime_s
    if settings.job is None:
        return None
    end, told = slurm.end(settings.job, slurm.answer(asked, settings.job) if asked else "", time.time())
    for notice in () if settings.quiet else told:
        say(notice)
    return now + end - time.time() if end else None


def _run_rank(
    settings: Config,
    comm: Comm,
    launcher: Launcher,
    signals: Signals,
    asked: subprocess.Popen[str] | None,
    parting: Parting,
) -> NoReturn:
    works = comm.rank > 0 or comm.size == 1 or settings.manager_works
    index, mates, name = comm.node_mates(settings.node, settings.host, works)
    settings = replace(settings, node=name)
    launcher.ready(manages=comm.rank == 0)
    manager = None
    if not works:
        launcher.close()
    if comm.rank == 0:
        manager = _open_manager(settings, comm, launcher, signals, _end(settings, asked, time.monotonic()), parting)
    worker = _make_worker(settings, comm, launcher, index, mates) if works else None
    try:
        loop.run(comm, manager, worker, signals)
    except FarmError as error:  # rank 0 has met one that runs another version
        assert manager is not None
        say(error)
        launcher.close()
        manager.abandon()
        complete, _ = dismiss(comm, manager.gone)
        comm.leave(2, complete)
    if manager is None:
        assert worker is not None
        comm.leave(0, worker.complete)
    killed = worker.close() if worker else Killed()
    manager.finish(time.monotonic())
    complete, killed_there = dismiss(comm, manager.gone)
    code = manager.close(time.monotonic(), killed + killed_there)
    parting.run(code, manager.ending.totals(), manager.ending.was_stopped)
    comm.leave(code, complete)


def _open_manager(
    settings: Config, comm: Comm, launcher: Launcher, signals: Signals, end: float | None, parting: Parting
) -> Manager:
    """Open the list; end the farm if there is nothing to run."""
    # Leases are tuples by the hundred thousand, none of them part of a cycle: to look for cycles took 7 % of rank 0.
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS)
    code: int = Outcome.ALL_SUCCEEDED
    with suppress(OSError, ValueError):  # each worker may be in the middle of a long output
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        refuse_short_job(settings, end, time.monotonic())
        opened = open_run(settings, Waiting(pause=signals.pause))
    except FarmError as error:
        say(error)
        code = 2
    except (TakenOver, Asked) as why:
        say(f"{why}: stopping; nothing was run")
        code = Outcome.WORK_LEFT
    else:
        for notice in () if settings.quiet else opened.notices:
            say(notice)
        if opened.journal:
            ranks = range(0 if settings.manager_works or comm.size == 1 else 1, comm.size)
            return Manager(settings, comm, opened, opened.journal, ranks, time.monotonic(), end)
        parting.run(code, {"DONE": opened.scan.tasks, "FAILED": 0, "LEFT": 0}, stopped=False)
    launcher.close()
    complete, _ = dismiss(comm, set())
    comm.leave(code, complete)


def _make_worker(settings: Config, comm: Comm, launcher: Launcher, index: int, mates: int) -> Worker:
    slots = _slots(settings, launcher, mates)
    told = Settings(
        node=settings.node,
        cpus=settings.cpus,
        usable_cpus=settings.usable_cpus,
        slots=slots,
        first_slot=1 + index * slots,
        timeout_s=settings.timeout_s or 0.0,
        lost_after_s=settings.lost_after_s,
        tfin=Path(Path(settings.tasklist).name + ".tfin"),
        alone=comm.rank == 0,
        mates=mates,
        tell_cpus=not settings.keep_mpi_env,
        node_cpus=settings.node_cpus,
        memory_kib=settings.memory_kib,
    )
    return Worker(told, launcher, lambda tag, message: comm.send(0, tag, message), time.monotonic())


def _slots(settings: Config, launcher: Launcher, mates: int) -> int:
    """Return how many tasks to run at a time."""
    cpus = settings.cpus
    if settings.threads is None and 0 < settings.quota_cpus < cpus:
        cpus = settings.quota_cpus
    wanted = settings.threads or max(1, cpus // mates)
    slots = min(wanted, launcher.most_slots)
    for one in advice.advise(advice.OF_SLOTS, Fewer(settings.node, settings.cpus, cpus, wanted, slots)):
        say(one.said)
    return slots
