"""The control groups of this process: those that it is in, and those above, as far as it sees them (cgroups(7)).

The rule: a group has its limits, and so has each above it, so whoever asks for one looks at all of them, and takes the
least. Version 2 has one hierarchy for everything, version 1 one for each controller.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mpifarm.site.mounts import entries


def groups(proc: Path, controller: bytes) -> Iterator[Path]:
    """Yield the directories of the groups that the process *proc* (/proc/self) is in, and of those above.

    *controller* is that of version 1. Raises OSError and ValueError where this is not Linux, or not as it is known.
    """
    ours: dict[bytes, bytes] = {}  # controller, and the path of our group; version 2 is a controller without a name
    for line in (proc / "cgroup").read_bytes().splitlines():
        _, controllers, path = line.split(b":", 2)
        ours.update(dict.fromkeys(controllers.split(b","), path))
    for mount in entries((proc / "mountinfo").read_bytes()):
        wanted = {b"cgroup2": b"", b"cgroup": controller}.get(mount.kind)
        if wanted not in ours or (wanted and wanted not in mount.options.split(b",")):
            continue
        below = os.path.relpath(ours[wanted], mount.root)
        top = Path(os.fsdecode(mount.point))
        group = top if below.startswith(b"..") else top / os.fsdecode(below)  # a namespace shows no more than its own
        yield from (directory for directory in (group, *group.parents) if directory.is_relative_to(top))
