"""How many CPUs' time a container is given. The files are handed in; a real group is in tests/mpi/test_scarce.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from cgrouptree import V1_CPU, V1_MEMORY, V2, mounted

from mpifarm.site import quota

NONE_V2, NONE_V1 = {"cpu.max": "max 100000\n"}, {"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}


def of_2(quota: int, period: int = 100_000) -> dict[str, str]:
    return {"cpu.max": f"{quota} {period}\n"}


def of_1(quota: int, period: int = 100_000) -> dict[str, str]:
    return {"cpu.cfs_quota_us": f"{quota}\n", "cpu.cfs_period_us": f"{period}\n"}


@pytest.mark.parametrize(
    ("mount", "cgroup", "root", "groups", "cpus"),
    [
        (V2, "0::/", "/", {".": of_2(100_000)}, 1),
        (V2, "0::/", "/", {".": of_2(250_000)}, 3),
        (V2, "0::/", "/", {".": of_2(10_000)}, 1),
        (V2, "0::/", "/", {".": of_2(20_000, 10_000)}, 2),
        (V2, "0::/", "/", {".": of_2(200_001)}, 2),  # rounded by whoever wrote it
        (V2, "0::/", "/", {".": NONE_V2}, 0),
        (V2, "0::/", "/", {".": {}}, 0),  # the root of all has no such file
        (V2, "0::/a/b", "/", {".": {}, "a": of_2(200_000), "a/b": NONE_V2}, 2),
        (V2, "0::/a/b", "/", {".": {}, "a": of_2(200_000), "a/b": of_2(300_000)}, 2),
        (V2, "0::/a/b", "/", {".": {}, "a": NONE_V2, "a/b": of_2(300_000)}, 3),
        (V2, "0::/docker/x", "/docker/x", {".": of_2(200_000)}, 2),
        (V2, "0::/../other", "/", {".": of_2(200_000)}, 2),
        (V2, "4:cpu:/", "/", {".": of_2(200_000)}, 0),  # no group of that hierarchy
        (V1_CPU, "4:cpu,cpuacct:/a\n5:memory:/", "/", {".": NONE_V1, "a": of_1(100_000)}, 1),
        (V1_CPU, "4:cpuacct,cpu:/docker/x", "/docker/x", {".": of_1(350_000)}, 4),
        (V1_CPU, "4:cpu:/", "/", {".": NONE_V1}, 0),
        (V1_MEMORY, "4:cpu:/", "/", {".": of_1(100_000)}, 0),
        (V2, "0::/", "/", {".": {"cpu.max": "nonsense\n"}}, 0),
        (V2, "0::/", "/", {".": {"cpu.max": "100 0\n"}}, 0),
        ("nonsense", "0::/", "/", {".": of_2(100_000)}, 0),
        (V2, "nonsense", "/", {".": of_2(100_000)}, 0),
    ],
)
def test_the_least_of_the_quotas_counts(
    tmp_path: Path, mount: str, cgroup: str, root: str, groups: dict[str, dict[str, str]], cpus: int
) -> None:
    (tmp_path / "cgroup").write_text(f"{cgroup}\n")
    (tmp_path / "mountinfo").write_text(mounted(tmp_path, mount, root, groups) + "\n")
    assert quota.cpus(tmp_path) == cpus


def test_where_there_is_no_proc_there_is_no_limit(tmp_path: Path) -> None:
    assert quota.cpus(tmp_path / "none") == 0
