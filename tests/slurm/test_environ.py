"""A task sees what a batch script sees: their environments, side by side, and every variable that differs is named here."""

from __future__ import annotations

import os
from pathlib import Path

from .cluster import Jobs

SCRIPT = "#!/bin/sh\nenv -0 > batch.env\nsrun --no-kill -K0 -W0 -c 4 python -m mpifarm --threads 2 tasks.txt\n"
# What README and --help say of a task: whose task it is, and that it is the one task of a batch script, with the CPUs of a
# slot. The batch script of this test has two tasks.
OURS = {
    "MPIFARM_ATTEMPT": "1", "MPIFARM_NODE": "n1", "MPIFARM_SEQ": "1", "MPIFARM_SLOT": "1", "MPIFARM_TASK": "0",
    "MPIFARM_THREADS": "2",
}  # fmt: skip
ONE_TASK = {"SLURM_NTASKS": ("2", "1"), "SLURM_NPROCS": ("2", "1")}
THERE = {"SLURMD_NODENAME": ("n0", "n1"), "SLURM_TOPOLOGY_ADDR": ("n0", "n1")}  # where it runs
# What srun reads as its own options, and the number of the script's process.
GONE = {"SLURM_MPI_TYPE", "SLURM_NTASKS_PER_NODE", "SLURM_PRIO_PROCESS", "SLURM_TASK_PID"}
SHELL = {"_", "PWD", "OLDPWD", "SHLVL"}


def environment(path: Path) -> dict[str, str]:
    return dict(word.split("=", 1) for word in path.read_text().split("\0")[:-1])


def test_a_task_sees_what_the_batch_script_sees_and_who_it_is(jobs: Jobs) -> None:
    jobs.farms.tasks("env -0 > task.env")
    (jobs.directory / "job.sh").write_text(SCRIPT)
    mine = {"OMP_NUM_THREADS": "3", "MY_RANK": "7", "UCX_TLS": "^ib", "SLURM_HINT_OF_MINE": "x"}
    ended = jobs.sbatch("-N", "2", "--ntasks-per-node=1", "-c", "4", "-t", "5", "job.sh", environ=mine).wait()
    assert ended.code == 0, ended.err
    batch, task = environment(jobs.directory / "batch.env"), environment(jobs.directory / "task.env")
    names = (batch.keys() | task.keys()) - SHELL
    differ = {name: (batch.get(name), task.get(name)) for name in names if batch.get(name) != task.get(name)}
    share = str(max(1, min(4, len(os.sched_getaffinity(0))) // 2))  # CPUs of a slot: the nodes' are made up
    wanted: dict[str, tuple[str | None, str | None]] = {name: (None, value) for name, value in OURS.items()}
    wanted |= ONE_TASK | THERE | {"SLURM_CPUS_PER_TASK": ("4", share)}
    wanted |= {name: (batch[name], None) for name in GONE}
    assert differ == wanted
    assert mine.items() <= task.items()
    assert {name: task[name] for name in ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_GTIDS")} == dict.fromkeys(
        ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_GTIDS"), "0"
    )
