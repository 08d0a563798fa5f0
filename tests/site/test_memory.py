"""How much memory a node gives: the least of what is known. The files are handed in, as a kernel has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cgrouptree import V1_CPU, V1_MEMORY, V2, mounted

from mpifarm.site import memory

GIB = 1024**2  # KiB
JOB = {"SLURM_JOB_ID": "7"}
MACHINE = "MemTotal:       67108864 kB\nMemFree:         1000 kB\n"  # 64 GiB


def of_2(gib: float) -> dict[str, str]:
    return {"memory.max": f"{int(gib * 1024**3)}\n"}


def of_1(gib: float) -> dict[str, str]:
    return {"memory.limit_in_bytes": f"{int(gib * 1024**3)}\n"}


NONE_2, NONE_1 = {"memory.max": "max\n"}, {"memory.limit_in_bytes": "9223372036854771712\n"}


@pytest.mark.parametrize(
    ("mount", "cgroup", "root", "groups", "gib"),
    [
        (V2, "0::/", "/", {".": of_2(8)}, 8),
        (V2, "0::/", "/", {".": NONE_2}, 64),
        (V2, "0::/", "/", {".": {}}, 64),  # the root of all has no such file
        (V2, "0::/", "/", {".": of_2(128)}, 64),  # more than there is
        (V2, "0::/", "/", {".": of_2(0)}, 64),  # nobody could have read that file
        (V2, "0::/job_7/step_0", "/", {".": {}, "job_7": of_2(16), "job_7/step_0": NONE_2}, 16),
        (V2, "0::/job_7/step_0", "/", {".": {}, "job_7": of_2(16), "job_7/step_0": of_2(4)}, 4),
        (V2, "0::/job_7/step_0", "/", {".": of_2(2), "job_7": of_2(16), "job_7/step_0": of_2(4)}, 2),
        (V2, "0::/docker/x", "/docker/x", {".": of_2(3)}, 3),
        (V2, "0::/../other", "/", {".": of_2(3)}, 3),
        (V1_MEMORY, "5:memory:/slurm/job_7", "/", {".": NONE_1, "slurm": NONE_1, "slurm/job_7": of_1(16)}, 16),
        (V1_MEMORY, "5:memory:/slurm/job_7", "/", {".": of_1(5), "slurm": NONE_1, "slurm/job_7": of_1(16)}, 5),
        (V1_MEMORY, "5:memory:/", "/", {".": NONE_1}, 64),
        (V1_CPU, "4:cpu:/\n5:memory:/", "/", {".": of_1(1)}, 64),
        (V2, "0::/", "/", {".": {"memory.max": "nonsense\n"}}, 64),
        ("nonsense", "0::/", "/", {".": of_2(8)}, 64),
        (V2, "nonsense", "/", {".": of_2(8)}, 64),
    ],
)
def test_the_least_of_machine_and_groups_counts(
    tmp_path: Path, mount: str, cgroup: str, root: str, groups: dict[str, dict[str, str]], gib: int
) -> None:
    proc = laid(tmp_path, cgroup, mounted(tmp_path, mount, root, groups))
    assert memory.kib({}, 4, proc) == gib * GIB


def laid(here: Path, cgroup: str = "0::/", mounts: str = "", machine: str = MACHINE) -> Path:
    """Make a /proc."""
    (here / "self").mkdir()
    (here / "self" / "cgroup").write_text(f"{cgroup}\n")
    (here / "self" / "mountinfo").write_text(f"{mounts}\n")
    (here / "meminfo").write_text(machine)
    return here


@pytest.mark.parametrize(
    ("environ", "gib"),
    [
        (JOB | {"SLURM_MEM_PER_NODE": "4096"}, 4),
        (JOB | {"SLURM_MEM_PER_NODE": "0"}, 64),  # --mem=0: all of it
        (JOB | {"SLURM_MEM_PER_CPU": "2048"}, 8),  # of 4 CPUs
        (JOB | {"SLURM_MEM_PER_CPU": "204800"}, 64),
        (JOB | {"SLURM_MEM_PER_NODE": "4G"}, 64),
        (JOB | {"SLURM_MEM_PER_NODE": "-1"}, 64),
        ({"SLURM_MEM_PER_NODE": "4096"}, 64),  # what a job has left in somebody's environment
    ],
)
def test_what_a_job_has_asked_for_counts(tmp_path: Path, environ: dict[str, str], gib: int) -> None:
    assert memory.kib(environ, 4, laid(tmp_path)) == gib * GIB


@pytest.mark.parametrize("machine", ["", "MemTotal: much\n", "MemFree: 3 kB\n"])
def test_where_the_machine_does_not_tell_the_limits_count(tmp_path: Path, machine: str) -> None:
    proc = laid(tmp_path, machine=machine)
    assert memory.kib({}, 4, proc) == 0
    assert memory.kib(JOB | {"SLURM_MEM_PER_NODE": "4096"}, 4, proc) == 4 * GIB


def test_where_there_is_no_proc_nothing_is_known(tmp_path: Path) -> None:
    assert memory.kib({}, 4, tmp_path / "none") == 0


def test_this_machine_has_what_its_kernel_says() -> None:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
    assert 0 < memory.kib({}, 4) <= pages
