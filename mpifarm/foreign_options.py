"""The options of other programs that people type out of habit: what each of them is called here, or why it is not needed.

Pure: a table. Its rule: an answer is the truth about this version, and names no option that it does not have
(`tests/test_foreign_options.py`). Where one letter means several things, the answer has them all.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """What is answered to some options."""

    options: str  # separated by spaces
    whose: str
    here: str


_GOES_ON = "leave it out, the same line again goes on where it was left, and tries again what has failed for good"
_ALWAYS_LOGGED = "leave it out, every attempt is in joblog.TASKLIST.tfin, in the columns of GNU Parallel"
_AT_A_TIME = "give -j N for N tasks at a time on each node"
_RANKS = (
    "give it to who starts the ranks: mpiexec -n 3 python -m mpifarm TASKLIST, srun -N 2 -c 128 python -m mpifarm TASKLIST"
)
_CPUS = "a task has the CPUs of its slot: give -j N, with N the CPUs of a node divided by those of a task"
_EACH = "for a file of arguments, one a line, give --each TEMPLATE: python -m mpifarm --each './prog {}' FILE"
_COLUMNS = f"{_EACH}; {{1}} {{2}} are its columns, with --colsep REGEX, and names of the first line with --header"
_ARRAY = "for a job array give --each and its range: python -m mpifarm --each 'SLURM_ARRAY_TASK_ID={} ./prog' 1-1000"
_OF_THE_JOB = "that is for the job: give it to sbatch or srun, before python -m mpifarm"
_BLOCKS = "what a task prints comes as one whole block when it has ended; to see it before, let the line write into a file"
_MEMORY = "memory is not watched: choose -j N so that N tasks fit into a node (joblog.TASKLIST.tfin has the peak of each)"

TABLE = (
    # where it was left
    Entry("--resume --resume-failed --retry-failed", "GNU Parallel", _GOES_ON),
    Entry("--resume-from --retry --force-resume -R", "disBatch", _GOES_ON),
    Entry("-r", "disBatch, HyperShell and xargs", f"{_GOES_ON}; for more attempts give --retries N"),
    Entry("--restart", "HyperShell", _GOES_ON),
    Entry("--rerun-incomplete --ri --rerun-triggers", "Snakemake", _GOES_ON),
    Entry("-resume", "Nextflow", _GOES_ON),
    Entry("--force --forceall --forcerun -F -f", "Snakemake and HyperShell",
          "to run a list again from its start give --rerun; what failed stands in log.TASKLIST.tfin"),
    Entry("--unlock --nolock", "Snakemake", "leave it out, a lock that nobody holds any more is found out, and taken over"),
    Entry("--forever", "HyperShell", "a list may grow at its end between two runs: start the same line again"),
    # what is told
    Entry("-with-trace -with-report -with-timeline --stats", "Nextflow and Snakemake", _ALWAYS_LOGGED),
    Entry("--failures", "HyperShell",
          "give --failed TASKLIST for the tasks that are not done, and --show SEQ TASKLIST for one; the same line"
          " again tries them again"),
    Entry("--logfile --log --log-file --loglevel --log-level --verbose -v --debug", "many programs",
          "leave it out, what happened is in log.TASKLIST.tfin, and every attempt in joblog.TASKLIST.tfin"),
    Entry("--eta --progress --jps", "GNU Parallel, HyperQueue and Flux",
          "leave it out, a bar is shown on a terminal (--bar, --no-bar), and elsewhere a line every minute"
          " (--report-every TIME)"),
    Entry("-q --silent --no-notice --will-cite --citation --bibtex", "GNU Parallel and others",
          "leave it out, nothing is asked here; to print nothing but errors and outputs give --quiet"),
    Entry("-V", "many programs", "give --version"),
    # what the tasks print
    Entry("--keep-order -k", "GNU Parallel (make's and Snakemake's -k: go on after a failure, as is done here)",
          "blocks come in the order in which tasks end; joblog.TASKLIST.tfin has the numbers of their lines in that order"),
    Entry("--keep-going", "make and Snakemake", "leave it out, a failure holds up nobody else"),
    Entry("--tag --tagstring --ctag", "GNU Parallel",
          "no line is marked, but a task's block is whole, and a task finds its number in $MPIFARM_SEQ"),
    Entry("--results --files --output-as-files --outputasfiles --capture --stdout -o",
          "GNU Parallel, HyperQueue and HyperShell",
          "give --output FILE for all outputs, one block a task, or let the lines write: ./prog > out/$MPIFARM_SEQ.txt"),
    Entry("--stderr --errors --error -e", "Slurm, HyperQueue and HyperShell",
          "the tasks' standard error is passed on, and that of failures is in log.TASKLIST.tfin; or let the lines write:"
          " ./prog 2> err/$MPIFARM_SEQ.txt"),
    Entry("--ungroup --group --line-buffer --linebuffer --lb -u", "GNU Parallel", _BLOCKS),
    # how many, how long, and how often
    Entry("--jobs --max-procs --max-workers -P --local-cores --cores", "GNU Parallel, xargs, make and Snakemake",
          _AT_A_TIME),
    Entry("--tasks-per-node --tasksPerNode --num-tasks", "disBatch and HyperShell", _AT_A_TIME),
    Entry("-n --ntasks -np --np --ntasks-per-node", "mpiexec, Slurm and xargs",
          f"{_RANKS}; {_AT_A_TIME}; a line of the list is a whole command"),
    Entry("-N", "Slurm, Flux and HyperShell", f"{_RANKS}; {_AT_A_TIME}"),
    Entry("-c", "Slurm, Flux, disBatch, HyperShell and ParaFly",
          "a list is given without an option;"
          f" CPUs of a rank are given to srun: srun -N 2 -c 128 python -m mpifarm TASKLIST; {_CPUS}"),
    Entry("--cpus-per-task --cpusPerTask --cores-per-task --cpus --task-cores", "Slurm, Flux, HyperQueue and disBatch",
          _CPUS),
    Entry("-t", "Slurm, disBatch and HyperShell",
          f"for the job's limit give --walltime TIME, for a task's --timeout TIME; {_AT_A_TIME}"),
    Entry("--time --time-min", "Slurm",
          "in a job Slurm is asked; elsewhere give --walltime TIME; for the limit of a task --timeout TIME"),
    Entry("--time-limit --task-timeout -W", "HyperQueue and HyperShell", "give --timeout TIME"),
    Entry("--max-retries --restart-times --crash-limit -T", "HyperShell, Snakemake and HyperQueue", "give --retries N"),
    Entry("--halt --halt-on-error --fail-fast", "GNU Parallel and others",
          "give --max-fails N or N%: nothing more is started when more have failed, after their retries"),
    Entry("--delay --delay-start --sshdelay", "GNU Parallel and HyperShell",
          "all slots start at once; where that is too much, let the lines wait: sleep $((MPIFARM_SLOT % 10)) && ./prog"),
    Entry("--nice", "GNU Parallel and Slurm", "start the farm with it: nice python -m mpifarm TASKLIST"),
    Entry("--dryrun", "Snakemake", "give --check"),
    Entry("--mem --mem-per-cpu --mem-per-task --memory --task-memory", "Slurm and HyperShell", f"{_OF_THE_JOB}; {_MEMORY}"),
    Entry("--memfree --memsuspend --load --noswap --limit", "GNU Parallel", _MEMORY),
    Entry("--gpus --gpus-per-task --gpus-per-node --gres -G -g", "Slurm, Flux and disBatch",
          f"{_OF_THE_JOB}; slurm/gpu.sbatch gives every slot a GPU"),
    # where
    Entry("--sshlogin --sshloginfile --slf -S --ssh --ssh-node --ssh-group -s --hostfile --hosts --machinefile",
          "GNU Parallel, HyperShell, disBatch and mpiexec", f"the nodes are those of the ranks; {_RANKS}"),
    Entry("--mpi --launcher", "Slurm and HyperShell", _RANKS),
    Entry("--workdir --wd --cwd --chdir -D --directory", "GNU Parallel, Slurm, HyperQueue and Snakemake",
          "tasks run in the directory that the farm is started in: cd there before"),
    Entry("--tmpdir --tempdir --tmp", "GNU Parallel and Slurm", "set TMPDIR"),
    Entry("--env --export --environ", "GNU Parallel, HyperQueue and Slurm",
          "the tasks get the farm's environment: export it before"),
    Entry("--partition --account --qos --constraint --job-name --exclusive --nodelist --exclude --dependency"
          " --requeue --signal --reservation --licenses --mail-type --mail-user --overlap --exact --cpu-bind -A -J -w -x",
          "Slurm", _OF_THE_JOB),
    Entry("-p --prefix", "Slurm, disBatch and xargs",
          f"{_OF_THE_JOB}; the files of a run lie in the directory that it is started in, and nothing is asked"),
    Entry("--name --title", "HyperQueue", "leave it out, a run is known by the name of its list"),
    Entry("--pin --priority --resource --wait", "HyperQueue",
          "leave it out, the farm runs here and now, with the CPUs that it is given"),
    # lines that are made of arguments
    Entry("--arg-file --rpl --arg-sep --arg-file-sep --trim --quote -X -m", "GNU Parallel", _EACH),
    Entry("--link --xapply", "GNU Parallel",
          "lists are linked by :::+ and ::::+: python -m mpifarm --expand './prog {1} {2}' ::: a b :::+ 1 2 > tasks.txt"),
    Entry("--shuf", "GNU Parallel", "the lines are dealt in their order: shuf FILE > tasks.txt"),
    Entry("--pipe --pipepart --pipe-part --block", "GNU Parallel",
          "a task reads no standard input: split the file, list its parts, and give --each './prog < {}' PARTS"),
    Entry("-C", "GNU Parallel", _COLUMNS),
    Entry("-a -I -i -L -l -E --replace --max-args --max-lines --max-chars --xargs", "xargs and GNU Parallel", _EACH),
    Entry("-0 -d --null --delimiter", "xargs and GNU Parallel", f"make a line of each argument, by tr; {_EACH}"),
    Entry("--each-line", "HyperQueue", f"{_EACH}; for a program that reads it, 'HQ_ENTRY={{}} ./prog'"),
    Entry("--from-json", "HyperQueue", f"make a line of each item, by jq; {_EACH}"),
    Entry("-CPU --CPU", "ParaFly", _AT_A_TIME),
    Entry("-failed_cmds --failed_cmds", "ParaFly",
          "leave it out, --failed TASKLIST prints what is not done, and the same line again runs it"),
    Entry("-shuffle --shuffle", "ParaFly", "the lines are dealt in their order: shuf FILE > tasks.txt"),
    Entry("--array", "Slurm and HyperQueue", _ARRAY),
    Entry("--template --bundlesize -b", "HyperShell", _EACH),
)  # fmt: skip

_ENTRIES = {option: entry for entry in TABLE for option in entry.options.split()}


def answer(word: str) -> str | None:
    """Return what to say to an argument: `--option`, `--option=value`, `-o`, `-o4`; None if nobody knows it."""
    if not word.startswith("-"):  # a list may be called d
        return None
    name = word.partition("=")[0]
    letter = word[:2] if word[2:3] and not word[2:3].isalpha() else ""
    for option in (name, f"-{name}", letter):  # as it is; with one dash for two; a letter and its value
        if entry := _ENTRIES.get(option):
            return f"{option} is no option here, but one of {entry.whose}: {entry.here}"
    return None
