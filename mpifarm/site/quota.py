"""The CPU time that a container is given: on a host of 64 CPUs it may be that of two (docker --cpus, a pod's limits).

Affinity does not tell of it: all CPUs may be used, and then all processes are stopped together until the next tenth of a
second. The rule: as many tasks at a time as that time keeps busy, rounded up, for less would waste some. A control group
has its quota, and so has each above it, as far as this process sees them (cgroups(7)): version 2 writes quota and period
into cpu.max, version 1 into two files. Slurm gives no quotas, but CPUs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mpifarm.site.mounts import entries

_PROC = Path("/proc/self")


def cpus(proc: Path = _PROC) -> int:
    """Return how many CPUs are worth the time that the control groups of this process have; 0: there is no limit."""
    shares: list[float] = []
    with suppress(OSError, ValueError, ZeroDivisionError):  # not Linux, or not as it is known
        shares += (share for group in _groups(proc) for share in _share(group))
    return math.ceil(min(shares) - 0.01) if shares else 0


def _groups(proc: Path) -> Iterator[Path]:
    """Yield the directories of the groups that this process is in, and of those above."""
    ours: dict[bytes, bytes] = {}  # controller, and the path of our group; version 2 is a controller without a name
    for line in (proc / "cgroup").read_bytes().splitlines():
        _, controllers, path = line.split(b":", 2)
        ours.update(dict.fromkeys(controllers.split(b","), path))
    for mount in entries((proc / "mountinfo").read_bytes()):
        controller = {b"cgroup2": b"", b"cgroup": b"cpu"}.get(mount.kind)
        if controller not in ours or (controller and controller not in mount.options.split(b",")):
            continue
        below = os.path.relpath(ours[controller], mount.root)
        top = Path(os.fsdecode(mount.point))
        group = top if below.startswith(b"..") else top / os.fsdecode(below)  # a namespace shows no more than its own
        yield from (directory for directory in (group, *group.parents) if directory.is_relative_to(top))


def _share(group: Path) -> Iterator[float]:
    with suppress(FileNotFoundError):
        quota, period = (group / "cpu.max").read_text().split()
        if quota != "max":
            yield int(quota) / int(period)
    with suppress(FileNotFoundError):
        microseconds = int((group / "cpu.cfs_quota_us").read_text())
        if microseconds > 0:
            yield microseconds / int((group / "cpu.cfs_period_us").read_text())
