"""The CPU time that a container is given: on a host of 64 CPUs it may be that of two (docker --cpus, a pod's limits).

Affinity does not tell of it: all CPUs may be used, and then all processes are stopped together until the next tenth of a
second. The rule: as many tasks at a time as that time keeps busy, rounded up, for less would waste some. Each of our
control groups may have its quota (`cgroups`): version 2 writes quota and period into cpu.max, version 1 into two files.
Slurm gives no quotas, but CPUs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mpifarm.site.cgroups import groups

_PROC = Path("/proc/self")


def cpus(proc: Path = _PROC) -> int:
    """Return how many CPUs are worth the time that the control groups of this process have; 0: there is no limit."""
    shares: list[float] = []
    with suppress(OSError, ValueError, ZeroDivisionError):  # not Linux, or not as it is known
        shares += (share for group in groups(proc, b"cpu") for share in _share(group))
    return math.ceil(min(shares) - 0.01) if shares else 0


def _share(group: Path) -> Iterator[float]:
    with suppress(FileNotFoundError):
        quota, period = (group / "cpu.max").read_text().split()
        if quota != "max":
            yield int(quota) / int(period)
    with suppress(FileNotFoundError):
        microseconds = int((group / "cpu.cfs_quota_us").read_text())
        if microseconds > 0:
            yield microseconds / int((group / "cpu.cfs_period_us").read_text())
