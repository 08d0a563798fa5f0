"""How much memory the tasks of a node may take together: what the node gives us, which may be less than it has.

The rule: the least of all that is known counts, since each of them alone ends tasks:

1. What the machine has: MemTotal of /proc/meminfo (proc(5)), in KiB.
2. The limits of our control groups (`cgroups`), in bytes: memory.max of version 2, "max" where there is none (the kernel's
   Documentation/admin-guide/cgroup-v2.rst), and memory.limit_in_bytes of version 1, next to 2^63 where there is none.
   Slurm puts its limits there where it enforces them (ConstrainRAMSpace in cgroup.conf(5)), those of a step below those of
   its job.
3. What a job has asked for, which Slurm may enforce in other ways, or not at all: see `slurm.memory_mib`.

A limit is not what is free: other jobs may share the machine. Where there is no /proc (macOS) nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from mpifarm.site import slurm
from mpifarm.site.cgroups import groups

_PROC = Path("/proc")
_NO_LIMIT = 2**62  # bytes, and more


def kib(environ: Mapping[str, str], cpus: int, proc: Path = _PROC) -> int:
    """Return how much memory this node gives us, in KiB; 0: nobody tells. *cpus* are those that the job allows us here."""
    known = [*_of_the_machine(proc), *_of_the_groups(proc)]
    asked_mib = slurm.memory_mib(environ, cpus)
    if asked_mib:
        known.append(asked_mib * 1024)
    return min(known, default=0)


def _of_the_machine(proc: Path) -> Iterator[int]:
    with suppress(OSError, ValueError):
        for line in (proc / "meminfo").read_text().splitlines():
            name, _, amount = line.partition(":")
            if name == "MemTotal":
                yield int(amount.removesuffix("kB"))


def _of_the_groups(proc: Path) -> Iterator[int]:
    with suppress(OSError, ValueError):  # not Linux, or not as it is known
        for group in groups(proc / "self", b"memory"):
            for name in ("memory.max", "memory.limit_in_bytes"):
                with suppress(OSError, ValueError):  # "max", or a file that the root of all has not
                    limit = int((group / name).read_text())
                    if 0 < limit < _NO_LIMIT:
                        yield limit // 1024
