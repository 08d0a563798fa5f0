"""What Slurm's environment and squeue tell; a real Slurm is in tests/slurm."""

from __future__ import annotations

import math
import os
import subprocess
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
    read = slurm.job({"SLURM_JOB_ID": "1", "SLURM_JOB_CPUS_PER_NODE": cpus})
    assert read == Job("1", 0, 1, largest, None, uneven="," in cpus)


@pytest.mark.parametrize(("told", "given"), [(None, 0), ("", 0), ("4", 4)])
def test_it_is_known_whether_the_step_was_given_cpus(told: str | None, given: int) -> None:
    environ = {"SLURM_JOB_ID": "1"} | ({} if told is None else {"SLURM_CPUS_PER_TASK": told})
    assert slurm.job(environ) == Job("1", 0, 1, 0, None, cpus_per_task=given)


@pytest.mark.parametrize(("step", "cpus"), [("1", 128), ("127", 128), ("128", 0)])
def test_the_cpus_of_a_node_matter_if_the_step_has_fewer(step: str, cpus: int) -> None:
    environ = {"SLURM_JOB_ID": "1", "SLURM_JOB_CPUS_PER_NODE": "128(x2)", "SLURM_CPUS_ON_NODE": step}
    assert slurm.job(environ) == Job("1", 0, 1, cpus, None)


def squeue(directory: Path, script: str) -> dict[str, str]:
    """Return an environment whose squeue is this shell script."""
    (directory / "squeue").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "squeue").chmod(0o755)
    return {"PATH": f"{directory}:{os.environ['PATH']}"}


JOB = Job("77", 0, 1, 0, None)
NOW = 1795350000.0
KNOWN = Job("77", 0, 1, 0, NOW + 600)  # by SLURM_JOB_END_TIME
NO_LIMIT = "no limit is kept; --walltime TIME gives one"


@pytest.mark.parametrize(
    ("job", "answered", "end", "told"),
    [
        (JOB, f"77 77 {NOW + 900:.0f}", NOW + 900, []),
        # the element of an array that has the array's id is asked for by the id of all
        (JOB, f"77 77_[5-9] N/A\n79 77_1 {NOW + 3:.0f}\n77 77_2 {NOW + 900:.0f}\n78 77_0 {NOW + 6:.0f}\n", NOW + 900, []),
        # components of a heterogeneous job end together, with the first of them
        (JOB, f"77 77+0 {NOW + 900:.0f}\n78 77+1 {NOW + 300:.0f}\n", NOW + 300, []),
        (JOB, f"CLUSTER: big\n77 77 {NOW + 900:.0f}\n", NOW + 900, []),
        (JOB, f"778 77 {NOW + 900:.0f}\n177 177_77 1\n", None, []),
        (JOB, "77 77 NONE", None, []),
        (JOB, "77 77 N/A", None, []),
        (JOB, "", None, []),
        (JOB, "slurm_load_jobs error: Invalid job id specified", None, []),
        (JOB, "77 77 2026-11-25T17:00:00", None, ["squeue says that the end of the job is no time: "]),
        (JOB, "77 77", None, []),
        (JOB, f"77 77 {NOW - 30:.0f}", NOW - 30, []),  # clocks differ
        (JOB, f"77 77 {NOW - 61:.0f}", None, ["squeue says that the job has ended on 20"]),
        (JOB, "77 77 1", None, ["squeue says that the job has ended on 19"]),
        (JOB, f"77 77+0 later\n78 77+1 {NOW + 300:.0f}\n", NOW + 300, []),
        (KNOWN, "", NOW + 600, []),
        (KNOWN, "77 77 NONE", NOW + 600, []),
        (KNOWN, f"77 77 {NOW + 620:.0f}", NOW + 620, []),
        (KNOWN, f"77 77 {NOW + 9000:.0f}", NOW + 9000, ["the job ends on 20"]),  # it was extended
        (KNOWN, f"77 77 {NOW + 120:.0f}", NOW + 120, ["the job ends on 20"]),
        (KNOWN, f"77 77 {NOW - 120:.0f}", NOW + 600, ["squeue says that the job has ended on 20"]),
        (KNOWN, "77 77 tomorrow", NOW + 600, ["squeue says that the end of the job is no time: "]),
        (Job("77", 0, 1, 0, NOW - 600), "", None, ["SLURM_JOB_END_TIME says that the job has ended on 20"]),
        (Job("77", 0, 1, 0, float("nan")), "", None, ["SLURM_JOB_END_TIME says that the end of the job is no time: "]),
        (Job("77", 0, 1, 0, 9e17), "77 77 " + "9" * 18, 1e18, ["the job ends never"]),
    ],
)  # fmt: skip
def test_the_job_ends_when_the_newest_says_that_can_be_believed(
    job: Job, answered: str, end: float | None, told: list[str]
) -> None:
    found, said = slurm.end(job, answered, NOW)
    assert found == end
    assert [line[: len(wanted)] for line, wanted in zip(said, told, strict=True)] == told
    assert all(line.endswith(NO_LIMIT) for line in said if "squeue says that" in line or "TIME says that" in line)


def test_nonsense_in_the_environment_is_no_end() -> None:
    for text, end in (("1795351983", 1795351983.0), ("", None)):
        told = slurm.job({"SLURM_JOB_ID": "1", "SLURM_JOB_END_TIME": text})
        assert told and told.end == end
    for text in ("soon", "0", "-1", "1e9"):
        told = slurm.job({"SLURM_JOB_ID": "1", "SLURM_JOB_END_TIME": text})
        assert told and told.end is not None and math.isnan(told.end)


def ask(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str, **environ: str) -> subprocess.Popen[str]:
    """Ask a squeue that is this shell script."""
    (directory / "squeue").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "squeue").chmod(0o755)
    path = f"{directory}:{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)  # where the program is looked up
    asked = slurm.ask_end("77", {"PATH": path, **environ})
    assert asked is not None
    return asked


def test_squeue_is_asked_for_unix_time_and_for_whose_it_is_whatever_its_user_likes_to_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(
        tmp_path, monkeypatch, 'echo "$*:$SLURM_TIME_FORMAT:$SQUEUE_STATES:$SLURM_CONF"', SQUEUE_STATES="PD", SLURM_CONF="x"
    )
    assert slurm.answer(asked, JOB) == "--noheader --jobs 77 --format=%A %i %e:%s::x\n"


@pytest.mark.parametrize("script", ["echo slurm_load_jobs error >&2; exit 1", "", "exit 1"])
def test_a_squeue_that_fails_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    assert slurm.answer(ask(tmp_path, monkeypatch, script), JOB) == ""


def test_a_slurm_that_does_not_answer_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "ASK_S", 0.2)
    asked = ask(tmp_path, monkeypatch, "exec sleep 60")
    began = time.monotonic()
    assert slurm.answer(asked, JOB) == ""
    assert time.monotonic() - began < 30, "it was waited for"
    assert asked.returncode is not None, "it was left behind"


def test_who_knows_an_end_does_not_wait_for_a_better_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "ASK_S", 1e6)
    asked = ask(tmp_path, monkeypatch, "exec sleep 600")
    assert slurm.answer(asked, KNOWN) == ""
    assert asked.returncode is not None, "it was left behind"


def test_who_knows_an_end_takes_a_newer_one_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ask(tmp_path, monkeypatch, "echo 77 77 5")
    os.waitid(os.P_PID, asked.pid, os.WEXITED | os.WNOWAIT)
    assert slurm.answer(asked, KNOWN) == "77 77 5\n"


def test_where_there_is_no_squeue_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm.ask_end("77", {"PATH": str(tmp_path)}) is None
