"""A Slurm of three nodes on this machine: start it once, submit to it, see what became of a job, leave nothing behind."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import checkout
import pytest
from mpi.farms import MARK, Ended, Farm, Farms, live_processes, wait_until

HERE = Path(__file__).parent
SCRIPTS = HERE.parents[1] / "slurm"  # those that people copy
FARM = ("python", "-m", "mpifarm")

_NEEDED = ("slurmctld", "slurmd", "srun", "sbatch", "munged", "mungekey")
_PACKAGES = "apt-get install slurm-wlm munge libpmix-dev openmpi-bin libopenmpi-dev"
_OUTER = ("THREADS", "SLURM", "SRUN_", "SBATCH_", "PMI", "OMPI_", "MPIFARM_")  # of a job that the tests may run in
_AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
# Slurm's pmi2 takes what one read of 1024 bytes returns for a whole request (pmi1.c: "TODO: read until newline"), and
# MPICH 5 over UCX puts 4 KiB of memory that it has not cleared, in segments that may be longer: some starts fail, by what
# lay there. What it puts over libfabric is short.
_SHORT_ADDRESSES = {"MPIR_CVAR_CH4_NETMOD": "ofi"}
# The nodes have one host name: ranks of two nodes must not talk through shared memory.
_APART = {"OMPI_MCA_btl": "self,tcp"}
_ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE"}
_NONE: Mapping[str, str] = {}


def _missing(what: str) -> None:
    reason = f"no Slurm for the tests: {what}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def fitting_mpi() -> str:
    """Return the interface that srun must offer to the MPI library that mpi4py loads here."""
    try:
        importlib.metadata.distribution("mpich")
    except importlib.metadata.PackageNotFoundError:
        return "pmix"  # Open MPI, the system's or the wheel
    return "pmi2"


class Cluster:
    """The Slurm."""

    def __init__(self) -> None:
        """Start it; skip the test where that cannot be, and fail where that must be."""
        if os.geteuid() != 0:
            _missing("only root can start it: sudo python -m pytest tests/slurm")
        path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
        absent = [name for name in _NEEDED if shutil.which(name, path=path) is None]
        if absent:
            _missing(f"{', '.join(absent)} not found: {_PACKAGES}")
        self.mpi = fitting_mpi()
        self.directory = Path(tempfile.mkdtemp(prefix="mpifarm-slurm."))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OUTER)}
        self.environ = {
            # All nodes are this machine. By its outer address Open MPI's TCP fails now and then under load.
            "OMPI_MCA_btl_tcp_if_include": "lo",
            **inherited,
            "PATH": f"{Path(sys.executable).parent}:{path}",
            "SLURM_CONF": str(self.directory / "slurm.conf"),
            "MPIFARM_PYTHON": str(checkout.python(self.directory / "environment")),
            **_AS_ROOT,
            **_SHORT_ADDRESSES,
            **_APART,
        }
        started = subprocess.run([HERE / "start", self.directory], capture_output=True, text=True, check=False)
        if started.returncode:
            self.stop()
            pytest.fail(f"Slurm does not start: {started.stdout}{started.stderr}")
        if self.mpi not in self.ask("srun", "--mpi=list"):
            self.stop()
            _missing(f"this srun has no {self.mpi}: {_PACKAGES}")

    def stop(self) -> None:
        """End it, without a trace."""
        subprocess.run([HERE / "stop", self.directory], check=False)
        assert not self.directory.exists()

    def ask(self, *command: str) -> str:
        """Run one of Slurm's commands; return what it printed."""
        ended = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 0, f"{' '.join(command)}: {ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr

    def log(self, daemon: str) -> str:
        """Return the log of slurmctld, or of slurmd.n0, ..."""
        return (self.directory / "log" / f"{daemon}.log").read_text(errors="replace")

    def records(self, job_id: str) -> list[dict[str, str]]:
        """Return what Slurm knows of a job: a dictionary of `scontrol show job`, one for each element of an array."""
        lines = self.ask("scontrol", "--oneliner", "show", "job", job_id).splitlines()
        return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines if line]


@dataclass(frozen=True, slots=True)
class Job:
    """What sbatch has submitted. What it prints goes where Slurm puts it, both streams into one file."""

    id: str
    cluster: Cluster

    def record(self) -> dict[str, str]:
        """Return what Slurm knows of it: JobState, Restarts, ExitCode, ..."""
        (record,) = self.cluster.records(self.id)
        return record

    def ended(self) -> bool:
        """Say whether all of it has ended."""
        return all(record["JobState"] in _ENDED for record in self.cluster.records(self.id))

    def wait_for(self, state: str) -> None:
        """Wait until it is RUNNING, PENDING, ..."""
        wait_until(lambda: self.record()["JobState"] == state, f"job {self.id} is {state}")

    def hurry(self) -> None:
        """Let it start soon if it was requeued: otherwise it waits two minutes.

        Not at once: within a second or so of its end, slurmd takes it for the start that has ended ("credential revoked").
        """
        record = self.record()
        requeued = record["JobState"] == "PENDING" and record["Restarts"] != "0"
        if requeued and datetime.fromisoformat(record["EligibleTime"]) > datetime.now() + timedelta(seconds=10):
            self.cluster.ask("scontrol", "update", f"JobId={self.id}", "StartTime=now+3")

    def wait(self) -> Ended:
        """Wait for its end; return exit code and output."""
        (ended,) = self.wait_all()
        return ended

    def wait_all(self) -> list[Ended]:
        """Wait for the end of all elements of an array; return exit code and output of each."""
        wait_until(self.ended, f"job {self.id} has ended")
        return [self._how_ended(record) for record in self.cluster.records(self.id)]

    def _how_ended(self, record: dict[str, str]) -> Ended:
        out = Path(record["StdOut"]).read_bytes()
        return Ended(int(record["ExitCode"].partition(":")[0]), out, out.decode(errors="replace"))


class Jobs:
    """What one test submits, from a directory of its own."""

    def __init__(self, cluster: Cluster, farms: Farms, scratch: Path) -> None:
        """*farms* writes the task list and reads what a farm leaves; it starts nothing here."""
        self.cluster = cluster
        self.farms = farms
        self.directory = farms.directory
        self.mark = uuid.uuid4().hex
        self._scratch = scratch
        self._started: list[Farm] = []

    def start(self, *command: str, environ: Mapping[str, str] = _NONE) -> Farm:
        """Start a command. `farm.wait()` waits for it and for every process that it has started."""
        capture = self._scratch / f"started{len(self._started)}"
        farm = Farm([*command], True, self.directory, self.environ(environ), capture)
        self._started.append(farm)
        return farm

    def srun(self, *words: str, environ: Mapping[str, str] = _NONE) -> Farm:
        """Start srun with these words."""
        return self.start("srun", *words, environ=environ)

    def farm(self, *options: str, arguments: tuple[str, ...] = ("tasks.txt",), environ: Mapping[str, str] = _NONE) -> Farm:
        """Start `srun --mpi=... OPTIONS python -m mpifarm ARGUMENTS`, with the interface that fits."""
        return self.srun(f"--mpi={self.cluster.mpi}", *options, *FARM, *arguments, environ=environ)

    def sbatch(self, *words: str, environ: Mapping[str, str] = _NONE) -> Job:
        """Submit a batch script, whose srun finds the interface that fits."""
        fitting = {"SLURM_MPI_TYPE": self.cluster.mpi}
        submitted = subprocess.run(
            ["sbatch", "--parsable", *words], cwd=self.directory, env=self.environ({**fitting, **environ}),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert submitted.returncode == 0, submitted.stderr
        return Job(submitted.stdout.strip(), self.cluster)

    def environ(self, more: Mapping[str, str] = _NONE) -> dict[str, str]:
        """Return the environment in which this test submits."""
        return {**self.cluster.environ, MARK: self.mark, "TMPDIR": str(self._scratch), **more}

    def ranks(self) -> dict[int, int]:
        """Return the pids of the live ranks, by rank; their helpers are not among them."""
        found = {process.pid: process for process in live_processes(self.mark) if process.farms}
        return {
            int(process.environ["SLURM_PROCID"]): process.pid
            for process in found.values()
            if process.parent not in found and "SLURM_PROCID" in process.environ
        }

    def tasks_running(self) -> int:
        """Return how many processes of tasks are alive."""
        return sum("MPIFARM_TASK" in process.environ for process in live_processes(self.mark))

    def id_of(self, farm: Farm) -> str:
        """Return the number of the job in which *farm* runs, as soon as it runs."""
        numbers: set[str] = set()

        def known() -> bool:
            numbers.update(p.environ["SLURM_JOB_ID"] for p in farm.processes() if "SLURM_JOB_ID" in p.environ)
            return bool(numbers)

        wait_until(known, "the job runs")
        (number,) = numbers
        return number

    def end(self) -> None:
        """Cancel what is left, and wait until the nodes are free."""
        if self.cluster.ask("squeue", "--noheader"):
            self.cluster.ask("scancel", "--user=root")
        for farm in self._started:
            farm.kill()
        wait_until(lambda: not self.cluster.ask("squeue", "--noheader"), "no job is left")
        wait_until(lambda: not list(live_processes(self.mark)), "no process is left")
