"""mpi4py.futures as a task farm: what a user of Python and MPI would write in ten lines.

pool.py LIST           run the lines of LIST by sh -c
pool.py N CHUNK FILE   deal N calls of a function that does nothing, CHUNK a message; write the seconds that took to FILE
Run by `mpiexec -n RANKS python -m mpi4py.futures pool.py ...`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from mpi4py.futures import MPIPoolExecutor


def shell(line: str) -> int:
    """Run one task."""
    return subprocess.run(["/bin/sh", "-c", line], check=True).returncode


def nothing(number: int) -> int:
    """Be a task."""
    return number


def main() -> None:
    """Do what the arguments say."""
    with MPIPoolExecutor() as pool:
        if len(sys.argv) == 2:
            lines = Path(sys.argv[1]).read_text().splitlines()
            assert sum(pool.map(shell, lines)) == 0
            return
        count, chunk = int(sys.argv[1]), int(sys.argv[2])
        pool.bootup()
        began = time.perf_counter()
        assert sum(1 for _ in pool.map(nothing, range(count), chunksize=chunk)) == count
        Path(sys.argv[3]).write_text(str(time.perf_counter() - began))


if __name__ == "__main__":
    main()
