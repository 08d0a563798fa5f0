"""The programs that mpifarm is measured beside, and mpifarm: how they are found, installed and started.

xargs -P           what everybody has. It remembers nothing and keeps no output: the rate to reach
GNU Parallel       what people use who want a joblog and output in whole blocks; here without --joblog, which is faster
HyperQueue         the nearest relative: a task farm for HPC, in Rust; the package on PyPI holds server and worker
mpi4py.futures     what one would write oneself in Python with MPI: a pool of ranks that call `subprocess`
a loop in C        posix_spawn and wait, and nothing else: what the kernel can do
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import mpifarm

HERE = Path(__file__).parent

XARGS, PARALLEL, HYPERQUEUE, FUTURES, LOOP = "xargs -P, sh", "GNU Parallel", "HyperQueue", "mpi4py.futures", "C loop"

_OUTER = ("THREADS", "SLURM_", "PMI", "OMPI_COMM_", "MPIFARM_", "HYDI_")  # of a job that this may run in
_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"  # numpy, and an installed mpifarm, have theirs
_AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
_INSTALL = {XARGS: "findutils", PARALLEL: "parallel", LOOP: "gcc libc6-dev", HYPERQUEUE: "hyperqueue"}


class Peers:
    """All of them, with the environment that they get."""

    def __init__(self, directory: Path) -> None:
        """*directory* is for a compiled program, and for what GNU Parallel writes. Raises FarmError without mpiexec."""
        home = {"PARALLEL_HOME": str(directory), "PYTHONPATH": str(Path(mpifarm.__file__).parents[1])}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith((*_OUTER, _NO_BYTECODE))}
        self.environ = {**inherited, **_AS_ROOT, **home}
        self._loop = directory / "loop"
        self._mpiexec = self._find_mpiexec()
        found = {
            XARGS: shutil.which("xargs"),
            PARALLEL: shutil.which("parallel"),
            HYPERQUEUE: importlib.util.find_spec("hyperqueue"),
            FUTURES: importlib.util.find_spec("mpi4py"),
            LOOP: self._compile(),
        }
        self.present = {name for name, what in found.items() if what}

    def farm(self, ranks: int, threads: int, tasklist: Path, *options: str) -> list[str]:
        """Return the command of a farm."""
        told = ["--quiet", "--threads", str(threads), *options, str(tasklist)]
        return self.python(ranks, "-m", "mpifarm", *told)

    def python(self, ranks: int, *arguments: str) -> list[str]:
        """Return the command of an MPI program in Python."""
        return [*self._mpiexec, "-n", str(ranks), sys.executable, *arguments]

    def xargs(self, slots: int) -> list[str]:
        """Return a command that runs the lines of its standard input."""
        return ["xargs", f"-P{slots}", "-d", "\\n", "-n1", "/bin/sh", "-c"]

    def parallel(self, slots: int) -> list[str]:
        """Return a command that runs the lines of its standard input."""
        return ["parallel", "--will-cite", f"-j{slots}"]

    def hyperqueue(self, slots: int, tasklist: Path) -> list[str]:
        """Return a command that runs a list."""
        return [sys.executable, str(HERE / "hyperqueue_run.py"), str(tasklist), str(slots)]

    def pool(self, ranks: int, *arguments: str) -> list[str]:
        """Return a command that gives pool.py *arguments*; one of the *ranks* deals."""
        return self.python(ranks, "-m", "mpi4py.futures", str(HERE / "pool.py"), *arguments)

    def loop(self, count: int, slots: int, *program: str) -> list[str]:
        """Return a command that starts *program* *count* times."""
        return [str(self._loop), str(count), str(slots), *program]

    def machine(self) -> list[str]:
        """Return what is to be known about the figures: the machine, and the versions."""
        cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")), "?")
        version = subprocess.run([*self._mpiexec, "--version"], env=self.environ, capture_output=True, check=True).stdout
        number = re.search(rb"\d+\.\d+[.\w]*", version)
        mpi = f"{'Open MPI' if b'Open MPI' in version else 'MPICH'} {number[0].decode() if number else '?'}"
        return [
            f"{os.cpu_count()} cores ({len(os.sched_getaffinity(0))} usable), {model}, {platform.machine()}",
            f"Linux {platform.release()}, Python {platform.python_version()}, mpi4py {metadata.version('mpi4py')}, {mpi}",
            f"mpifarm {mpifarm.__version__} in {Path(mpifarm.__file__).parent}{_commit()}",
            f"missing: {', '.join(self.missing()) or 'nothing'}; load average {os.getloadavg()[0]:.1f}",
        ]

    def missing(self) -> list[str]:
        """Return what is not here."""
        return [name for name in (*_INSTALL, FUTURES) if name not in self.present]

    def install(self) -> None:
        """Install what is missing, as far as that can be done: from PyPI for this Python, with apt-get as root."""
        for name in self.missing():
            packages = _INSTALL[name].split()
            if name == HYPERQUEUE:
                command = [sys.executable, "-m", "pip", "install", "--quiet", *packages]
            else:
                command = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *packages]
            print(f"installing {name}: {' '.join(command)}", file=sys.stderr)
            try:
                failed = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
            except OSError:
                failed = 1
            if failed:
                print(f"could not install {name}: install {_INSTALL[name]} by hand", file=sys.stderr)

    def _find_mpiexec(self) -> list[str]:
        beside = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
        path = beside or shutil.which("mpiexec")
        if path is None:
            raise mpifarm.FarmError(f"no mpiexec beside {sys.executable}: pip install '.[mpich]'")
        version = subprocess.run([path, "--version"], env=self.environ, capture_output=True, check=True).stdout
        return [path, "--oversubscribe", "--bind-to", "none"] if b"Open MPI" in version else [path]

    def _compile(self) -> bool:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            return False
        command = [compiler, "-O2", "-o", str(self._loop), str(HERE / "loop.c")]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _commit() -> str:
    git = ["git", "-C", str(Path(mpifarm.__file__).parent), "describe", "--always", "--dirty"]
    try:
        said = subprocess.run(git, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f", commit {said}"
