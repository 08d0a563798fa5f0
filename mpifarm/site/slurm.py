"""Everything about Slurm: which node this is, which job, when it ends, and which flag of srun fits the MPI library."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

from mpifarm.settings import Interface, Job

ASK_S = 20.0  # how long a busy slurmctld may take to answer


def job(environ: Mapping[str, str]) -> Job | None:
    """Return the job that *environ* tells of."""
    job_id = environ.get("SLURM_JOB_ID", "")
    if not job_id:
        return None
    restart, nodes, end = (
        _number(environ.get(name, "")) for name in ("SLURM_RESTART_COUNT", "SLURM_JOB_NUM_NODES", "SLURM_JOB_END_TIME")
    )
    # 128(x2),64: two nodes with 128 CPUs and one with 64
    listed = re.findall(r"(\d{1,6})(?:\(x\d+\))?", environ.get("SLURM_JOB_CPUS_PER_NODE", ""))
    cpus = max(map(int, listed), default=0)
    if cpus <= (_number(environ.get("SLURM_CPUS_ON_NODE", "")) or 0):
        cpus = 0
    return Job(job_id, restart or 0, nodes or 1, cpus, float(end) if end else None)


def node(environ: Mapping[str, str]) -> str | None:
    """Return the name by which Slurm knows this node: several nodes may run on one host, with slurmd -N."""
    return environ.get("SLURMD_NODENAME") or None


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
    command = ["squeue", "--noheader", "--jobs", job_id, "--format=%e"]
    environ = {**environ, "SLURM_TIME_FORMAT": "%s"}  # Unix time: squeue(1)
    try:
        return subprocess.Popen(
            command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError:
        return None


def answer(asked: subprocess.Popen[str]) -> float | None:
    """Return the Unix time that `ask_end` has asked for, or None if the job has no limit or nobody knows."""
    try:
        text, _ = asked.communicate(timeout=ASK_S)
    except subprocess.TimeoutExpired:
        asked.kill()
        asked.communicate()
        return None
    end = _number(text.strip())
    return float(end) if end else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
