"""What is refused: one line on standard error, exit code 2, and not a byte changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import mpifarm
from mpifarm.ranks.wire import PROTOCOL

from .farms import Ended, Farms, held, is_open_mpi, mpiexec, wait_until

DATA = Path(__file__).parents[1] / "data"


def assert_refused(ended: Ended, *words: str) -> None:
    assert ended.code == 2
    assert ended.out == b""
    assert len(ended.said) == 1, ended.err
    assert "Traceback" not in ended.err
    assert [word for word in words if word not in ended.said[0]] == []


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (["nosuch.txt"], {}, ["nosuch.txt"]),
        (["."], {}, ["directory"]),
        (["/dev/null"], {}, ["regular file"]),
        (["nul.txt"], {}, ["nul.txt:3", "NUL"]),
        ([], {}, ["there is no task list"]),
        (["--threads", "0", "tasks.txt"], {}, ["--threads", "'0'"]),
        (["--timeout", "soon", "tasks.txt"], {}, ["--timeout", "'soon'"]),
        (["--nosuch", "tasks.txt"], {}, ["--nosuch"]),
        (["tasks.txt"], {"THREADS": "abc"}, ["THREADS=abc"]),
        (["--output", "tasks.txt", "tasks.txt"], {}, ["--output"]),
    ],
)
def test_nonsense_is_refused(farms: Farms, arguments: list[str], environ: dict[str, str], words: list[str]) -> None:
    farms.tasks("echo never")
    (farms.directory / "nul.txt").write_bytes(b"echo 1\n# comment\necho \0\n")
    before = farms.snapshot()
    assert_refused(farms.run(2, *arguments, environ=environ), *words)
    assert farms.snapshot() == before


def test_a_refusal_is_heard_although_rank_0_is_late(farms: Farms) -> None:
    """Open MPI's mpiexec ends the other ranks as soon as one has left with an error."""
    late = '[ "$PMI_RANK$OMPI_COMM_WORLD_RANK" != 0 ] || sleep 0.5'
    assert_refused(farms.run(3, "--threads", "0", "tasks.txt", before=late), "--threads")


def test_a_list_that_may_not_be_read_is_refused(farms: Farms) -> None:
    farms.tasks("echo never")
    (farms.directory / "tasks.txt").chmod(0)
    drop = 'exec setpriv --bounding-set=-dac_override,-dac_read_search "$0" "$@"'  # root reads everything otherwise
    ended = farms.run(2, "tasks.txt", before=drop if os.geteuid() == 0 else "")
    assert_refused(ended, "tasks.txt", "Permission denied")
    assert [path.name for path in farms.directory.iterdir()] == ["tasks.txt"]


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="only Linux has a directory where not even root can write")
def test_a_directory_that_cannot_be_written_to_is_refused(farms: Farms) -> None:
    farms.tasks("echo never")
    assert_refused(farms.run(2, str(farms.directory / "tasks.txt"), cwd=Path("/sys")), "/sys")


@pytest.mark.parametrize(
    ("content", "option", "words", "output"),
    [
        ("echo 1 > a\necho 2 > b\nwait\ncat a\n", "--anyway", ["tasks.txt:3: ", "second list"], b"1\n"),
        ("echo one\recho two\r", "--anyway", ["tasks.txt:1: ", "old line ends"], b"one\recho two\n"),
        ("echo 1 #mpifarm cpus=2\n#DISBATCH BARRIER\necho 2\n", "--ignore-directives", ["tasks.txt:1: "], b"1\n2\n"),
        ("#DISBATCH REPEAT 20 start 5 ./a\n", "--ignore-directives", ["tasks.txt:1: ", "disBatch"], b""),
        ("echo $LAUNCHER_JID. {}\n", "--ignore-directives", ["tasks.txt:1: ", "$MPIFARM_SEQ"], b". {}\n"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused_until_that_is_asked_for(
    farms: Farms, content: str, option: str, words: list[str], output: bytes
) -> None:
    (farms.directory / "tasks.txt").write_text(content, newline="")
    before = farms.snapshot()
    assert_refused(farms.run(2, "tasks.txt"), *words, option)
    assert farms.snapshot() == before
    ended = farms.run(2, "--threads", "1", option, "tasks.txt")
    assert (ended.code, ended.out) == (0, output)


def test_an_edited_list_is_refused_until_it_is_restored(farms: Farms) -> None:
    align = farms.directory / "align.sh"
    align.write_text('#!/bin/sh\ncase "$1 $2" in S4*|"S7 ") exit 1 ;; esac\n')
    align.chmod(0o755)
    shutil.copy(DATA / "edited-before.txt", farms.directory / "tasks.txt")
    assert farms.run(0, "--threads", "4", "--retries", "0", "tasks.txt").code == 1
    shutil.copy(DATA / "edited-after.txt", farms.directory / "tasks.txt")
    before = farms.snapshot()
    assert_refused(
        farms.run(2, "tasks.txt"),
        'line 5 was "./align.sh S4 > out.S4", and is a comment now',
        'line 8 was "./align.sh S7 > out.S7", and is "./align.sh S7 --lenient > out.S7" now',
        'task 9 ("./align.sh S9 > out.S9") is gone',
        'line 3 ("./align.sh S13 > out.S13") is new',
        "--edited",
        "--rerun",
    )
    assert farms.snapshot() == before
    shutil.copy(DATA / "edited-before.txt", farms.directory / "tasks.txt")
    assert farms.run(0, "--threads", "4", "--retries", "0", "tasks.txt").code == 1
    assert farms.attempted().count(farms.left()[0]) == 2


@pytest.mark.parametrize("content", ["# max: 2 13\n0\n", "# max: 1 9999\n", "nonsense\n"])
def test_a_fastrecovery_that_does_not_fit_is_refused(farms: Farms, content: str) -> None:
    farms.tasks("echo 1", "echo 2")
    farms.file("fastrecovery").write_text(content)
    before = farms.snapshot()
    assert_refused(farms.run(2, "tasks.txt"), "fastrecovery" if content != "# max: 1 9999\n" else "tasks.txt")
    assert farms.snapshot() == before


@pytest.mark.short
def test_a_second_manager_is_refused_and_the_first_goes_on(farms: Farms) -> None:
    offsets = farms.tasks(held(0))
    first = farms.start(2, "--threads", "1", "tasks.txt")
    wait_until((farms.directory / "held.0").exists, "the task runs")
    before = farms.settled()
    assert_refused(farms.run(2, "tasks.txt"), f"process {first.rank(0)}")
    assert farms.settled() == before
    (farms.directory / "go").touch()
    assert first.wait().code == 0
    assert farms.progress() == offsets


def test_ranks_that_do_not_find_each_other_are_refused(farms: Farms) -> None:
    """As under a launcher that the MPI library does not know: three processes, each of which sees one rank."""
    farms.tasks("echo never")
    before = farms.snapshot()
    foreign = ("PMI_SIZE", "PMI_RANK") if is_open_mpi(mpiexec()[0]) else ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK")
    environs = [dict(zip(foreign, ("3", str(rank)), strict=True)) for rank in range(3)]
    started = [farms.start(0, "tasks.txt", environ=environ) for environ in environs]
    for farm in started:  # with no launcher to end the others, each of them says the same
        assert_refused(farm.wait(), "3", "mpiexec")
    assert farms.snapshot() == before


@pytest.mark.short
def test_two_versions_of_mpifarm_do_not_run_a_list_together(farms: Farms, tmp_path_factory: pytest.TempPathFactory) -> None:
    farms.tasks("echo never")
    other = tmp_path_factory.mktemp("other") / "mpifarm"
    shutil.copytree(Path(mpifarm.__file__).parent, other)
    wire = other / "ranks" / "wire.py"
    text = wire.read_text()
    wire.write_text(text.replace(f"PROTOCOL = {PROTOCOL}\n", "PROTOCOL = 99\n"))
    rank = "${PMI_RANK:-$OMPI_COMM_WORLD_RANK}"
    ended = farms.run(2, "tasks.txt", before=f'if [ {rank} = 1 ]; then export PYTHONPATH="{other.parent}"; fi')
    assert ended.code == 2
    assert ended.out == b""
    assert "protocol 99" in ended.said[-1]
    assert "Traceback" not in ended.err
    assert not farms.file("lock").exists()
