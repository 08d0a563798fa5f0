"""The frozen settings of a run. The only reader of `os.environ`.

Read once, before MPI and numpy are imported: MPI_Init may add variables and narrow the CPU affinity, and the tasks
must see neither.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from mpifarm import FarmError
from mpifarm.environ import scrub
from mpifarm.frames import MAX_SLOTS

# What each launcher says about how many processes it started, and which of them this is. Hydra (MPICH, Intel) and
# Slurm's pmi2 set PMI_*, Open MPI's mpiexec OMPI_*, srun SLURM_*.
_LAUNCHED_RANKS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")
_LAUNCHER_RANK = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_CLOCK = re.compile(r"(?:(?P<days>\d{1,6})-)?(?P<hours>\d{1,6}):(?P<minutes>\d\d):(?P<seconds>\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a run is told. Times are in seconds; None means no limit, or a default found later."""

    tasklist: str
    threads: int | None = None
    retries: int = 2
    timeout_s: float | None = None
    max_fails: int | None = None
    manager_works: bool = False
    rerun: bool = False
    lost_after_s: float = 120.0
    output: str | None = None
    no_mpi: bool = False
    quiet: bool = False
    node: str = "localhost"
    cpus: int = 1
    launched_ranks: int = 1  # what the launcher says it started
    in_slurm: bool = False
    job: str = ""  # Slurm's job id
    restart: int = 0  # how often Slurm has requeued the job


def seconds(text: str) -> float:
    """Parse TIME: 90, 90s, 1.5h, 10m, 2h, 1d, H:MM:SS, D-HH:MM:SS. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([smhd]?)", text, re.ASCII)
    if match:
        value = float(match[1]) * _UNITS_S[match[2]]
    else:
        clock = _CLOCK.fullmatch(text)
        if not clock:
            raise ValueError(f"{text!r} is not a time: write 90, 90s, 10m, 2h or 1-00:00:00")
        days, hours, minutes, secs = (int(part or 0) for part in clock.groups())
        value = float(((days * 24 + hours) * 60 + minutes) * 60 + secs)
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{text!r} is not a time above zero")
    return value


def read(args: argparse.Namespace) -> tuple[Config, dict[str, str]]:
    """Make the Config of this run and the environment of its tasks from the options and from this process."""
    environ = dict(os.environ)
    config = Config(
        tasklist=args.tasklist,
        threads=_threads(args.threads, environ),
        retries=args.retries,
        timeout_s=args.timeout,
        max_fails=args.max_fails,
        manager_works=args.manager_works,
        rerun=args.rerun,
        lost_after_s=args.lost_after,
        output=args.output,
        no_mpi=args.no_mpi,
        quiet=args.quiet,
        node=environ.get("SLURMD_NODENAME") or socket.gethostname().split(".")[0] or "localhost",
        cpus=_usable_cpus(),
        launched_ranks=1 if args.no_mpi else _launched_ranks(environ),
        in_slurm="SLURM_JOB_ID" in environ,
        job=environ.get("SLURM_JOB_ID", ""),
        restart=_number(environ.get("SLURM_RESTART_COUNT")) or 0,
    )
    return config, environ if args.keep_mpi_env else scrub(environ)


def refuse(error: FarmError) -> int:
    """Report an error that every rank has found alike; return this process's exit code.

    The first rank speaks and carries the code. The others leave with 0: once one has left with another code, Open MPI's
    mpiexec ends the rest, and the message would be lost.
    """
    if not is_first():
        return 0
    print(f"mpifarm: {error}", file=sys.stderr, flush=True)
    return 2


def is_first() -> bool:
    """Return whether this is the first process, as the launcher counts: before MPI exists nothing else tells."""
    for name in _LAUNCHER_RANK:
        rank = _number(os.environ.get(name))
        if rank is not None:
            return rank == 0
    return True


def _threads(option: int | None, environ: Mapping[str, str]) -> int | None:
    if option is not None:
        return option
    text = environ.get("THREADS", "").strip()
    if not text:
        return None
    threads = _number(text)
    if threads is None or not 1 <= threads <= MAX_SLOTS:
        raise FarmError(f"THREADS={text} in the environment is not a number from 1 to {MAX_SLOTS}: mend or unset it")
    return threads


def _launched_ranks(environ: Mapping[str, str]) -> int:
    return max((_number(environ.get(name)) or 1 for name in _LAUNCHED_RANKS), default=1)


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None
