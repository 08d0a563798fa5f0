"""What a task's environment keeps and what it loses.

A task is started by a rank of an MPI job, but it is not a rank of it. If it sees the rank's identity (PMI_RANK,
PMIX_NAMESPACE, ...) and calls MPI_Init, it hangs, dies, or, under `srun --mpi=pmix`, takes the whole job step down
with it. So the rule: a task gets what the user had at submission.

Every variable is in one of three classes:

1. IDENTITY: who this rank is. Dropped, always.
2. INPUT: what the launcher told the rank, and the job, and what a nested `srun` would read as *its own options*. Dropped.
3. The rest: facts about the job (SLURM_JOB_ID, SLURM_NODELIST, ...) and the user's settings (OMP_*, MPICH_*, UCX_*,
   OMPI_MCA_btl, ...). Kept.

In a Slurm job a task gets anew what a batch script of one task has, since programs look there: SLURM_PROCID=0, or a
training script takes itself for a rank that writes nothing, and SLURM_CPUS_PER_TASK, which is in so many command lines
(`-t ${SLURM_CPUS_PER_TASK}`). Its value is known only when the node's slots are: it is 1 until then.

The lists come from differences of `env` measured under the mpiexec of Open MPI 4 and 5 and of MPICH 5, and under srun
with pmi2 and pmix; PALS_* is from Slurm's mpi_cray_shasta.c; I_MPI_HYDRA_* and I_MPI_INFO_* are from documentation
alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_IDENTITY = re.compile(
    r"""
      PMI_ | PMI2_ | PALS_ | HYDI_ | MPI4PY_FUTURES_
    | PMIX_(?!MCA_) | PMIX_MCA_mca_base_component_show_load_errors$
    | PRTE_(?!MCA_)
    | MPI_LOCALNRANKS$ | MPI_LOCALRANKID$
    | OMPI_(?!ALLOW_|MCA_)
    | OMPI_MCA_(ess | orte_ | pmix$ | initial_wdir$ | num_procs$ | cpu_type$ | shmem_RUNTIME | mpi_oversubscribe$)
    | OPAL_USER_PARAMS_GIVEN$
    | SLURM_STEP_ID$ | SLURM_STEPID$ | SLURM_STEP_ | SLURM_PMI
    | SLURM_PROCID$ | SLURM_LOCALID$ | SLURM_NODEID$ | SLURM_GTIDS$ | SLURM_TASK_PID$
    | I_MPI_HYDRA_ | I_MPI_INFO_
    | MV2_COMM_WORLD_ | JSM_NAMESPACE_ | FLUX_TASK_
    """,
    re.VERBOSE,
)

_INPUT = re.compile(
    r"""
      SLURM_MPI_TYPE$ | SLURM_CPU_BIND | SLURM_MEM_BIND | SLURM_DISTRIBUTION$ | SLURM_NTASKS | SLURM_NPROCS$
    | SLURM_CPUS_PER_TASK$ | SRUN_ | SLURM_LAUNCH_ | SLURM_SRUN_COMM_ | SLURM_UMASK$ | SLURM_PRIO_PROCESS$
    | SLURM_JOB_CPUS_PER_NODE_PACK_GROUP_
    """,
    re.VERBOSE,
)


CPUS_PER_TASK = "SLURM_CPUS_PER_TASK"
_IN_A_JOB = ("SLURM_JOB_ID", "SLURM_JOBID", CPUS_PER_TASK)  # any of them; the last one is enough for a script to rely on it
_ONE_TASK = {CPUS_PER_TASK: "1", "SLURM_NTASKS": "1", "SLURM_NPROCS": "1"}
_BATCH_SCRIPT = _ONE_TASK | dict.fromkeys(("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_GTIDS"), "0")


def scrub(environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* without what makes a child MPI program or a nested srun believe that it is this rank.

    In a Slurm job, it is that of a batch script of one task.
    """
    kept = {name: value for name, value in environ.items() if not (_IDENTITY.match(name) or _INPUT.match(name))}
    return kept | _BATCH_SCRIPT if any(environ.get(name) for name in _IN_A_JOB) else kept
