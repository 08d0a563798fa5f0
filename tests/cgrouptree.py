"""Control groups of a test's own: a tree of files, and the line of mountinfo that leads to it (proc(5), cgroups(7))."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

V1_CPU = "32 31 0:29 {root} {top} rw - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY = "33 31 0:30 {root} {top} rw - cgroup cgroup rw,memory"
V2 = "41 31 0:38 {root} {top} rw - cgroup2 cgroup2 rw"


def mounted(here: Path, mount: str, root: str, groups: Mapping[str, Mapping[str, str]]) -> str:
    """Lay the files of *groups* in *here*; return the line *mount*, by which *root* is mounted there."""
    top = here / "cgroup fs"
    for group, files in groups.items():
        (top / group).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (top / group / name).write_text(text)
    return mount.format(root=root, top=str(top).replace(" ", "\\040"))
