"""What a task's environment keeps and what it loses.

A task is started by a rank of an MPI job, but it is not a rank of it. If it sees the rank's identity (PMI_RANK,
PMIX_NAMESPACE, ...) and calls MPI_Init, it hangs, dies, or, under `srun --mpi=pmix`, takes the whole job step down
with it. So the rule: a task gets what the user had at submission.

Every variable is in one of three classes:

1. IDENTITY: who this rank is. Dropped, always.
2. INPUT: what the launcher told the rank and what a nested `srun` would read as *its own options*. Dropped.
3. The rest: facts about the job (SLURM_JOB_ID, SLURM_NODELIST, ...) and the user's settings (OMP_*, MPICH_*, UCX_*,
   OMPI_MCA_btl, ...). Kept.

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
    | I_MPI_HYDRA_ | I_MPI_INFO_
    """,
    re.VERBOSE,
)

_INPUT = re.compile(
    r"""
      SLURM_MPI_TYPE$ | SLURM_CPU_BIND | SLURM_MEM_BIND | SLURM_DISTRIBUTION$ | SLURM_NTASKS | SLURM_NPROCS$
    | SLURM_CPUS_PER_TASK$ | SRUN_ | SLURM_LAUNCH_ | SLURM_SRUN_COMM_ | SLURM_UMASK$ | SLURM_PRIO_PROCESS$
    """,
    re.VERBOSE,
)


def scrub(environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* without what makes a child MPI program or a nested srun believe that it is this rank."""
    return {name: value for name, value in environ.items() if not (_IDENTITY.match(name) or _INPUT.match(name))}
