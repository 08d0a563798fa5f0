"""What a farm inherits: one start for each oddity, and each of them runs the list."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import mpifarm

SAFE = sys.version_info >= (3, 11)
SHADOWS = (
    "json",
    "random",
    "numpy",
    "socket",
    "select",
    "zlib",
    "signal",
    "struct",
    "argparse",
    "mpi4py",
    "mpifarm_",
    "site",
)
SHADOW = "raise SystemExit('this was run: ' + __file__)\n"
DEADLINE_S = 60

BLOCKED = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals()); "
PASS_ON = "os.execv(sys.argv[1], sys.argv[1:])"


def through_sh(before: str) -> list[str]:
    return ["sh", "-c", f'{before}; exec "$0" "$@"']


def through_python(before: str) -> list[str]:
    return [sys.executable, "-c", before + PASS_ON]


def start(here: Path, *arguments: str, prefix: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "PMI", "OMPI_", "THREADS"))}
    return subprocess.run(
        [*prefix, sys.executable, *arguments],
        cwd=here,
        env={**ours, "PYTHONPATH": str(Path(mpifarm.__file__).parent.parent), **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Return a directory with a task list."""
    (tmp_path / "tasks.txt").write_text("echo hi | tee out.1\nsleep 0.1; kill -0 $$ && cat && exit 0\n")
    return tmp_path


ODDITIES: dict[str, tuple[list[str], dict[str, str], str, bool]] = {
    # what: command before it, environment, what arrives on standard output, whether its notices do
    "nothing": ([], {}, "hi\n", True),
    "no standard input": (through_sh("exec <&-"), {}, "hi\n", True),
    "no standard output": (through_sh("exec >&-"), {}, "", True),
    "no standard error": (through_sh("exec 2>&-"), {}, "hi\n", False),
    "neither input nor output": (through_sh("exec <&- >&-"), {}, "", True),
    "nothing open": (through_sh("exec <&- >&- 2>&-"), {}, "", False),
    "SIGCHLD ignored": (["sh", "-c", 'trap \'\' CHLD; exec "$0" "$@"'], {}, "hi\n", True),
    "all signals blocked": (through_python(BLOCKED), {}, "hi\n", True),
    "a rank of a farm around this one": (
        [],
        {"PMI_RANK": "2", "PMIX_RANK": "1", "OMPI_COMM_WORLD_RANK": "3"},
        "hi\n",
        True,
    ),
    "a rank of a step around this one": ([], {"SLURM_PROCID": "3", "SLURM_NTASKS": "8"}, "hi\n", True),
    "a name that no program can be given": (["env", "=C:=x"], {}, "hi\n", True),
    "fewer CPUs than there are": ([], {"PYTHON_CPU_COUNT": "1"}, "hi\n", True),
    "no PATH": (["env", "-u", "PATH"], {}, "hi\n", True),
}


@pytest.mark.long
@pytest.mark.parametrize("mpi", [["--no-mpi"], []], ids=["--no-mpi", "mpi"])
@pytest.mark.parametrize("oddity", ODDITIES)
def test_a_farm_runs_whatever_it_has_inherited(here: Path, oddity: str, mpi: list[str]) -> None:
    prefix, environ, out, notices = ODDITIES[oddity]
    if not mpi and "rank" in oddity:
        pytest.skip("with MPI that is refused, or a launcher's business")
    ended = start(here, "-m", "mpifarm", "--threads", "1", *mpi, "tasks.txt", prefix=prefix, environ=environ)
    assert (ended.returncode, ended.stdout) == (0, out), ended.stderr
    told = ended.stderr.splitlines()
    assert [line for line in told if not re.match(r"mpifarm(:| [0-9:]{8} [a-z]+) ", line)] == []
    assert [line.split(",")[0].split("  ")[-1].strip() for line in told[-1:]] == (
        ["all 2 tasks are done"] if notices else []
    )
    assert (here / "done.tasks.txt.tfin").read_text().splitlines()[0] == "done"
    assert (here / "out.1").read_text() == "hi\n"


@pytest.mark.parametrize(
    "descriptor", [pytest.param("<&-", marks=pytest.mark.long), ">&-", pytest.param("2>&-", marks=pytest.mark.long)]
)
def test_a_task_writes_into_nobodys_socket_and_a_failure_is_logged(here: Path, descriptor: str) -> None:
    (here / "tasks.txt").write_text("ls -l /proc/self/fd/ > fds; echo out; echo err >&2; exit 3\n")
    ended = start(
        here,
        "-m",
        "mpifarm",
        "--no-mpi",
        "--retries",
        "0",
        "tasks.txt",
        prefix=through_sh(f"exec {descriptor}"),
        environ={},
    )
    assert ended.returncode == 1
    log = (here / "log.tasks.txt.tfin").read_text()
    assert "\n    stderr:\n        err\n    stdout:\n        out\n" in log


def test_a_refusal_with_nothing_open_ends_and_is_exit_2(here: Path) -> None:
    ended = start(here, "-m", "mpifarm", "--threads", "0", "tasks.txt", prefix=through_sh("exec <&- >&- 2>&-"), environ={})
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", "")
    ended = start(here, "-m", "mpifarm", "--help", prefix=through_sh("exec >&-"), environ={})
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_blocked_term_stops_a_farm_all_the_same(here: Path) -> None:
    (here / "tasks.txt").write_text("touch begun; exec sleep 600\n")
    command = [*through_python(BLOCKED), sys.executable, "-m", "mpifarm", "--no-mpi", "tasks.txt"]
    farm = subprocess.Popen(command, cwd=here, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + DEADLINE_S
        while not (here / "begun").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        farm.send_signal(signal.SIGTERM)
        assert farm.wait(DEADLINE_S) == 3
    finally:
        farm.kill()
        farm.wait()


# The working directory


@pytest.mark.parametrize("mpi", [pytest.param(["--no-mpi"], marks=pytest.mark.long), []], ids=["--no-mpi", "mpi"])
def test_python_files_beside_the_list_are_not_run(here: Path, mpi: list[str]) -> None:
    for name in SHADOWS:
        (here / f"{name}.py").write_text(SHADOW)
    ended = start(here, "-m", "mpifarm", *mpi, "--quiet", "tasks.txt", prefix=[], environ={})
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "hi\n", "")


@pytest.mark.long
@pytest.mark.parametrize("name", SHADOWS)
def test_a_python_file_beside_the_list_is_not_run(here: Path, name: str) -> None:
    (here / f"{name}.py").write_text(SHADOW)
    ended = start(here, "-m", "mpifarm", "--no-mpi", "--quiet", "tasks.txt", prefix=[], environ={})
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "hi\n", "")


def test_mpifarm_may_lie_in_the_working_directory_itself(here: Path) -> None:
    (here / "mpifarm").symlink_to(Path(mpifarm.__file__).parent)
    (here / "random.py").write_text(SHADOW)
    ended = start(here, "-m", "mpifarm", "--quiet", "tasks.txt", prefix=["env", "-u", "PYTHONPATH"], environ={})
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "hi\n", "")


@pytest.mark.parametrize("option", ["-P", "-I"])
def test_where_python_was_told_to_leave_it_out_nothing_else_goes(here: Path, option: str) -> None:
    if option == "-P" and not SAFE:
        pytest.skip("-P came with Python 3.11")
    package = Path(mpifarm.__file__).parent.parent
    (here / "json.py").write_text(SHADOW)
    show = f"import sys; sys.path.insert(0, {str(package)!r}); sys.argv[0] = '-m'; import mpifarm; print(sys.path[0])"
    ended = start(package, option, "-c", show, prefix=[], environ={})
    assert (ended.returncode, ended.stdout) == (0, f"{package}\n"), ended.stderr


def test_an_import_from_elsewhere_changes_nothing(here: Path) -> None:
    show = "import sys; before = list(sys.path); import mpifarm, mpifarm.cli; print(sys.path == before)"
    ended = start(here, "-c", show, prefix=[], environ={})
    assert ended.stdout == "True\n"


def test_a_deleted_working_directory_takes_nothing_else_off_the_path(here: Path) -> None:
    gone = here / "gone"
    gone.mkdir()
    before = through_sh(f"cd {shlex.quote(str(gone))} && rmdir {shlex.quote(str(gone))}")
    ended = start(here, "-m", "mpifarm", "--version", prefix=before, environ={})
    assert (ended.returncode, ended.stdout) == (0, f"mpifarm {mpifarm.__version__}\n"), ended.stderr


def test_what_python_itself_has_run_from_there_is_refused(here: Path) -> None:
    """runpy comes before us: nothing of ours keeps such a file from being run, but it stops no farm in silence."""
    real = Path(os.__file__).with_name("reprlib.py").read_text()
    (here / "reprlib.py").write_text(real)
    ended = start(here, "-m", "mpifarm", "--no-mpi", "tasks.txt", prefix=[], environ={})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"mpifarm: {here}/reprlib.py was run as Python's module reprlib: ")
    assert ended.stderr.count("\n") == 1
    assert sorted(os.listdir(here)) in (["reprlib.py", "tasks.txt"], ["__pycache__", "reprlib.py", "tasks.txt"])
    if SAFE:
        ended = start(here, "-P", "-m", "mpifarm", "--no-mpi", "--quiet", "tasks.txt", prefix=[], environ={})
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "hi\n", "")


# What is missing


@pytest.mark.parametrize("package", ["numpy", "mpi4py"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["there is no {}", "-m pip install {}"]),
        (
            "raise ImportError('\\nIMPORTANT: PLEASE READ THIS\\n\\nlibx.so: cannot open')",
            ["IMPORTANT", "-m pip install --force"],
        ),
        pytest.param(
            "raise RuntimeError('built with baseline optimizations')",
            ["baseline", "-m pip install --force"],
            marks=pytest.mark.long,
        ),
        pytest.param("raise OSError", ["OSError", "-m pip install --force"], marks=pytest.mark.long),
    ],
    ids=["missing", "ImportError", "RuntimeError", "OSError"],
)
def test_a_package_that_is_missing_or_broken_is_one_line(
    here: Path,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
    package: str,
    content: str | None,
    words: list[str],
) -> None:
    place = tmp_path_factory.mktemp("place")
    if content is None:
        hide = f"import sys; sys.modules.pop({package!r}, None)\nclass Hide:\n    def find_spec(self, name, *_):\n"
        hide += f"        if name == {package!r}: raise ModuleNotFoundError('No module named ' + name, name=name)\n"
        (place / "sitecustomize.py").write_text(hide + "sys.meta_path.insert(0, Hide())\n")
    else:
        (place / f"{package}.py").write_text(content + "\n")
    path = f"{place}:{Path(mpifarm.__file__).parent.parent}"
    several = {"PMI_RANK": "0", "PMI_SIZE": "2"}  # alone, a farm needs no MPI
    ended = start(here, "-m", "mpifarm", "tasks.txt", prefix=[], environ={"PYTHONPATH": path, **several})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.startswith("mpifarm: ")
    assert [word for word in words if word.format(package) not in ended.stderr] == []
    assert sys.executable in ended.stderr
    assert os.listdir(here) == ["tasks.txt"]
    if package == "mpi4py" and (content is None or pytestconfig.getoption("--all")):
        alone = start(here, "-m", "mpifarm", "--quiet", "tasks.txt", prefix=[], environ={"PYTHONPATH": path})
        assert (alone.returncode, alone.stdout, alone.stderr) == (0, "hi\n", "")
