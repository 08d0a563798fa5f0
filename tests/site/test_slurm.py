"""What Slurm's environment and squeue tell; a real Slurm is in tests/slurm."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mpifarm.settings import Interface, Job
from mpifarm.site import slurm

WITH_PMIX = "MPICH Version: 4.0.2\nMPICH configure: --with-pmix=/usr --with-device=ch4:ofi"
WITHOUT = "MPICH Version: 5.0.2\nMPICH configure: --with-device=ch4:ucx,ofi --with-pm=hydra:gforker"


@pytest.mark.parametrize(
    ("interface", "vendor", "version", "flag"),
    [
        (Interface.PMI, "MPICH", WITHOUT, None),
        (Interface.PMIX, "MPICH", WITHOUT, "--mpi=pmi2"),
        (Interface.PMIX, "MPICH", WITH_PMIX, None),
        (Interface.NONE, "MPICH", WITH_PMIX, "--mpi=pmi2"),
        (Interface.PMIX, "Open MPI", "Open MPI v5.0.11", None),
        (Interface.PMI, "Open MPI", "Open MPI v4.1.4", "--mpi=pmix"),
        (Interface.NONE, "Open MPI", "Open MPI v4.1.4", "--mpi=pmix"),
        (Interface.NONE, "Something Else", "1.0", None),
    ],
)
def test_the_flag_that_fits_the_library(interface: Interface, vendor: str, version: str, flag: str | None) -> None:
    assert slurm.misfit(interface, vendor, version) == flag


def test_outside_a_job_there_is_no_job_and_no_node() -> None:
    assert slurm.job({}) is None
    assert slurm.node({}) is None


@pytest.mark.parametrize(
    ("cpus", "largest"), [("128", 128), ("64(x3)", 64), ("4,128(x12),16", 128), ("", 0), ("nonsense", 0)]
)
def test_the_cpus_of_a_node_are_read_as_slurm_writes_them(cpus: str, largest: int) -> None:
    assert slurm.job({"SLURM_JOB_ID": "1", "SLURM_JOB_CPUS_PER_NODE": cpus}) == Job("1", 0, 1, largest, None)


@pytest.mark.parametrize(("step", "cpus"), [("1", 128), ("127", 128), ("128", 0)])
def test_the_cpus_of_a_node_matter_if_the_step_has_fewer(step: str, cpus: int) -> None:
    environ = {"SLURM_JOB_ID": "1", "SLURM_JOB_CPUS_PER_NODE": "128(x2)", "SLURM_CPUS_ON_NODE": step}
    assert slurm.job(environ) == Job("1", 0, 1, cpus, None)


def squeue(directory: Path, script: str) -> dict[str, str]:
    """Return an environment whose squeue is this shell script."""
    (directory / "squeue").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "squeue").chmod(0o755)
    return {"PATH": f"{directory}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("script", "end"),
    [
        ('[ "$*" = "--noheader --jobs 77 --format=%e" ] && [ $SLURM_TIME_FORMAT = %s ] && echo 1795351983', 1795351983.0),
        ("echo NONE", None),
        ("echo N/A", None),
        ("echo slurm_load_jobs error >&2; exit 1", None),
        ("", None),
    ],
)
def test_the_end_of_the_job_is_what_squeue_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, end: float | None
) -> None:
    environ = squeue(tmp_path, script)
    monkeypatch.setenv("PATH", environ["PATH"])  # where the program is looked up
    asked = slurm.ask_end("77", environ)
    assert asked is not None
    assert slurm.answer(asked) == end


def test_a_slurm_that_does_not_answer_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "ASK_S", 0.2)
    environ = squeue(tmp_path, "exec sleep 60")
    monkeypatch.setenv("PATH", environ["PATH"])
    asked = slurm.ask_end("77", environ)
    assert asked is not None
    began = time.monotonic()
    assert slurm.answer(asked) is None
    assert time.monotonic() - began < 30, "it was waited for"
    assert asked.returncode is not None, "it was left behind"


def test_where_there_is_no_squeue_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm.ask_end("77", {"PATH": str(tmp_path)}) is None
