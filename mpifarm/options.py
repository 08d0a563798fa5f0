"""The options, as argparse reads and `--help` shows them: in groups, by what somebody wants to do.

The rule: the first screen has what most people need, a line each, and says what it is and no more; README has the rest. An
option stands in one group. How numbers and times are read is up to `config`.

Imports neither numpy nor MPI: `--help` works on a login node where MPI_Init would abort.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn, TypeVar

from mpifarm import FarmError, __version__, config
from mpifarm.launcher.frames import MAX_SLOTS, SHELL
from mpifarm.settings import KILL_AFTER_S

_DESCRIPTION = """\
Run the shell commands of TASKLIST, one a line, over the nodes of an MPI job,
and remember what finished. Started again, it goes on where it was left."""

_EPILOG = """\
the task list:
  One command a line, run by /bin/sh -c in the directory you start from, with /dev/null as standard input. Where that
  is dash, as on Debian and Ubuntu, what is bash's alone needs --shell /bin/bash; functions that bash has exported
  (module, conda, ...) reach the tasks in any case.
  Lines that begin with # are comments. It may grow at its end between runs; if anything else was edited in
  what was dealt, say so with --edited.
  The lines have no order, and each has a shell of its own. What must come after it goes into a second list:
  python -m mpifarm first.txt && python -m mpifarm second.txt

more about the options above:
  --threads: left out, as many as CPUs that this rank may use, or has the time of, / worker ranks on the node.
  --retries: after the rest of the list, on another node if there is one, and 1 s, then 10 s after the failure while there
  is other work.
  --timeout: TERM, then KILL, to the attempt's whole process group; time in which the job is suspended does not count.
  --max-fails: nothing more is started when more than N tasks have failed for good, or N% of the list, what runs may
  finish, and the exit code is 1; 0 is fail-fast. As soon as what has failed once may be too much, it is tried again at
  once, before other tasks, to decide that.
  --each: {} is the line, quoted; GNU Parallel's other fields, too: {.} {/} {//} {/.} {#}, and {1} {2.} with --colsep. A
  template without a field gets the line at its end. In place of a file a range: 1-1000, 1-100:5, 1,7,9-12.
  --output: one block for each task that succeeds, never twice, whatever was killed when.
  --status: exit code 0: it is running, or all is done; 1: it has ended and tasks have failed; 3: work is left and nobody
  runs it; 2: no such run here. What stands in the document of --json is said in mpifarm/view/snapshot.py.

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

_MOST_NODES = 4096
_NO_SHARE = "no share of the CPUs (50%, +1, 0 for all) is understood; left out, it is as many as CPUs"

_Value = TypeVar("_Value")
_Add = Callable[..., argparse.Action]


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
        add_help=False,
    )
    for title, fill in _GROUPS.items():
        fill(options.add_argument_group(title).add_argument)
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


_COUNT = _checked(int, lambda n: n >= 0, "a number, 0 or more")
_SLOTS = _checked(_slots, lambda n: 1 <= n <= MAX_SLOTS, f"a number from 1 to {MAX_SLOTS}: {_NO_SHARE}")
_MAX_FAILS = _checked(config.max_fails, lambda _: True, "a number, 0 or more, or a percentage from 0% to 100%")
_TIME = _checked(config.seconds, lambda _: True, "a time: write 90, 90s, 10m, 2h or 1-00:00:00")
_FILE = _checked(str, bool, "a name of a file; is a variable not set?")
_NODES = _checked(_slots, lambda n: 1 <= n <= _MOST_NODES, f"a number of nodes from 1 to {_MOST_NODES}")
_SEQ = _checked(str, bool, "the number of a task, or :LINE of the list")
_COMMAND = _checked(str, lambda text: bool(text.strip()), "a command; is a variable not set?")
_REGEX = _checked(str, bool, "a regular expression, such as ',' or '\\t'; is a variable not set?")
_WHICH = _checked(str, bool, "numbers or a name of a file; is a variable not set?")

# fmt: off


def _run(add: _Add) -> None:
    add("tasklist", metavar="TASKLIST", nargs="?", help="file of shell commands, one a line")
    add("--each", metavar="TEMPLATE", type=_COMMAND,
        help="the lines are arguments: './run {} > {/.}.out'")
    add("-j", "--threads", type=_SLOTS, metavar="N",
        help="tasks at a time on each node [$THREADS, or its CPUs]")
    add("--retries", type=_COUNT, metavar="N", default=2,
        help="more attempts for a task that fails [2: three in all]")
    add("--timeout", type=_TIME, metavar="TIME",
        help="an attempt that takes longer is ended, and has failed")
    add("--max-fails", type=_MAX_FAILS, metavar="N[%]",
        help="give up when more than N have failed; 0: at the first")
    add("--output", metavar="FILE", type=_FILE,
        help="the file for what the tasks print [standard output]")


def _arguments(add: _Add) -> None:
    add("--colsep", metavar="REGEX", type=_REGEX,
        help="with --each: what stands between the columns {1} {2} ... of a line: ',', '\\t', ' +'")
    add("--header", action="store_true",
        help="with --each: the first line names the columns, {temp}; a list named .csv is read as such")
    add("--expand", metavar="TEMPLATE", type=_COMMAND,
        help="print what --each TEMPLATE would run of TASKLIST, and run nothing; or of ::: a b ::: 1 2 (all combinations),"
             " :::+ x y (linked to those before), :::: FILE ::::+ FILE, all words behind the first ::: being values")
    add("--params", metavar="FILE", type=_FILE,
        help="with --expand: the values are those of a .csv file whose first line names its columns, {temp}")


def _look(add: _Add) -> None:
    add("--status", action="store_true",
        help="say where the run stands, from any node")
    add("--check", "--dry-run", action="store_true",
        help="say what is wrong or odd in the list, line by line")
    add("--report", metavar="FILE",
        help="write what happened: .html, .png, .svg or .pdf")
    add("--failed", action="store_true",
        help="print what is not done, as a task list")
    add("--show", metavar="SEQ", type=_SEQ,
        help="print one task, by number or :LINE, and its attempts")


def _look_more(add: _Add) -> None:
    add("--watch", action="store_true",
        help="with --status: say it again every 2 s, until Ctrl-C")
    add("--json", action="store_true",
        help="with --status: as a JSON document, see README")
    add("--nodes", type=_NODES, metavar="N",
        help="with --check: plan it for up to so many nodes")
    add("--task-time", type=_TIME, metavar="TIME",
        help="with --check: how long a task takes [as before]")
    add("--joblog", action="store_true",
        help="print a joblog as GNU Parallel's own")


def _go_on(add: _Add) -> None:
    add("--rerun", action="store_true", help="forget the progress of earlier runs")
    add("--edited", action="store_true",
        help="the list was edited since the last run: what is done of lines that have not changed stays done, wherever they"
             " stand now; what is new or changed runs, and what is gone is forgotten")
    add("--again", metavar="WHICH", type=_WHICH,
        help="run these tasks once more though they are done: 3,17-20 (numbers as in log and joblog), or a file of lines as"
             " they stand in the list. Say it once: to go on after an interruption leave it out, or what is done then runs"
             " again, too. Not with --output")


def _end_of_job(add: _Add) -> None:
    add("--walltime", type=_TIME, metavar="TIME",
        help="the job ends so long after the farm's start: stop in time [the limit of the Slurm job]")
    add("--margin", type=_TIME, metavar="TIME",
        help="start nothing so long before the end of the job; what runs may go on until shortly before it"
             " [60 s, at most a quarter of the time]")
    add("--time-request", type=_TIME, metavar="TIME",
        help="do not start a task with less than TIME left; when nothing more can start and nothing runs, exit 3 early")


def _nodes(add: _Add) -> None:
    add("--shell", metavar="PATH",
        help="run the lines by this shell, such as /bin/bash: an absolute path, the same on every node, and when the list"
             f" is gone on with [{SHELL}]")
    add("--manager-works", action="store_true", help="rank 0 runs tasks, too (always so with one rank)")
    add("--keep-mpi-env", action="store_true",
        help="leave the variables of MPI and srun in the tasks' environment; an MPI program run as a task may hang")
    add("--no-mpi", action="store_true", help="one process, MPI not imported: for a login node where MPI_Init aborts")


def _failing(add: _Add) -> None:
    add("--kill-after", type=_TIME, metavar="TIME", default=KILL_AFTER_S,
        help="how long a task has between TERM and KILL, at its timeout and when the farm stops, to save what it has; the"
             f" end of the job goes before: with a long one, give --margin, too [{KILL_AFTER_S:.0f} s]")
    add("--lost-after", type=_TIME, metavar="TIME", default=120.0,
        help="a worker that is silent for so long is lost, and its tasks are dealt again [120 s]")
    add("--ignore-directives", action="store_true",
        help="run a list as if the directives (#DISBATCH, #SBATCH, #mpifarm, ...) and words of other farms were not in it")
    add("--anyway", action="store_true",
        help="run a list with lines that cannot be meant: wait alone, an open quote, for ...; do")


def _said(add: _Add) -> None:
    add("--on-end", metavar="CMD", type=_COMMAND,
        help="when the last file is written, rank 0 runs CMD once, with MPIFARM_DONE, _FAILED, _LEFT, _EXIT and _SECONDS: a"
             " mail, sbatch next.sh. Also if all was done before, not if the start was refused. Its output goes to standard"
             " error; it has 60 s (5 s if the farm was stopped), and changes no exit code")
    add("--bar", action=argparse.BooleanOptionalAction, default=None,
        help="show on one line of standard error how far it is [where that is a terminal]")
    add("--report-every", metavar="TIME", type=_TIME, default=60.0,
        help="without a bar, say so often how far it is; after the first hour at most every 10 min [60 s]")
    add("--quiet", action="store_true", help="print nothing but errors and the tasks' own output")
    add("--version", action="version", version=f"mpifarm {__version__}", help="show the version, and nothing else")
    add("-h", "--help", action="help", help="show this, and nothing else")


# fmt: on
_GROUPS: dict[str, Callable[[_Add], None]] = {  # in the order of --help
    "run": _run,
    "look, and run nothing: without MPI, from any shell": _look,
    "go on with a list": _go_on,
    "lists of arguments": _arguments,
    "look closer": _look_more,
    "the end of the job": _end_of_job,
    "shell, ranks and nodes": _nodes,
    "when things fail": _failing,
    "what is said": _said,
}
