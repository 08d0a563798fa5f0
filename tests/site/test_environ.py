"""A task's environment: the launcher's identity and srun's input go, facts about the job and the user's settings stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.site.environ import scrub

# What each launcher was seen to set (or, for Cray, sets in its source).
IDENTITY = {
    "Open MPI 4 mpiexec": """
        OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE OMPI_COMM_WORLD_LOCAL_RANK OMPI_UNIVERSE_SIZE OMPI_NUM_APP_CTX
        OMPI_FIRST_RANKS OMPI_APP_CTX_NUM_PROCS OMPI_ARGV OMPI_COMMAND OMPI_FILE_LOCATION OMPI_MCA_ess
        OMPI_MCA_ess_base_jobid OMPI_MCA_orte_precondition_transports OMPI_MCA_pmix OMPI_MCA_initial_wdir
        OMPI_MCA_mpi_oversubscribe OMPI_MCA_shmem_RUNTIME_QUERY_hint PMIX_RANK PMIX_NAMESPACE PMIX_SERVER_URI2 PMIX_ID
        PMIX_MCA_mca_base_component_show_load_errors""",
    "Open MPI 5 mpiexec": """
        OMPI_COMM_WORLD_RANK OMPI_WORLD_SIZE OMPI_MCA_initial_wdir OMPI_MCA_num_procs OMPI_MCA_cpu_type OMPI_TOOL_NAME
        OMPI_VERSION OPAL_USER_PARAMS_GIVEN PMIX_RANK PMIX_NAMESPACE PRTE_LAUNCHED PRTE_SHARED_FS""",
    "Hydra": "PMI_FD PMI_RANK PMI_SIZE PMI_HOSTNAME PMI2_RANK HYDI_CONTROL_FD MPI_LOCALNRANKS MPI_LOCALRANKID",
    "Intel MPI": "I_MPI_HYDRA_HOST_FILE I_MPI_INFO_NP",
    "srun, pmi2": "PMI_FD PMI_JOBID PMI_RANK PMI_SIZE SLURM_STEP_ID SLURM_STEPID SLURM_STEP_NUM_TASKS SLURM_STEP_NODELIST",
    "srun, pmix": "PMIX_RANK PMIX_NAMESPACE SLURM_PMIX_MAPPING_SERV SLURM_PMIXP_ABORT_AGENT_PORT",
    "srun, Cray": """
        PALS_APID PALS_APINFO PALS_LOCAL_RANKID PALS_NODEID PALS_RANKID PALS_SPOOL_DIR PMI_CONTROL_PORT PMI_LOCAL_RANK
        PMI_LOCAL_SIZE PMI_UNIVERSE_SIZE PMI_SHARED_SECRET""",
    "srun, any": "SLURM_PROCID SLURM_LOCALID SLURM_NODEID SLURM_GTIDS SLURM_TASK_PID",
    "MVAPICH2": "MV2_COMM_WORLD_RANK MV2_COMM_WORLD_SIZE MV2_COMM_WORLD_LOCAL_RANK",
    "jsrun": "JSM_NAMESPACE_RANK JSM_NAMESPACE_SIZE JSM_NAMESPACE_LOCAL_RANK",
    "flux": "FLUX_TASK_RANK FLUX_TASK_LOCAL_ID",
    "mpi4py.futures": "MPI4PY_FUTURES_MAX_WORKERS",
}

# In a Slurm job a task sees what a batch script of one task sees.
BATCH_SCRIPT = {
    "SLURM_CPUS_PER_TASK": "1", "SLURM_NTASKS": "1", "SLURM_NPROCS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0", "SLURM_GTIDS": "0",
}  # fmt: skip

INPUT = """
    SLURM_MPI_TYPE SLURM_CPU_BIND SLURM_CPU_BIND_LIST SLURM_MEM_BIND SLURM_MEM_BIND_TYPE SLURM_DISTRIBUTION SLURM_NTASKS
    SLURM_NTASKS_PER_NODE SLURM_NPROCS SRUN_CPUS_PER_TASK SRUN_DEBUG SLURM_LAUNCH_NODE_IPADDR
    SLURM_SRUN_COMM_HOST SLURM_SRUN_COMM_PORT SLURM_UMASK SLURM_PRIO_PROCESS SLURM_JOB_CPUS_PER_NODE_PACK_GROUP_0"""

KEPT = """
    PATH HOME THREADS LD_LIBRARY_PATH OMP_NUM_THREADS
    SLURM_JOB_NODELIST SLURM_JOB_CPUS_PER_NODE SLURM_JOB_END_TIME SLURM_CONF SLURM_CLUSTER_NAME
    SLURM_NODELIST SLURM_NNODES SLURM_TASKS_PER_NODE SLURM_SUBMIT_DIR SLURM_ARRAY_TASK_ID SLURM_RESTART_COUNT
    SLURMD_NODENAME SLURM_OVERLAP SLURM_EXACT
    HYDRA_LAUNCHER MPICH_GPU_SUPPORT_ENABLED MPIR_CVAR_CH4_OFI_TAG_BITS FI_PROVIDER UCX_TLS CRAY_MPICH_DIR I_MPI_FABRICS
    OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM OMPI_MCA_btl OMPI_MCA_pml OMPI_MCA_pmix_base_verbose
    OMPI_MCA_mpi_yield_when_idle OMPI_MCA_shmem PMIX_MCA_gds PRTE_MCA_plm_ssh_agent MPI_LOCALNRANKS_OF_MINE
    MPI_HOME MPI4PY_MPIABI OMPIFOO PMI PMIX MY_PMI_RANK XSLURM_STEP_ID pmi_rank"""

JOB = "SLURM_JOB_ID SLURM_JOBID SLURM_CPUS_PER_TASK"  # any of them: this is a Slurm job

NAMES = st.sampled_from(" ".join((*IDENTITY.values(), INPUT, KEPT, JOB)).split()) | st.from_regex(
    r"[A-Z_]{1,12}", fullmatch=True
)
ENVIRONMENTS = st.dictionaries(NAMES, st.text(st.characters(exclude_characters="\0"), max_size=5))


@pytest.mark.parametrize("launcher", IDENTITY)
def test_no_launchers_identity_reaches_a_task(launcher: str) -> None:
    assert scrub(dict.fromkeys(IDENTITY[launcher].split(), "1")) == {}


def test_what_a_nested_srun_would_read_as_its_options_does_not_reach_a_task() -> None:
    assert scrub(dict.fromkeys(INPUT.split(), "1")) == {}


def test_facts_about_the_job_and_the_users_settings_survive() -> None:
    environ = {name: f"value of {name}" for name in KEPT.split()}
    assert scrub(environ) == environ


@pytest.mark.parametrize("sign", JOB.split())
def test_in_a_slurm_job_a_task_sees_what_a_batch_script_of_one_task_sees(sign: str) -> None:
    rank = {"SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "2", "SLURM_GTIDS": "2,3", "SLURM_TASK_PID": "99"}
    environ = {"PATH": "/bin", "SLURM_NTASKS": "4", **rank, sign: "8"}
    facts = {} if sign == "SLURM_CPUS_PER_TASK" else {sign: "8"}
    assert scrub(environ) == {"PATH": "/bin", **facts, **BATCH_SCRIPT}


@pytest.mark.parametrize("sign", JOB.split())
def test_an_empty_word_makes_no_job(sign: str) -> None:
    assert scrub({"A": "1", sign: ""}).keys() - {sign} == {"A"}


@given(ENVIRONMENTS)
def test_nothing_else_is_added_or_changed_and_the_argument_stays_as_it_is(environ: dict[str, str]) -> None:
    before = dict(environ)
    kept = scrub(environ)
    assert environ == before
    assert kept is not environ
    in_a_job = any(environ.get(name) for name in JOB.split())
    assert kept.items() <= (environ | BATCH_SCRIPT if in_a_job else environ).items()
    assert scrub(kept) == kept


@given(ENVIRONMENTS, ENVIRONMENTS)
def test_each_variable_is_judged_by_its_name_alone(some: dict[str, str], others: dict[str, str]) -> None:
    added = BATCH_SCRIPT.keys()
    assert scrub(some | others).keys() - added == (scrub(some).keys() | scrub(others).keys()) - added
