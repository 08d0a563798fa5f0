"""The command line: help without MPI, one line for every error, and nothing touched by it.

What is refused before anything is started is refused in this process, but for some of it; the rest is run as one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mpifarm import __version__, cli, options

OPTIONS = """-j --threads --each --colsep --header
    --retries --timeout --kill-after --walltime --margin --time-request --max-fails --manager-works
    --rerun --edited --again --lost-after --output --shell
    --status --watch --json --check --dry-run --nodes --task-time --report --failed --show --joblog
    --bar --no-bar --report-every --on-end
    --keep-mpi-env --ignore-directives --anyway --no-mpi --quiet --version --help"""
FIRST_SCREEN = """
    TASKLIST --each --threads --retries --timeout --max-fails --output --status --check --failed --show --report
    --rerun --edited"""
LAUNCHERS = [
    ("PMI_RANK", "PMI_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
]  # fmt: skip

WITHOUT_PACKAGES = """if True:
    import sys
    sys.modules["mpi4py"] = sys.modules["numpy"] = None
    from mpifarm.cli import main
    sys.exit(main())"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with a task list, and no launcher around it."""
    for name in list(os.environ):
        if name.startswith(("SLURM", "PMI", "OMPI_COMM", "THREADS")):
            monkeypatch.delenv(name)
    (tmp_path / "tasks.txt").write_text("echo hi\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


MODULE = ("-m", "mpifarm")
NONE: Mapping[str, str] = {}


def mpifarm(
    *arguments: str, program: tuple[str, ...] = MODULE, more: Mapping[str, str] = NONE, **environ: str
) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, *program, *arguments],
        env={**os.environ, **more, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return what calls mpifarm in this process, and gives its line of standard error; it must not get to a start."""

    def start(*_: object) -> None:
        raise AssertionError("this is refused before anything is started")

    def call(*arguments: str, more: Mapping[str, str] = NONE) -> str:
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        assert cli.main(arguments) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert complains(err), err
        return err

    monkeypatch.setattr("mpifarm.launcher.launcher.fork_helpers", start)
    return call


def last_line(stderr: str) -> str:
    """Return ours; mpi4py, too, may warn of a launcher that is not its own."""
    return stderr.splitlines(keepends=True)[-1]


def complains(stderr: str) -> bool:
    return stderr.startswith("mpifarm: ") and stderr.count("\n") == 1 and stderr.endswith("\n")


def test_help_needs_neither_mpi_nor_numpy_and_shows_every_option(here: Path) -> None:
    code, out, err = mpifarm("--help", program=("-c", WITHOUT_PACKAGES))
    assert (code, err) == (0, "")
    assert [option for option in OPTIONS.split() if option not in out] == []


@pytest.mark.parametrize("columns", [80, 100])
def test_the_usual_options_are_on_the_first_screen(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = options.parser().format_help().splitlines()[:24]
    assert [line for line in screen if len(line) > columns] == []
    assert [
        option for option in FIRST_SCREEN.split() if not re.search(rf"^  (-. N, )?{option}\b", "\n".join(screen), re.M)
    ] == []


def test_the_version_is_the_packages(here: Path) -> None:
    assert mpifarm("--version", program=("-c", WITHOUT_PACKAGES)) == (0, f"mpifarm {__version__}\n", "")


BAD = [
    [],
    ["tasks.txt", "more.txt"],
    ["--nonsense", "tasks.txt"],
    ["--joblog", "x.log", "tasks.txt"],
    ["--resume", "--bar", "-k", "tasks.txt"],
    ["./prog", "{}", ":::", "1", "2"],
    *(["--threads", n, "tasks.txt"] for n in ("0", "-1", "x", "", "1.5", "4097", "+1", "50%")),
    *(["-j", n, "tasks.txt"] for n in ("0", "-1", "50%", "+1")),
    ["-j50%", "tasks.txt"],
    *(["--kill-after", time, "tasks.txt"] for time in ("0", "-1", "soon")),
    *(["--retries", n, "tasks.txt"] for n in ("-1", "x")),
    *(["--max-fails", n, "tasks.txt"] for n in ("-1", "x", "", "1.5", "%", "101%", "100.1%", "1e1%", "5 %")),
    *(["--timeout", time, "tasks.txt"] for time in ("0", "x", "-3", "1e9", "9" * 400 + ":00:00")),
    ["--lost-after", "0", "tasks.txt"],
    ["--timeout"],
    ["--quiet=yes", "tasks.txt"],
    *([*look, "tasks.txt"] for look in (["--watch"], ["--json"], ["--json", "--failed"], ["--status", "--failed"])),
    *([*short, "tasks.txt"] for short in (["--thread", "2"], ["--time", "9"], ["--re"], ["--no"], ["--q"])),
]


@pytest.mark.parametrize("arguments", BAD, ids=lambda arguments: " ".join(arguments)[:30])
def test_a_bad_option_is_one_line_and_nothing_is_touched(
    here: Path, arguments: list[str], refused: Callable[..., str]
) -> None:
    refused(*arguments)
    assert os.listdir(here) == ["tasks.txt"]


@pytest.mark.parametrize("arguments", [BAD[0], ["--threads", "0", "tasks.txt"]], ids=["no list", "--threads 0"])
def test_a_process_with_a_bad_option_says_one_line_and_ends_with_2(here: Path, arguments: list[str]) -> None:
    code, out, err = mpifarm(*arguments)
    assert (code, out) == (2, "")
    assert complains(err), err
    assert os.listdir(here) == ["tasks.txt"]


@pytest.mark.usefixtures("here")
def test_an_option_of_another_program_is_what_is_blamed() -> None:
    code, _, err = mpifarm("--joblog", "x.log", "tasks.txt", program=("-c", WITHOUT_PACKAGES))
    assert code == 2
    assert err.startswith("mpifarm: --joblog takes no file")
    assert "joblog.tasks.txt.tfin" in err


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("given", [["-j", "3"], ["-j3"], ["--threads=3"]])
def test_the_forms_of_j_are_one_option(given: list[str]) -> None:
    assert options.parser().parse_args([*given, "tasks.txt"]).threads == 3


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("given", [["-j3"]])
def test_j_is_short_for_threads(given: list[str]) -> None:
    Path("tasks.txt").write_text("echo $MPIFARM_THREADS\n")
    assert mpifarm("--no-mpi", "--quiet", *given, "tasks.txt") == (0, "3\n", "")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("share", ["50%", "+1", "0"])
def test_a_share_of_the_cpus_is_refused_with_what_to_do(share: str, refused: Callable[..., str]) -> None:
    err = refused("-j", share, "tasks.txt")
    assert f"-j/--threads: '{share}' is not a number from 1 to" in err
    assert "left out, it is as many as CPUs" in err


def test_a_name_with_a_newline_makes_no_second_line(here: Path) -> None:
    code, out, err = mpifarm("--no-mpi", "a\nb\r.txt")
    assert (code, out) == (2, "")
    assert complains(err), err
    assert "a\\nb\\r.txt" in err


def test_a_bad_threads_is_one_line_and_nothing_is_touched(here: Path, refused: Callable[..., str]) -> None:
    assert "THREADS=many" in refused("tasks.txt", more={"THREADS": "many"})
    assert os.listdir(here) == ["tasks.txt"]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["nosuch.txt"], marks=pytest.mark.long),
        pytest.param(["."], marks=pytest.mark.long),
        ["nul.txt"],
        pytest.param(["--output", "nosuch/all.out", "tasks.txt"], marks=pytest.mark.long),
        ["--output", "tasks.txt", "tasks.txt"],
    ],
    ids=" ".join,
)
def test_a_bad_list_or_output_is_one_line_and_nothing_is_touched(here: Path, arguments: list[str]) -> None:
    (here / "nul.txt").write_bytes(b"echo a\necho \0\n")
    code, out, err = mpifarm("--no-mpi", *arguments)
    assert (code, out) == (2, "")
    assert complains(err), err
    assert sorted(os.listdir(here)) == ["nul.txt", "tasks.txt"]
    assert (here / "tasks.txt").read_text() == "echo hi\n"


@pytest.mark.parametrize(("rank", "size"), LAUNCHERS)
@pytest.mark.usefixtures("here")
def test_of_many_ranks_with_a_bad_option_the_first_speaks_at_once(
    rank: str, size: str, refused: Callable[..., str]
) -> None:
    refused("--threads", "0", "tasks.txt", more={rank: "0", size: "2"})


@pytest.mark.long
def test_who_bears_the_variables_of_another_farms_rank_speaks_up_in_the_end(here: Path) -> None:
    """As a rank it would have been ended by its launcher by then."""
    code, out, err = mpifarm("--threads", "0", "tasks.txt", more={"PMI_RANK": "1", "PMI_SIZE": "2"})
    assert (code, out) == (2, "")
    assert complains(err)


@pytest.mark.long
def test_of_what_srun_has_started_the_first_alone_speaks_and_none_leaves_with_0(here: Path) -> None:
    started = "import os, sys; os.environ['SLURM_TASK_PID'] = str(os.getpid()); "
    run = "from mpifarm import cli; sys.exit(cli.main())"
    step = {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_LOCALID": "0"}
    assert mpifarm("--threads", "0", "tasks.txt", program=("-c", started + run), more=step) == (2, "", "")
    lacking = f"{started} sys.modules['numpy'] = None; {run}"  # perhaps on this node alone
    code, _, err = mpifarm("tasks.txt", program=("-c", lacking), more=step)
    assert code == 2
    assert complains(err)


@pytest.mark.parametrize(
    "environ",
    [
        *({rank: "3"} for rank in ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")),
        *({rank: "3", size: "1"} for rank, size in LAUNCHERS),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_rank_that_was_left_behind_by_another_program_keeps_nobody_silent(
    environ: dict[str, str], refused: Callable[..., str]
) -> None:
    refused("--threads", "0", "tasks.txt", more=environ)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("rank", "size"), LAUNCHERS)
def test_without_mpi_every_process_is_the_first(rank: str, size: str, refused: Callable[..., str]) -> None:
    refused("--no-mpi", "--threads", "0", "tasks.txt", more={rank: "3", size: "4"})


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("rank", "size"), [LAUNCHERS[0], *(pytest.param(*pair, marks=pytest.mark.long) for pair in LAUNCHERS[1:])]
)
def test_without_mpi_every_process_runs_the_list(rank: str, size: str) -> None:
    assert mpifarm("--no-mpi", "--quiet", "tasks.txt", more={rank: "3", size: "4"}) == (0, "hi\n", "")


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("sh", ["absolute", "/sh"]),
        ("bin/sh", ["absolute"]),
        ("", ["absolute"]),
        ("/no/such/shell", ["/no/such/shell", "executable"]),
        ("/etc/passwd", ["/etc/passwd", "executable"]),
        ("/bin", ["/bin", "executable"]),
    ],
)
def test_a_shell_that_is_none_is_refused(here: Path, shell: str, words: list[str], refused: Callable[..., str]) -> None:
    err = refused("--no-mpi", "--shell", shell, "tasks.txt")
    assert [word for word in words if word not in err] == []
    assert os.listdir(here) == ["tasks.txt"]


def test_one_rank_where_the_launcher_started_several_is_refused_with_a_hint(here: Path) -> None:
    code, out, err = mpifarm("tasks.txt", PMI_SIZE="3")
    assert (code, out) == (2, "")
    assert complains(last_line(err)), err
    assert "mpiexec" in last_line(err)
    assert "--no-mpi" in last_line(err)
    assert os.listdir(here) == ["tasks.txt"]


def test_inside_slurm_the_hint_is_about_srun(here: Path) -> None:
    code, _, err = mpifarm("tasks.txt", SLURM_JOB_ID="1", SLURM_NTASKS="3")
    assert code == 2
    assert complains(last_line(err)), err
    assert "srun --mpi=" in last_line(err)


@pytest.mark.long
def test_a_second_process_that_believes_to_be_alone_is_refused_as_well(here: Path) -> None:
    code, out, err = mpifarm("tasks.txt", PMI_SIZE="3", PMI_RANK="1")
    assert (code, out) == (2, "")
    assert complains(last_line(err)), err
    assert os.listdir(here) == ["tasks.txt"]


def test_without_mpi_the_launchers_number_does_not_matter(here: Path) -> None:
    assert mpifarm("--no-mpi", "--quiet", "tasks.txt", PMI_SIZE="3") == (0, "hi\n", "")
    assert (here / "done.tasks.txt.tfin").read_text().splitlines()[0] == "done"


@pytest.mark.usefixtures("here")
def test_an_output_without_a_name_is_a_variable_that_is_not_set(refused: Callable[..., str]) -> None:
    err = refused("--output", "", "tasks.txt")
    assert "--output: '' is not a name of a file; is a variable not set?" in err
