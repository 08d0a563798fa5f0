"""Jobs that follow each other on one list: sbatch --dependency=afterany, and the one before was killed."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest
from mpi.farms import held, live_processes, wait_until

from .cluster import Jobs

# As on two machines: of the holder of the lock nothing can be seen from the other node. The nodes of
# these tests are one host, so each farm has a host name and processes of its own.
APART = 'unshare --uts --pid --fork --kill-child --mount-proc sh -c \'hostname $SLURMD_NODENAME; exec "$0" "$@"\''
SCRIPT = f"#!/bin/sh\nexport THREADS=2\nsrun -N 2 -n 2 --no-kill -K0 -W0 -c 2 {APART} python -m mpifarm tasks.txt\n"
STALE_S = 30.0  # until the lock of a farm that is gone may be taken


@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare")
def test_the_next_job_of_a_chain_waits_for_the_lock_of_a_killed_one(jobs: Jobs) -> None:
    offsets = jobs.farms.tasks(*(held(number) for number in range(6)))
    (jobs.directory / "job.sh").write_text(SCRIPT)
    small = ("-N", "2", "--ntasks-per-node=1", "-c", "2", "-t", "5")
    first = jobs.sbatch(*small, "--nodelist=n0,n1", "job.sh")
    second = jobs.sbatch(*small, "--nodelist=n1,n2", f"--dependency=afterany:{first.id}", "job.sh")
    wait_until((jobs.directory / "held.1").exists, "its tasks run")
    assert "host=n0 " in jobs.farms.file("lock").read_text()
    for process in live_processes(jobs.mark):  # its ranks, helpers, tasks, at once
        if process.environ.get("SLURM_JOB_ID") == first.id:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    wait_until(first.ended, "the first job is over")
    assert jobs.farms.file("lock").exists()
    (jobs.directory / "go").touch()
    until = time.monotonic() + STALE_S
    while not second.ended() and time.monotonic() < until:
        time.sleep(0.2)
    ended = second.wait()
    assert ended.code == 0, ended.err
    assert sorted(jobs.farms.progress()) == offsets
