"""Everything about Slurm: which node and job this is, its memory and its end, and which flag of srun fits the MPI library.

When a job ends, two know: SLURM_JOB_END_TIME, which newer Slurms set, and squeue. The variable is as old as the job, and
limits are extended, so squeue is asked in any case, before MPI starts. But a busy slurmctld holds nobody up who knows an
end already: who has the variable takes only an answer that is there.

The rule: what nobody can have meant is no limit, and is told. That is a text that is no time, and an end that lies behind
us by more than the clocks of two machines may differ: under OverTimeLimit, say, where a job may run on for unknown long.
"""

from __future__ import annotations

import math
import re
import subprocess
import time
from collections.abc import Mapping

from mpifarm.settings import Interface, Job

ASK_S = 20.0  # how long a busy slurmctld may take to answer
SKEW_S = 60.0  # that clocks may differ by, and ends that are the same

_NO_LIMIT = "no limit is kept; --walltime TIME gives one"


def job(environ: Mapping[str, str]) -> Job | None:
    """Return the job that *environ* tells of."""
    job_id = environ.get("SLURM_JOB_ID", "")
    if not job_id:
        return None
    restart, nodes = (_number(environ.get(name, "")) for name in ("SLURM_RESTART_COUNT", "SLURM_JOB_NUM_NODES"))
    # 128(x2),64: two nodes with 128 CPUs and one with 64
    listed = re.findall(r"(\d{1,6})(?:\(x\d+\))?", environ.get("SLURM_JOB_CPUS_PER_NODE", ""))
    cpus = max(map(int, listed), default=0)
    if cpus <= (_number(environ.get("SLURM_CPUS_ON_NODE", "")) or 0):
        cpus = 0
    end = environ.get("SLURM_JOB_END_TIME", "")
    per_task = _number(environ.get("SLURM_CPUS_PER_TASK", "")) or 0
    return Job(
        job_id, restart or 0, nodes or 1, cpus, _time(end) if end else None, len(set(listed)) > 1, per_task
    )  # fmt: skip


def node(environ: Mapping[str, str]) -> str | None:
    """Return the name by which Slurm knows this node: several nodes may run on one host, with slurmd -N."""
    return environ.get("SLURMD_NODENAME") or None


def memory_mib(environ: Mapping[str, str], cpus: int) -> int:
    """Return how much memory of this node the job has asked for, in MiB; 0: it has not said, or it has all of it.

    sbatch(1) and srun(1): --mem is SLURM_MEM_PER_NODE, where 0 is all that there is, --mem-per-cpu SLURM_MEM_PER_CPU; the
    job has *cpus* of this node.
    """
    if job(environ) is None:
        return 0
    node, cpu = (_number(environ.get(name, "")) or 0 for name in ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU"))
    return node or cpu * cpus


def misfit(interface: Interface, vendor: str, version: str) -> str | None:
    """Return the flag that srun lacks for this MPI library, None if the two fit.

    *vendor* and *version* are what the library calls itself before MPI_Init. Open MPI knows PMIx alone. MPICH and what is
    made from it know PMI; a build that knows PMIx says so among its configure options. Without the right interface
    MPICH's MPI_Init aborts or sees one rank, and Open MPI's fails or sees one rank.
    """
    if vendor == "Open MPI":
        return None if interface is Interface.PMIX else "--mpi=pmix"
    if vendor in ("MPICH", "MVAPICH", "Intel MPI"):
        return None if interface is Interface.PMI or (interface is Interface.PMIX and "pmix" in version) else "--mpi=pmi2"
    return None


def ask_end(job_id: str, environ: Mapping[str, str]) -> subprocess.Popen[str] | None:
    """Ask for the end of a job, without waiting for the answer. None where there is no squeue."""
    command = ["squeue", "--noheader", "--jobs", job_id, "--format=%A %i %e"]
    plain = {name: value for name, value in environ.items() if not name.startswith("SQUEUE_")}  # a user's own options
    plain["SLURM_TIME_FORMAT"] = "%s"  # Unix time: squeue(1)
    try:
        return subprocess.Popen(
            command, env=plain, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError:
        return None


def answer(asked: subprocess.Popen[str], job: Job) -> str:
    """Return what squeue says to `ask_end`, nothing if it takes too long. Nobody waits who knows an end already."""
    known = job.end is not None and not math.isnan(job.end)
    try:
        text, _ = asked.communicate(timeout=0.0 if known and asked.poll() is None else ASK_S)
    except subprocess.TimeoutExpired:
        asked.kill()
        asked.communicate()
        return ""
    return text


def end(job: Job, answered: str, now: float) -> tuple[float | None, list[str]]:
    """Return when *job* ends, and what people should know about that.

    *answered* is squeue's, *now* and the end are Unix times; None: there is no limit, or nobody knows of one.
    """
    told: list[str] = []
    newest = _sound(_ends(answered, job.id), "squeue", now, told)
    older = _sound(job.end, "SLURM_JOB_END_TIME", now, told)
    if newest is None:
        return older, told
    if older is not None and abs(newest - older) > SKEW_S:
        told.append(f"the job ends {_clock(newest)}, as squeue says, and not {_clock(older)}, as SLURM_JOB_END_TIME does")
    return newest, told


def _ends(answered: str, job_id: str) -> float | None:
    """Return the earliest end of a job in what squeue has answered: nan if that is no time, None if it tells none.

    To the id of an array, which one of its elements has as its own, it answers with all elements (%A is each one's id), to
    that of a heterogeneous job with all components (%i is ID+0, ID+1, ...), which end together.
    """
    words = [line.split(maxsplit=2) for line in answered.splitlines()]
    ours = [line[2].strip() for line in words if len(line) == 3 and (line[0] == job_id or line[1].startswith(f"{job_id}+"))]
    ends = [_time(text) for text in ours if text not in ("N/A", "NONE")]
    sound = [end for end in ends if not math.isnan(end)]
    return min(sound or ends, default=None)


def _sound(end: float | None, source: str, now: float, told: list[str]) -> float | None:
    """Return *end* if a job can have it; else say why not."""
    if end is None or (not math.isnan(end) and end > now - SKEW_S):
        return end
    wrong = "the end of the job is no time" if math.isnan(end) else f"the job has ended {_clock(end)}"
    told.append(f"{source} says that {wrong}: {_NO_LIMIT}")
    return None


def _clock(unix_s: float) -> str:
    try:
        return time.strftime("on %Y-%m-%d at %H:%M:%S", time.localtime(unix_s))
    except (OverflowError, ValueError, OSError):  # in millions of years
        return "never"


def _time(text: str) -> float:
    """Return a Unix time, nan if *text* is none."""
    number = _number(text)
    return float(number) if number else math.nan


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
