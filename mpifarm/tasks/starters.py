"""Commands of a list that start a step of their own in a Slurm job: srun, and an mpiexec, which calls it there.

Why: beside a farm whose step has all CPUs of the job they wait, without a word, until the farm ends.

The rule: this looks at words alone. `mentioned` sees them before there is MPI, wherever they stand, so that only then Slurm
is asked (`site.steps`); `advice` is about one simple command. What a script calls that a line starts, nobody sees.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

_LOOK_BYTES = 512 * 1024  # at each end of a list

STARTER = re.compile(rb"(?<![\w.-])(srun|mpiexec|mpirun)(?![\w.=-])")
# What keeps it from waiting: the user's own --overlap, a launcher of Hydra's or of Open MPI's (plm) other than srun.
_CARED_FOR = re.compile(rb"--overlap\b|\bSLURM_OVERLAP=|-launcher\b|\bplm\b")

_ADVICE = "waits for the farm's own step, which has all CPUs of the job: start the farm with srun --overlap"


def mentioned(path: str) -> bool:
    """Return whether either end of a list has one of these words. A list that cannot be read is another's to report."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with Path(path).open("rb") as source:
            if STARTER.search(source.read(_LOOK_BYTES)):
                return True
            source.seek(max(0, os.fstat(source.fileno()).st_size - _LOOK_BYTES))
            return bool(STARTER.search(source.read(_LOOK_BYTES)))
    except (OSError, ValueError):  # a name with a zero in it
        return False


def advice(command: bytes) -> str | None:
    """Return what is to say of a simple command if it would wait beside a step that has all CPUs."""
    found = STARTER.search(command)
    if not found or _CARED_FOR.search(command):
        return None
    name = found[1].decode()
    return f"srun in a task {_ADVICE}" if name == "srun" else f"{name} in a task calls srun, which {_ADVICE}"
