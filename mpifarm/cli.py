"""The command line: options -> `Config` -> one call.

Imports neither numpy nor MPI before the launcher's helpers are forked: a task never inherits what MPI_Init leaves in a
process, and `--help` works on a login node where MPI_Init would abort.
"""

from __future__ import annotations

import argparse
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from mpifarm import FarmError, __version__, arguments, config, entry, say
from mpifarm.launcher import launcher, processes
from mpifarm.launcher.frames import MAX_SLOTS, SHELL
from mpifarm.settings import KILL_AFTER_S, Config

_START_S = 10.0  # that MPI may take to start, however short --lost-after is

_DESCRIPTION = """\
Run the shell commands of TASKLIST, one a line, over the nodes of an MPI job, and remember what finished.
Start the same line again and it goes on where it was left."""

_EPILOG = """\
the task list:
  One command a line, run by /bin/sh -c in the directory you start from, with /dev/null as standard input. Where that
  is dash, as on Debian and Ubuntu, what is bash's alone needs --shell /bin/bash; functions that bash has exported
  (module, conda, ...) reach the tasks in any case.
  Lines that begin with # are comments. It may grow at its end between runs; if anything else was edited in
  what was dealt, say so with --edited.
  The lines have no order, and each has a shell of its own. What must come after it goes into a second list:
  python -m mpifarm first.txt && python -m mpifarm second.txt

examples:
  python -m mpifarm tasks.txt                         on a laptop: alone, without mpiexec
  mpiexec -n 3 python -m mpifarm tasks.txt            one manager, two workers
  srun -N 2 -c 128 python -m mpifarm tasks.txt        in a Slurm job: one rank on each node
  python -m mpifarm --walltime 2h --margin 5m tasks.txt
  python -m mpifarm --retries 0 --timeout 1h --output all.out tasks.txt

the files, beside you, for a list named tasks.txt:
  tasks.txt.tfin               the list as it is dealt; a record's byte offset is the task's number
  progress.tasks.txt.tfin      a line for every task that succeeded
  fastrecovery.tasks.txt.tfin  what is left; removed when all is done
  joblog.tasks.txt.tfin        a line for every attempt, in the columns of GNU Parallel
  log.tasks.txt.tfin           the failed attempts and what they printed
  done.tasks.txt.tfin          every task has succeeded
  lock.tasks.txt.tfin          is there while it runs
  status.tasks.txt.tfin        where it stands, for --status
The same list again goes on with what is left; where nothing is, it runs nothing, says when it was done, and exits 0.
To start over, delete the progress and the done file, or give --rerun; to run some of it again, --again. After an edit
of the list --edited keeps what is done of the lines that are unchanged. A list that was begun with --output goes on
with the same FILE; nothing that the list's own runs have not written is ever cut off or overwritten.

signals to rank 0:
  INT, TERM  stop: end what runs (TERM, after --kill-after KILL), write the files, exit 3; a second INT
             kills at once, and 45 s later the farm itself if something in it does not come back (MPI, a file system)
             a script that starts a farm with & has made it deaf to INT: send TERM
  USR2       drain: start nothing more, let what runs finish, exit 3
  a worker that gets one of them stops or drains alone, and its tasks go to others

exit codes:
  0  every task has succeeded          2  usage, environment or list error, or no node could run
  1  some tasks failed, or the job        anything: nothing was done
     was too short for what is left    3  stopped with work left: start again
To Slurm a job that ends with 3 has failed: afterok never starts what waits for it, afterany does.
A task that was running, alone, when the farm was killed for the third time has failed, too.

a task sees:
  MPIFARM_SEQ (which line of the .tfin file, from 1), MPIFARM_TASK (its offset there), MPIFARM_ATTEMPT, MPIFARM_SLOT,
  MPIFARM_NODE, MPIFARM_THREADS
  in a Slurm job what a batch script of one task sees: SLURM_CPUS_PER_TASK (the CPUs of a slot), SLURM_NTASKS=1, ...

TIME: 90, 90s, 10m, 2h, 1-00:00:00"""

_NO_SHARE = "no share of the CPUs (50%, +1, 0 for all) is understood; left out, it is as many as CPUs"

_Value = TypeVar("_Value")


class Parser(argparse.ArgumentParser):
    """argparse's, with our words for what is wrong."""

    @property
    def options(self) -> dict[str, bool]:
        """Every option, and whether it takes a value."""
        return {name: action.nargs != 0 for name, action in self._option_string_actions.items()}

    def error(self, message: str) -> NoReturn:
        raise FarmError(f"{message} (see: python -m mpifarm --help)")


def parser() -> Parser:
    """Return the parser of mpifarm's command line."""
    options = Parser(
        prog="mpifarm",
        usage="python -m mpifarm [options] TASKLIST",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    count = _checked(int, lambda n: n >= 0, "a number, 0 or more")
    slots = _checked(_slots, lambda n: 1 <= n <= MAX_SLOTS, f"a number from 1 to {MAX_SLOTS}: {_NO_SHARE}")
    max_fails = _checked(config.max_fails, lambda _: True, "a number, 0 or more, or a percentage from 0% to 100%")
    time = _checked(config.seconds, lambda _: True, "a time: write 90, 90s, 10m, 2h or 1-00:00:00")
    add = options.add_argument
    # fmt: off
    add("tasklist", metavar="TASKLIST", help="file of shell commands, one a line")
    add("-j", "--threads", type=slots, metavar="N",
        help="tasks at a time on each node [$THREADS, else the CPUs that this rank may use, or has the time of,"
             " / worker ranks on the node]")
    add("--retries", type=count, metavar="N", default=2,
        help="more attempts for a task that fails (2: three tries in all), after the rest of the list, on another node if"
             " there is one, and 1 s, then 10 s after the failure while there is other work [2]")
    add("--timeout", type=time, metavar="TIME",
        help="an attempt that takes longer has failed: TERM, then KILL, to its whole process group; time in which the job"
             " is suspended does not count")
    add("--kill-after", type=time, metavar="TIME", default=KILL_AFTER_S,
        help="how long a task has between TERM and KILL, at its timeout and when the farm stops, to save what it has; the"
             f" end of the job goes before: with a long one, give --margin, too [{KILL_AFTER_S:.0f} s]")
    add("--max-fails", type=max_fails, metavar="N[%]",
        help="start nothing more when more than N tasks have failed for good, or N%% of the list, let what runs finish, and"
             " exit 1; 0: at the first one (fail-fast). As soon as what has failed once may be too much, it is tried again"
             " at once, before other tasks, to decide that")
    add("--manager-works", action="store_true", help="rank 0 runs tasks, too (always so with one rank)")
    add("--rerun", action="store_true", help="forget the progress of earlier runs")
    add("--again", metavar="WHICH", type=_checked(str, bool, "numbers or a name of a file; is a variable not set?"),
        help="run these tasks once more though they are done: 3,17-20 (numbers as in log and joblog), or a file of lines as"
             " they stand in the list. Say it once: to go on after an interruption leave it out, or what is done then runs"
             " again, too. Not with --output")
    add("--edited", action="store_true",
        help="the list was edited since the last run: what is done of lines that have not changed stays done, wherever they"
             " stand now; what is new or changed runs, and what is gone is forgotten")
    add("--shell", metavar="PATH",
        help="run the lines by this shell, such as /bin/bash: an absolute path, the same on every node, and when the list"
             f" is gone on with [{SHELL}]")
    add("--lost-after", type=time, metavar="TIME", default=120.0,
        help="a worker that is silent for so long is lost, and its tasks are dealt again [120 s]")
    add("--walltime", type=time, metavar="TIME",
        help="the job ends so long after the farm's start: stop in time [the limit of the Slurm job]")
    add("--margin", type=time, metavar="TIME",
        help="start nothing so long before the end of the job; what runs may go on until shortly before it"
             " [60 s, at most a quarter of the time]")
    add("--time-request", type=time, metavar="TIME",
        help="do not start a task with less than TIME left; when nothing more can start and nothing runs, exit 3 early")
    add("--output", metavar="FILE", type=_checked(str, bool, "a name of a file; is a variable not set?"),
        help="collect the standard output of the tasks that succeed in FILE: one block a task, never twice,"
             " whatever was killed when [standard output]")
    add("--keep-mpi-env", action="store_true",
        help="leave the variables of MPI and srun in the tasks' environment; an MPI program run as a task may hang")
    add("--ignore-directives", action="store_true",
        help="run a list as if the directives (#DISBATCH, #SBATCH, #mpifarm, ...) and words of other farms were not in it")
    add("--anyway", action="store_true",
        help="run a list with lines that cannot be meant: wait alone, an open quote, for ...; do")
    add("--no-mpi", action="store_true", help="one process, MPI not imported: for a login node where MPI_Init aborts")
    add("--report", metavar="FILE",
        help="run nothing: write what happened to the list, from its files here, to FILE (.html, .png, .svg or .pdf);"
             " without MPI, from any shell")
    add("--status", action="store_true",
        help="run nothing: say where the run of TASKLIST stands, from any node, without MPI; exit code 0: it is running or"
             " all is done, 1: it has ended and tasks have failed, 3: work is left and nobody runs it, 2: no such run here")
    add("--watch", action="store_true", help="with --status: say it again every 2 s, until Ctrl-C")
    add("--json", action="store_true",
        help="with --status: as a JSON document (mpifarm/view/snapshot.py says what stands in it)")
    add("--quiet", action="store_true", help="print nothing but errors and the tasks' own output")
    add("--version", action="version", version=f"mpifarm {__version__}")
    # fmt: on
    return options


def _slots(text: str) -> int:
    if not text.isdecimal():  # +1, to GNU Parallel, is one more than there are CPUs
        raise ValueError(text)
    return int(text)


def _checked(convert: Callable[[str], _Value], valid: Callable[[_Value], bool], wanted: str) -> Callable[[str], _Value]:
    def check(text: str) -> _Value:
        try:
            value = convert(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None
        if not valid(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
        return value

    return check


def main(argv: Sequence[str] | None = None) -> int:
    """Run mpifarm with the options *argv* and return its exit code."""
    entry.normalise()
    argv = sys.argv[1:] if argv is None else argv
    try:
        entry.strangers()
        known = parser()
        arguments.check(argv, known.options)
        options = known.parse_args(argv)
        if options.report is not None:
            return _report(options.report, options.tasklist)
        if options.status or options.watch or options.json:
            return _status(options)
        settings, task_environ = config.read(options)
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


def _status(options: argparse.Namespace) -> int:
    """Say where a run stands, in the first process alone: no farm is started. Raises FarmError."""
    if not options.status:
        raise FarmError("--watch and --json belong to --status: give it, too")
    if not config.is_first():
        return 0
    from mpifarm.view import inquiry  # noqa: PLC0415

    return inquiry.answer(options.tasklist, as_json=options.json, watch=options.watch)


def _run(settings: Config, crew: launcher.Crew, asked: subprocess.Popen[str] | None) -> int:
    """Import what may be imported only now, after the fork, and run the farm. Raises FarmError."""
    from mpifarm.site import packages  # noqa: PLC0415

    packages.need_numpy()
    from mpifarm.ranks import farm  # noqa: PLC0415

    return farm.run(settings, crew, asked)
