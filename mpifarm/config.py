"""Options and environment -> `settings.Config`. The only reader of `os.environ`.

Read once, before MPI and numpy are imported: MPI_Init may add variables and narrow the CPU affinity, and the tasks
must see neither.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mpifarm import FarmError, NodeError, say, typed
from mpifarm.launcher.frames import MAX_SLOTS, SHELL
from mpifarm.settings import Config, Each, Interface, MaxFails, Typed
from mpifarm.site import affinity, hosts, memory, quota, slurm, steps
from mpifarm.site.environ import scrub
from mpifarm.tasks import label, ranges
from mpifarm.tasks.starters import STARTER, mentioned

# What each launcher says about which process this is, and of how many. Hydra (MPICH, Intel) and Slurm's pmi2 set PMI_*,
# Open MPI's mpiexec OMPI_*, srun SLURM_*. The innermost comes first: mpiexec is started in a batch script, not the other
# way round. PMIX_RANK comes without a number of processes, and never alone.
_LAUNCHERS = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)

_LOCAL_RANKS = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID")

FIRST_SPEAKS_S = 5.0  # the first process has found the same by then, and Open MPI's mpiexec has ended the others
START_LOST_AFTERS = 5  # the ranks that do not see each other within so many --lost-after will never do

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_CLOCK = re.compile(r"(?:(?P<days>\d{1,6})-)?(?P<hours>\d{1,6}):(?P<minutes>\d\d):(?P<seconds>\d\d)", re.ASCII)


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


def max_fails(text: str) -> MaxFails:
    """Parse a number of tasks, or a percentage: 5, 2%, 0.5%. Raises ValueError."""
    match = re.fullmatch(r"(?P<tasks>\d{1,18})|(?P<whole>\d{1,3})(?:\.(?P<decimals>\d{1,9}))?%", text, re.ASCII)
    if not match:
        raise ValueError(f"{text!r} is not a number of tasks, nor a percentage")
    if match["tasks"]:
        return MaxFails(text, int(match["tasks"]))
    decimals = match["decimals"] or ""
    limit = MaxFails(text, int(match["whole"] + decimals), 100 * 10 ** len(decimals))
    if limit.number > limit.parts:
        raise ValueError(f"{text!r} is more than all tasks")
    return limit


def each(args: argparse.Namespace) -> Each | None:
    """Return how the lines of the list become commands; None if they are commands. Raises FarmError.

    A range in place of a list is one if no file has that name.
    """
    given = ["--colsep"] * (args.colsep is not None) + ["--header"] * args.header
    if args.each is None:
        if given:
            columns = "is for the columns of arguments, of which --each TEMPLATE makes commands"
            raise FarmError(f"{given[0]} {columns}: give --each, too, or leave it out")
        return None
    if not ranges.is_range(args.tasklist) or os.path.lexists(args.tasklist):
        return Each(args.each, args.colsep, args.header)
    if given:
        raise FarmError(f"{given[0]} is for the lines of a file, and {args.tasklist} is a range: leave it out")
    return Each(args.each, elements=args.tasklist)


def list_name(args: argparse.Namespace) -> str:
    """Return the name of the list: of a range, which has none, see `tasks.label`. Raises FarmError."""
    made = each(args)
    name: str = args.tasklist
    return label.of(made.template, made.elements) if made and made.elements else name


def read(args: argparse.Namespace) -> tuple[Config, dict[str, str]]:
    """Make the Config of this run and the environment of its tasks from the options and from this process."""
    environ = {name: value for name, value in os.environ.items() if name}  # no program is given such a name
    cpus, usable_cpus = _cpus(environ)
    host = slurm.node(environ) or _host()
    task_environ = environ if args.keep_mpi_env else scrub(environ)
    if args.shell is not None and is_first(args.no_mpi):  # elsewhere it would be a fault of that node
        _check_shell(args.shell)
    _check_again(args)
    if not args.check and (args.nodes is not None or args.task_time is not None):
        given = "--nodes" if args.nodes is not None else "--task-time"
        raise FarmError(f"{given} is for --check, which plans a run: a farm has the nodes of its ranks, give --check, too")
    if args.edited and args.rerun:
        raise FarmError("--edited keeps what is done of an edited list, and --rerun forgets all of it: give one of them")
    config = Config(
        tasklist=list_name(args),
        each=each(args),
        threads=_threads(args.threads, environ),
        retries=args.retries,
        timeout_s=args.timeout,
        kill_after_s=args.kill_after,
        max_fails=args.max_fails,
        manager_works=args.manager_works,
        rerun=args.rerun,
        again=args.again,
        edited=args.edited,
        lost_after_s=args.lost_after,
        output=args.output,
        shell=args.shell,
        no_mpi=args.no_mpi,
        keep_mpi_env=args.keep_mpi_env,
        quiet=args.quiet,
        bar=not args.quiet and (_on_terminal(environ) if args.bar is None else args.bar),
        report_every_s=args.report_every,
        node=slurm.node(environ) or hosts.short(host),
        host=host,
        cpus=cpus,
        usable_cpus=usable_cpus,
        node_cpus=os.cpu_count() or 0,
        memory_kib=memory.kib(environ, usable_cpus),
        quota_cpus=quota.cpus(),
        launched_ranks=1 if args.no_mpi else _launched_ranks(environ),
        interface=_interface(environ),
        job=slurm.job(environ),
        walltime_s=args.walltime,
        margin_s=args.margin,
        time_request_s=args.time_request or 0.0,
        anyway=args.anyway,
        ignore_directives=args.ignore_directives,
        on_end=args.on_end,
        variables=frozenset(task_environ),
        typed=_typed(args, environ),
        steps_wait=_steps_wait(args, environ, task_environ),
    )
    return config, task_environ


def ask_end(config: Config) -> subprocess.Popen[str] | None:
    """Start to ask Slurm when the job ends, in the first process, unless --walltime says so. For `slurm.end`."""
    if config.job is None or config.walltime_s or not is_first(config.no_mpi):
        return None
    return slurm.ask_end(config.job.id, os.environ)


def refuse(error: FarmError, no_mpi: bool = False) -> int:
    """Report an error that is found before there is MPI; return this process's exit code: 2, never 0 with nothing said.

    The first process speaks at once. The others have found the same, as a rule, and let it: Open MPI's mpiexec ends all
    when one has left with an error, as srun may, and the message would be lost. Who is still there after a while, and was
    started by no launcher, has the variables of a rank from whatever is around it, and speaks up. So does the first of each
    other node where the error may be that node's alone.
    """
    if is_first(no_mpi):
        say(error)
        return 2
    by_srun, by_mpich = _started_by_srun(), _mpich_listens()
    if by_srun or not by_mpich:  # MPICH's mpiexec ends nobody before MPI_Init
        with suppress(KeyboardInterrupt):
            time.sleep(FIRST_SPEAKS_S)
    if not (by_srun or by_mpich) or (isinstance(error, NodeError) and _is_first_of_node()):
        say(f"{slurm.node(os.environ) or hosts.short(_host())}: {error}")
    return 2


def is_first(no_mpi: bool = False) -> bool:
    """Return whether this is the first process, as the launcher counts: before MPI exists nothing else tells.

    A rank counts only beside the number of processes of the same launcher, and if it is one of them: else it was left
    behind by a farm, or a srun, around this one. With *no_mpi* there are no others.
    """
    if no_mpi:
        return True
    for rank_name, size_name in _LAUNCHERS:
        rank, size = _number(os.environ.get(rank_name)), _number(os.environ.get(size_name))
        if rank is not None and size is not None and rank < size:
            return rank == 0
    return True


def _started_by_srun() -> bool:
    """Return whether srun has started this very process, or the wrapper that has."""
    return _number(os.environ.get("SLURM_TASK_PID")) in (os.getpid(), os.getppid())


def _mpich_listens() -> bool:
    """Return whether there is a PMI at the other end of the descriptor that its variable names."""
    listening = _number(os.environ.get("PMI_FD"))
    try:
        return listening is not None and stat.S_ISSOCK(os.fstat(listening).st_mode)
    except (OSError, OverflowError):  # no such descriptor
        return False


def _is_first_of_node() -> bool:
    return all(os.environ.get(name, "0") == "0" for name in _LOCAL_RANKS)


def _on_terminal(environ: Mapping[str, str]) -> bool:
    """Return whether standard error is a terminal that can rewrite a line."""
    try:
        return os.isatty(2) and environ.get("TERM", "") not in ("", "dumb")
    except OSError:
        return False


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


def _typed(args: argparse.Namespace, environ: Mapping[str, str]) -> Typed:
    started = any(name in environ for names in _LAUNCHERS for name in names) or "PMIX_RANK" in environ
    threads = environ.get("THREADS", "").strip() if args.threads is None else ""
    return typed.typed(sys.orig_argv, len(sys.argv) - 1, threads, not started or args.no_mpi)


def _launched_ranks(environ: Mapping[str, str]) -> int:
    return max(_number(environ.get(size_name)) or 1 for _, size_name in _LAUNCHERS)


def _interface(environ: Mapping[str, str]) -> Interface:
    if "PMIX_NAMESPACE" in environ:
        return Interface.PMIX
    return Interface.PMI if any(name in environ for name in ("PMI_FD", "PMI_PORT", "PALS_RANKID")) else Interface.NONE


def _host() -> str:
    return socket.gethostname() or "localhost"


def _cpus(environ: Mapping[str, str]) -> tuple[int, int]:
    """Return how many CPUs this process is bound to, and how many the job allows it on this node.

    Where Slurm does not confine jobs to cpusets, it still says how many CPUs of the node are ours.
    """
    bound, usable = affinity.counted()
    ours = _number(environ.get("SLURM_CPUS_ON_NODE")) or usable
    return min(bound, ours), min(usable, ours)


def _check_again(args: argparse.Namespace) -> None:
    if args.again is None:
        return
    if args.rerun:
        raise FarmError("--again is for some of the tasks and --rerun for all of them: leave one of them out")
    if args.edited:
        raise FarmError(
            "--again with --edited may mean the tasks of either list: start with --edited first, then with --again"
        )


def _steps_wait(args: argparse.Namespace, environ: Mapping[str, str], task_environ: Mapping[str, str]) -> bool:
    """Find out whether a srun in a task would wait for ever, if the list has one. The first process does, for all."""
    if args.check or slurm.job(environ) is None or not is_first(args.no_mpi):
        return False
    if not (mentioned(args.tasklist) or (args.each and STARTER.search(os.fsencode(args.each)))):
        return False
    return steps.wait(task_environ)


def _check_shell(shell: str) -> None:
    if not os.path.isabs(shell):
        found = shutil.which(shell) or "/bin/bash"
        raise FarmError(f"--shell {shell} is not an absolute path: write --shell {found}")
    if not (Path(shell).is_file() and os.access(shell, os.X_OK)):
        raise FarmError(f"--shell {shell} is not an executable file: give the path of a shell, such as {SHELL}")


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None
