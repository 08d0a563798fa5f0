"""What ranks inherit, and what tasks get of it: closed descriptors, files beside the list, Slurm's variables, a shell."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from .farms import Farms, is_open_mpi, meeting, mpiexec

SHADOWS = ("json", "random", "numpy", "socket", "mpi4py")
OTHERS = "/usr/bin/mpiexec"  # of Debian: whichever MPI that is, it need not be ours

SKIP_IF_EXISTS = (
    "A=$1\nif [ -f out/$A.bam ]; then exit 0; fi\nmkdir -p out; ./map.sh -t ${SLURM_CPUS_PER_TASK} $A > out/$A.bam\n"
)
MAP = '#!/bin/sh\ncase $2 in "" | *[!0-9]*) echo "map.sh: -t $2: not a number" >&2; exit 2 ;; esac\necho "$3 by $2"\n'


@pytest.mark.parametrize("ranks", [0, 2])
def test_python_files_beside_the_list_are_not_run(farms: Farms, ranks: int) -> None:
    offsets = farms.tasks("echo hi", "echo ho")
    for name in SHADOWS:
        (farms.directory / f"{name}.py").write_text("raise SystemExit('this was run: ' + __file__)\n")
    ended = farms.run(ranks, "--threads", "1", "--quiet", "tasks.txt")
    assert (ended.code, sorted(ended.out.split()), ended.err) == (0, [b"hi", b"ho"], "")
    assert sorted(farms.progress()) == offsets


@pytest.mark.parametrize(
    ("before", "out"),
    [
        ("exec <&-", [b"hi", b"ho"]),
        ("exec >&-", []),
        ("exec 2>&-", [b"hi", b"ho"]),
        ("exec <&- >&- 2>&-", []),
        ("trap '' CHLD", [b"hi", b"ho"]),
    ],
)
def test_a_farm_runs_whatever_its_ranks_have_inherited(farms: Farms, before: str, out: list[bytes]) -> None:
    offsets = farms.tasks("echo hi", "echo ho")
    ended = farms.run(2, "--threads", "1", "--quiet", "tasks.txt", before=before)
    assert (ended.code, sorted(ended.out.split())) == (0, out), ended.err
    assert sorted(farms.progress()) == offsets
    assert farms.file("done").read_text().splitlines()[0] == "done"


def test_a_line_that_needs_its_cpus_finds_them(farms: Farms) -> None:
    """Without them the first attempt leaves an empty file, and the second is content with it."""
    (farms.directory / "skip-if-exists.sh").write_text(SKIP_IF_EXISTS)
    (farms.directory / "map.sh").write_text(MAP)
    (farms.directory / "map.sh").chmod(0o755)
    farms.tasks(*(f"sh skip-if-exists.sh s{number}" for number in range(20)))
    job = {"SLURM_CPUS_PER_TASK": "8", "SLURM_JOB_ID": "1"}
    ended = farms.run(2, "--threads", "1", "--walltime", "1h", "tasks.txt", environ=job)
    assert ended.code == 0
    usable = len(os.sched_getaffinity(0))
    made = {path.name: path.read_text() for path in (farms.directory / "out").iterdir()}
    assert made == {f"s{number}.bam": f"s{number} by {usable}\n" for number in range(20)}
    assert {row["Attempt"] for row in farms.joblog()} == {"1"}


def test_a_task_of_a_slurm_job_has_no_rank_but_that_of_a_batch_script(farms: Farms) -> None:
    farms.tasks("env")
    rank = {"SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_GTIDS": "1", "SLURM_TASK_PID": "7"}
    environ = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "2", **rank}
    ended = farms.run(2, "--threads", "2", "--walltime", "1h", "tasks.txt", environ=environ)
    seen = dict(line.split("=", 1) for line in ended.out.decode().splitlines() if line.startswith("SLURM_"))
    cpus = max(1, len(os.sched_getaffinity(0)) // 2)
    zeros = dict.fromkeys(("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_GTIDS"), "0")
    assert seen == {
        "SLURM_JOB_ID": "1", "SLURM_NTASKS": "1", "SLURM_NPROCS": "1", "SLURM_CPUS_PER_TASK": str(cpus), **zeros,
    }  # fmt: skip
    kept = farms.run(2, "--rerun", "--keep-mpi-env", "--threads", "2", "--walltime", "1h", "tasks.txt", environ=environ)
    assert b"SLURM_PROCID=1\n" in kept.out
    assert b"SLURM_CPUS_PER_TASK" not in kept.out


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
@pytest.mark.parametrize("ranks", [0, 2])
def test_another_shell_runs_the_lines(farms: Farms, ranks: int) -> None:
    farms.tasks("echo {1..3}", "[[ a == a ]] && echo $'x\\ty'")
    ended = farms.run(ranks, "--shell", shutil.which("bash") or "", "tasks.txt")
    assert (ended.code, sorted(ended.out.splitlines())) == (0, [b"1 2 3", b"x\ty"])


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_exported_functions_reach_the_tasks(farms: Farms) -> None:
    (farms.directory / "tool.sh").write_text(f"#!{shutil.which('bash')}\nmine $1\n")
    (farms.directory / "tool.sh").chmod(0o755)
    farms.tasks("./tool.sh 1", "./tool.sh 2 > out; cat out", "mine 3")
    ended = farms.run(2, "--threads", "1", "tasks.txt", environ={"BASH_FUNC_mine%%": '() {  [[ $1 ]] && echo "mine $1"\n}'})
    assert (ended.code, sorted(ended.out.splitlines())) == (0, [b"mine 1", b"mine 2", b"mine 3"])


CALLED = """exec unshare --uts sh -c 'hostname "$1"; shift; exec "$@"' sh "{}" "$0" "$@\""""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="only root can give a process a host name")
@pytest.mark.parametrize(
    ("host", "nodes"),
    [
        ("10.0.0.$RANK", {"10.0.0.1", "10.0.0.2"}),
        ("node1.$RANK.x", {"node1.1.x", "node1.2.x"}),
        ("node$RANK.rack.x", {"node1", "node2"}),
        ("node.rack.x", {"node"}),
    ],
)
def test_two_hosts_are_two_nodes_whatever_they_are_called(farms: Farms, host: str, nodes: set[str]) -> None:
    share = min(2, len(os.sched_getaffinity(0))) // (3 - len(nodes)) or 1  # of two workers of one node, or of one of each
    farms.tasks(*(f"{one}; echo $MPIFARM_NODE $MPIFARM_THREADS $(hostname)" for one in meeting(2 * share)))
    name = host.replace("$RANK", "${PMI_RANK:-$OMPI_COMM_WORLD_RANK}")
    cpus = {"SLURM_CPUS_ON_NODE": "2"}
    ended = farms.run(3, "tasks.txt", before=CALLED.format(name), environ=cpus)
    assert ended.code == 0, ended.err
    assert any(f"2 workers on {len(nodes)} node" in line for line in ended.said)
    assert {line["Host"] for line in farms.joblog()} == nodes
    ran = [line.split() for line in ended.out.decode().splitlines()]
    assert {node for node, _, _ in ran} == nodes
    assert {threads for _, threads, _ in ran} == {str(share)}
    assert all(place.startswith(node) for node, _, place in ran)


def foreign() -> str:
    """Return the mpiexec of another MPI library than ours."""
    if not Path(OTHERS).exists() or is_open_mpi(OTHERS) == is_open_mpi(mpiexec()[0]):
        pytest.skip("no mpiexec of another MPI here")
    return OTHERS


def test_the_mpiexec_of_another_mpi_is_refused(farms: Farms) -> None:
    """By MPICH under Open MPI: it would abort in MPI_Init. By Open MPI under MPICH: each rank would be alone."""
    farms.tasks("echo never")
    before = farms.snapshot()
    other = foreign()
    oversubscribe = ["--oversubscribe"] if is_open_mpi(other) else []
    farm = farms.start(0, "tasks.txt", by=(other, *oversubscribe, "-n", "2"))
    ended = farm.wait()
    assert (ended.code, ended.out) == (2, b"")
    assert len(ended.said) == 1, ended.err
    assert "Abort(" not in ended.err
    for word in (sys.executable, "mpi4py of", "mpiexec of", mpiexec()[0], "--no-mpi"):
        assert word in ended.said[0]
    assert farms.snapshot() == before


def test_no_mpi_runs_under_any_launcher(farms: Farms) -> None:
    farms.tasks("echo hi")
    other = foreign()
    ended = farms.start(0, "--no-mpi", "--quiet", "tasks.txt", by=(other, "-n", "1")).wait()
    assert (ended.code, ended.out) == (0, b"hi\n"), ended.err


def test_without_numpy_a_farm_is_refused_and_no_helper_is_left(
    farms: Farms, tmp_path_factory: pytest.TempPathFactory
) -> None:
    farms.tasks("echo never")
    place = tmp_path_factory.mktemp("place")
    (place / "numpy.py").write_text("raise ImportError('no such library')\n")
    path = f"{place}:{os.environ.get('PYTHONPATH', '')}"
    ended = farms.run(2, "tasks.txt", environ={"PYTHONPATH": path})  # waits until no process is left
    assert (ended.code, len(ended.said)) == (2, 1), ended.err
    assert f"{sys.executable} -m pip install" in ended.said[0]
    assert os.listdir(farms.directory) == ["tasks.txt"]
