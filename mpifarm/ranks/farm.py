"""One rank's part of a farm: who it is, its one loop, and how it ends.

Rank 0 is the manager, every other rank a worker; one rank alone, or rank 0 with --manager-works, is both, in one loop.
The loop: take what has arrived, let worker and manager have their turn, and wait, in one place, for a signal, the
launcher, or the next look at MPI.

The end: the manager tells the workers to leave and goes last, since the launcher shows the exit code of rank 0 only if
the others have left with 0.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from mpifarm import FarmError, say
from mpifarm.journal.opening import open_run
from mpifarm.launcher.frames import SHELL, Killed
from mpifarm.launcher.launcher import Handle, Launcher
from mpifarm.ranks import wire
from mpifarm.ranks.comm import CRASHED, Backoff, Comm, Loopback, connect
from mpifarm.ranks.manager import Manager, refuse_short_job
from mpifarm.ranks.wire import Note, Stop, Tag
from mpifarm.ranks.worker import ManagerLost, Settings, State, Worker
from mpifarm.schedule.answers import How, Outcome
from mpifarm.settings import Config, Interface
from mpifarm.site import slurm

LOOPBACK_WAIT_S = 0.5  # nobody else sends anything: only the clock has to be looked at
SENDING_WAIT_S = 0.001  # MPI moves a large message on only when it is called
# Each look costs a tenth of a millisecond in a process that has slept. What a long wait of rank 0 delays the workers'
# prefetch hides; a worker looks so often only while its slots may be idle.
MANAGER_WAIT_S = 0.005
WORKER_WAIT_S = 0.001
TURN_BYTES = 16 * 1024 * 1024  # messages taken before what they say is written
GOODBYE_S = 10.0  # how long the workers may take to say that they have left; who has not is lost
_ALLOCATIONS = 50_000  # between two searches for cycles: gc.set_threshold

_STARTED_BY = {Interface.PMI: "the mpiexec of MPICH (PMI)", Interface.PMIX: "the mpiexec of Open MPI (PMIx)"}

_KILLERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """What this process was told by signals, and a descriptor that wakes a poll when it is."""

    def __init__(self) -> None:
        self.descriptor, wakeup = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
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

    def take(self) -> list[tuple[How, str]]:
        """Return what was asked for since, and by which signal. A second INT means at once."""
        asked = []
        while self._arrived:
            number = self._arrived.pop(0)
            how = How.DRAIN
            if number in _KILLERS:
                how = How.KILL_NOW if self._killed and number == signal.SIGINT else How.KILL
                self._killed = True
            asked.append((how, signal.Signals(number).name))
        return asked

    def clear(self) -> None:
        """Make the descriptor quiet again."""
        try:
            os.read(self.descriptor, 4096)
        except BlockingIOError:
            return


def run(settings: Config, helpers: Sequence[Handle], asked: subprocess.Popen[str] | None = None) -> NoReturn:
    """Run this process's part of the farm, and end the process with its exit code.

    *asked* is whoever was asked when the job ends. Raises FarmError if MPI does not start.
    """
    signals = Signals()
    launcher = Launcher(helpers, settings.shell or SHELL)
    try:
        if not launcher.most_slots:
            raise FarmError(f"ulimit -n is too low on {settings.node} for any task to be started: raise it")
        comm = _connect(settings)
    except FarmError:
        launcher.close()
        raise
    signals.listen()
    try:
        _run_rank(settings, comm, launcher, signals, asked)
    except ManagerLost as lost:
        launcher.close()
        say(f"{settings.node}: {lost}: its tasks are ended")
        comm.leave(1, complete=False)
    except Exception:
        with suppress(OSError):
            traceback.print_exc()
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
    end = slurm.answer(asked) if asked else settings.job.end if settings.job else None
    return now + end - time.time() if end else None


def _run_rank(
    settings: Config, comm: Comm, launcher: Launcher, signals: Signals, asked: subprocess.Popen[str] | None
) -> NoReturn:
    works = comm.rank > 0 or comm.size == 1 or settings.manager_works
    index, mates = comm.node_mates(settings.node, works)
    launcher.ready()
    manager = None
    if not works:
        launcher.close()
    if comm.rank == 0:
        manager = _open_manager(settings, comm, launcher, _end(settings, asked, time.monotonic()))
    worker = _make_worker(settings, comm, launcher, index, mates) if works else None
    try:
        _loop(comm, manager, worker, signals)
    except FarmError as error:  # rank 0 has met one that runs another version
        assert manager is not None
        say(error)
        launcher.close()
        manager.abandon()
        complete, _ = _dismiss(comm, manager.gone)
        comm.leave(2, complete)
    if manager is None:
        assert worker is not None
        comm.leave(0, worker.complete)
    killed = worker.close() if worker else Killed()
    manager.finish(time.monotonic())
    complete, killed_there = _dismiss(comm, manager.gone)
    comm.leave(manager.close(time.monotonic(), killed + killed_there), complete)


def _open_manager(settings: Config, comm: Comm, launcher: Launcher, end: float | None) -> Manager:
    """Open the list; end the farm if there is nothing to run."""
    # Leases are tuples by the hundred thousand, none of them part of a cycle: to look for cycles took 7 % of rank 0.
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS)
    now = time.monotonic()
    code: int = Outcome.ALL_SUCCEEDED
    with suppress(OSError, ValueError):  # each worker may be in the middle of a long output
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        refuse_short_job(settings, end, now)
        opened = open_run(settings, now)
    except FarmError as error:
        say(error)
        code = 2
    else:
        for notice in () if settings.quiet else opened.notices:
            say(notice)
        if opened.journal:
            ranks = range(0 if settings.manager_works or comm.size == 1 else 1, comm.size)
            return Manager(settings, comm, opened, opened.journal, ranks, now, end)
    launcher.close()
    complete, _ = _dismiss(comm, set())
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
    )
    return Worker(told, launcher, lambda tag, message: comm.send(0, tag, message), time.monotonic())


def _slots(settings: Config, launcher: Launcher, mates: int) -> int:
    """Return how many tasks to run at a time."""
    wanted = settings.threads or max(1, settings.cpus // mates)
    slots = min(wanted, launcher.most_slots)
    if slots < wanted:
        say(f"{settings.node}: {slots} tasks at a time and not {wanted}, for want of descriptors: raise ulimit -n")
    return slots


def _loop(comm: Comm, manager: Manager | None, worker: Worker | None, signals: Signals) -> None:
    """Work until the manager has finished or the worker was told to go."""
    backoff = Backoff(time.monotonic(), MANAGER_WAIT_S if manager else WORKER_WAIT_S)
    while True:
        now = time.monotonic()
        active, drained = _receive(comm, manager, worker, now)
        _hear(comm, manager, worker, signals, now)
        if worker:
            active = worker.turn(now, comm.backlog) or active
            if worker.state is State.GONE and not manager:
                return
        if manager:
            manager.turn(now, drained)
            if manager.outcome is not None:
                return
        if active:
            backoff.reset(now)
        if not drained or (active and manager):  # what a turn of rank 0 sends may be to itself
            continue
        wait_s = backoff.wait_s(now)
        _wait(comm, worker, signals, wait_s if manager or not worker else max(wait_s, worker.patience_s))


def _hear(comm: Comm, manager: Manager | None, worker: Worker | None, signals: Signals, now: float) -> None:
    """Hand on what did not come as a message: ranks that MPI has found dead, and signals."""
    for rank in comm.take_lost():
        if manager:
            manager.lose(rank)
        elif rank == 0:
            raise ManagerLost("rank 0 is gone")
    for how, name in signals.take():
        if manager:
            manager.stop(how, now, f"{name}: stopping" if how is not How.DRAIN else f"{name}: draining")
        elif worker:
            worker.on_signal(Stop(how), now)


def _receive(comm: Comm, manager: Manager | None, worker: Worker | None, now: float) -> tuple[bool, bool]:
    """Hand on what has arrived; return whether there was something, and whether that was all."""
    taken = 0
    active = False
    for received in comm.poll():
        active = True
        if received.tag in (Tag.GRANT, Tag.STOP) or manager is None:
            if worker:
                worker.on_message(received, now)
        else:
            manager.on_message(received, now)
        taken += received.message.size
        if taken > TURN_BYTES:
            return True, False
    return active, True


def _wait(comm: Comm, worker: Worker | None, signals: Signals, wait_s: float) -> None:
    if not comm.remote:
        wait_s = LOOPBACK_WAIT_S
    if comm.backlog:
        wait_s = min(wait_s, SENDING_WAIT_S)
    poll = select.poll()
    for descriptor in (signals.descriptor, *(worker.descriptors if worker else ())):
        poll.register(descriptor, select.POLLIN)
    for descriptor, _ in poll.poll(wait_s * 1000):
        if descriptor == signals.descriptor:
            signals.clear()


def _dismiss(comm: Comm, gone: set[int]) -> tuple[bool, Killed]:
    """Let the workers go, in two steps. Return whether all of them are there to take part in MPI_Finalize, and what they
    have killed of what tasks had left behind.

    A rank that died a moment ago may not have been missed yet, and MPI_Finalize would wait for it for ever: so everybody is
    asked once more.
    """
    awaited = set(range(1, comm.size)) - gone
    for rank in awaited:
        comm.send(rank, Tag.STOP, wire.pack_stop(Stop.LEAVE))
    until = time.monotonic() + GOODBYE_S
    left: set[int] = set()
    killed = Killed()
    while left < awaited and time.monotonic() < until:
        for received in comm.poll():
            report = wire.unpack_report(received.message) if received.tag is Tag.REPORT else None
            if report and report.notes & Note.LEFT and received.source not in left:
                left.add(received.source)
                killed += Killed.unpacked(report.output)
        awaited -= comm.take_lost()
        time.sleep(SENDING_WAIT_S)
    complete = len(left) == comm.size - 1
    for rank in left:
        comm.send(rank, Tag.STOP, wire.pack_stop(Stop.FINALIZE if complete else Stop.VANISH))
    until = time.monotonic() + GOODBYE_S
    while comm.backlog and time.monotonic() < until:
        for _ in comm.poll():
            pass
        time.sleep(SENDING_WAIT_S)
    return complete, killed
