"""A farm on a Python that was built for an old C library, as conda-forge's and uv's are: os.posix_spawn makes no session.

Neither can be had from PyPI, but the wheel of freeze-core has a whole interpreter in it, built for glibc 2.17, which is to
start frozen programs. Beside the standard library of this Python, which is of the same version, it is what they are.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from mpifarm.launcher.spawn import LONGEST_ARGUMENT

from .farms import Farms

# It starts as a frozen program does: without `-m`, PYTHONPATH and Python's signals.
START = """
import os, signal, sys
def run(_):
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path[:0] = os.environ.get("PYTHONPATH", "").split(":")
    sys.path += {more!r}
    sys.prefix = sys.exec_prefix = {prefix!r}  # mpi4py looks for the library there, if site says so
    import runpy, site
    _, dash_m, module, *arguments = sys.argv
    assert dash_m == "-m"
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = importlib.util.find_spec("freeze_core")
    bases = Path(str(found.origin)).parent / "bases" if found else Path("/none")
    programs = list(bases.glob(f"console-{sysconfig.get_config_var('SOABI')}"))
    if not programs:
        missing = "no Python that was built for an old C library: pip install freeze-core"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    directory = tmp_path_factory.mktemp("python")
    python = directory / "python"
    shutil.copy(programs[0], python)
    python.chmod(0o755)
    (directory / "lib").mkdir()
    library = Path(sysconfig.get_path("stdlib"))
    for entry in library.iterdir():
        (directory / "lib" / entry.name).symlink_to(entry)
    more = [str(library / "lib-dynload"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    (directory / "lib" / "__init__python.py").write_text(START.format(more=more, prefix=sys.prefix))
    (directory / "asks.py").write_text("import os\nos.posix_spawn('/bin/true', ['true'], {}, setsid=True)\n")
    asked = subprocess.run(
        [python, "-m", "asks"], env={"PYTHONPATH": str(directory)}, capture_output=True, text=True, check=False
    )
    assert "NotImplementedError: posix_spawn: setsid unavailable" in asked.stderr
    return python


@pytest.mark.parametrize("ranks", [0, 3])
def test_a_farm_runs_on_a_python_whose_posix_spawn_makes_no_sessions(farms: Farms, old_python: Path, ranks: int) -> None:
    lines = ["echo 1", "ls tasks.txt", "kill -9 $$", f": {'x' * LONGEST_ARGUMENT}; echo long", "sleep 600", "exit 3"]
    lines += ["echo $PPID $$ $(cut -d' ' -f6 /proc/$$/stat)", "./no-such"]
    offsets = farms.tasks(*lines)
    options = ("--threads", "1", "--retries", "0", "--timeout", "3", "tasks.txt")
    ended = farms.run(ranks, *options, before=f'exec {old_python} "$@"')
    assert ended.code == 1, ended.err
    assert "Traceback" not in ended.err
    out = ended.out.splitlines()
    assert {b"1", b"tasks.txt", b"long"} < set(out)
    (told,) = [line.split() for line in out if len(line.split()) == 3]
    helper, leader, session = map(int, told)
    assert leader == session != helper
    rows = [line.split("\t") for line in farms.file("joblog").read_text().splitlines()[1:]]  # too long for csv
    ends = {int(row[13]): (row[6], row[7]) for row in rows}
    expected = [("0", "0"), ("0", "0"), ("0", "9"), ("0", "0"), ("0", "15"), ("3", "0"), ("0", "0"), ("127", "0")]
    assert [ends[offset] for offset in offsets] == expected
