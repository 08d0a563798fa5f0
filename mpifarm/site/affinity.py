"""How many CPUs a process could use: the kernel lets it widen its affinity up to its cpuset, so that is found by trying.

The numbers of CPUs need not be dense, and os.cpu_count() is not the highest: with SMT off, CPUs offline, in containers,
with PYTHON_CPU_COUNT. A mask that ends too early narrows, or is refused if it holds no CPU of ours.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

_POSSIBLE = Path("/sys/devices/system/cpu/possible")  # 0-127, or 0-3,8-11


def widen() -> None:
    """Let this process, and what it starts, use all CPUs of its cpuset. Linux alone has affinity."""
    if not hasattr(os, "sched_setaffinity"):
        return
    highest = max(os.sched_getaffinity(0))
    with suppress(OSError):
        highest = max([highest, *map(int, re.findall(r"\d+", _POSSIBLE.read_text()))])
    with suppress(OSError):  # no more than now, then
        os.sched_setaffinity(0, range(max(highest + 1, os.cpu_count() or 1)))


def counted() -> tuple[int, int]:
    """Return how many CPUs this process is bound to, and how many its cpuset has."""
    if not hasattr(os, "sched_setaffinity"):
        return os.cpu_count() or 1, os.cpu_count() or 1
    bound = os.sched_getaffinity(0)
    widen()
    usable = len(os.sched_getaffinity(0))
    with suppress(OSError):
        os.sched_setaffinity(0, bound)
    return len(bound), usable
