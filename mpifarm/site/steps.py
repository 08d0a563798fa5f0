"""Whether a srun in a task would wait for the farm's own step.

Why: since Slurm 20.11 a step has its CPUs alone, and a farm's has all of the job's, unless its srun was given --overlap.
Neither a step's environment nor scontrol tells whether it was, so a step is tried that does not wait.

The rule: only Slurm's plain "busy" counts. That there is no srun, that it cannot start a step for another reason, or that
slurmctld takes long, says nothing about waiting.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

ASK_S = 10.0  # how long a busy slurmctld may take; it answers within a second, otherwise

_TRY = ("srun", "--immediate", "-N1", "-n1", "true")


def wait(environ: Mapping[str, str]) -> bool:
    """Return whether a step that a task of this environment starts now finds no CPU."""
    try:
        tried = subprocess.run(
            _TRY, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
            timeout=ASK_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode != 0 and b"busy" in tried.stderr
