"""CPU numbers need be neither dense nor below os.cpu_count()."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpifarm.site import affinity

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")


class Kernel:
    """A kernel's side of affinity: a mask is cut to the cpuset, and refused if nothing is left."""

    def __init__(self, cpuset: set[int], bound: set[int]) -> None:
        self.cpuset, self.bound = cpuset, bound

    def get(self, _pid: int) -> set[int]:
        return set(self.bound)

    def set(self, _pid: int, mask: Iterator[int]) -> None:
        left = set(mask) & self.cpuset
        if not left:
            raise OSError(22, "Invalid argument")
        self.bound = left


@pytest.mark.parametrize(
    ("cpuset", "bound", "count", "possible", "found"),
    [
        ({0, 1, 2, 3}, {0, 1}, 4, "0-3\n", (2, 4)),
        ({1}, {1}, 1, "0-1\n", (1, 1)),  # the number is not below the count
        ({8, 16, 24}, {8}, 4, "0-63\n", (1, 3)),  # SMT off
        ({0, 8, 9}, {8}, 2, "0-3,8-11\n", (1, 3)),
        ({0, 5}, {5}, 1, None, (1, 2)),  # no /sys
        ({0, 5}, {5}, 1, "nonsense", (1, 2)),
        ({200, 201}, {200}, 2, "0-3\n", (1, 1)),  # /sys tells less than there is: no more than now
    ],
)
def test_what_a_process_may_use_is_found_whatever_the_numbers(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cpuset: set[int],
    bound: set[int],
    count: int,
    possible: str | None,
    found: tuple[int, int],
) -> None:
    kernel = Kernel(cpuset, bound)
    monkeypatch.setattr(os, "sched_getaffinity", kernel.get)
    monkeypatch.setattr(os, "sched_setaffinity", kernel.set)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    if possible is not None:
        (tmp_path / "possible").write_text(possible)
    monkeypatch.setattr(affinity, "_POSSIBLE", tmp_path / "possible")
    assert affinity.counted() == found
    assert kernel.bound == bound, "it was left as it was"
    affinity.widen()
    assert len(kernel.bound) == found[1]


def test_a_kernel_that_refuses_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _mask: Iterator[int]) -> None:
        raise OSError(22, "Invalid argument")

    before = os.sched_getaffinity(0)
    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    affinity.widen()
    assert os.sched_getaffinity(0) == before
    assert affinity.counted() == (len(before), len(before))
