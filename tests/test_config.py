"""The settings of a run, from options and environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm import FarmError, NodeError, config
from mpifarm.launcher.frames import MAX_SLOTS
from mpifarm.options import parser
from mpifarm.settings import Config, Job

DAY_S = 86400


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher and no Slurm around the tests is seen in them."""
    for name in list(os.environ):
        if name.startswith(("SLURM", "PMI", "OMPI_")) or name == "THREADS":
            monkeypatch.delenv(name)


def read(*options: str) -> Config:
    return config.read(parser().parse_args([*options, "tasks.txt"]))[0]


def test_a_task_has_5_s_between_term_and_kill_if_nobody_says_otherwise() -> None:
    assert [read().kill_after_s, read("--kill-after", "2m").kill_after_s, read("--kill-after=0.5").kill_after_s] == [
        5,
        120,
        0.5,
    ]


def test_j_is_threads() -> None:
    assert [read(*given).threads for given in (["-j", "3"], ["-j3"], ["--threads", "3"])] == [3, 3, 3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("90s", 90),
        ("0.5", 0.5),
        ("1.5h", 5400),
        ("10m", 600),
        ("2h", 7200),
        ("1d", DAY_S),
        ("0:00:01", 1),
        ("1:02:03", 3723),
        ("100:00:00", 100 * 3600),
        ("1-00:00:00", DAY_S),
        ("2-03:04:05", 2 * DAY_S + 3 * 3600 + 4 * 60 + 5),
    ],
)
def test_a_time_is_read_as_people_write_it(text: str, expected: float) -> None:
    assert config.seconds(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "0", "0s", "0.0", "0:00:00", "-5", "+5", "1e3", "nan", "inf", "abc", "5 s", " 5", "5\n", "5S", "1d2h"),
        *(
            ".5",
            "5.",
            "1:2:3",
            "1:00:00:00",
            "1-",
            "-1:00:00",
            "1-1",
            "1,5",
            "5x",
            "s",
            ":30",
            "9" * 400,
            "9" * 400 + ":00:00",
        ),
        "10:30",  # ten minutes in Slurm, ten hours elsewhere
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        config.seconds(text)


@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59), st.integers(1, 59))
def test_a_clock_time_says_what_its_parts_say(days: int, hours: int, minutes: int, seconds: int) -> None:
    expected = days * DAY_S + hours * 3600 + minutes * 60 + seconds
    assert config.seconds(f"{days}-{hours:02}:{minutes:02}:{seconds:02}") == expected
    assert config.seconds(f"{expected}s") == config.seconds(str(expected)) == expected


@pytest.mark.parametrize("text", ["abc", "0", "-1", "1.5", "8 8", "0x8", "٣", str(MAX_SLOTS + 1), "9" * 5000])
def test_a_bad_threads_in_the_environment_is_refused_and_shown(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("THREADS", text)
    with pytest.raises(FarmError, match=f"THREADS={text}"):
        read()


@pytest.mark.parametrize(
    ("text", "threads"), [(None, None), ("", None), ("  ", None), ("1", 1), (" 08 ", 8), (str(MAX_SLOTS), MAX_SLOTS)]
)
def test_threads_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, text: str | None, threads: int | None) -> None:
    if text is not None:
        monkeypatch.setenv("THREADS", text)
    assert read().threads == threads


@pytest.mark.parametrize("text", ["7", "abc"])
def test_the_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("THREADS", text)
    assert read("--threads", "3").threads == 3


@pytest.mark.parametrize(
    ("environ", "ranks"),
    [
        ({}, 1),
        ({"PMI_SIZE": "3"}, 3),
        ({"OMPI_COMM_WORLD_SIZE": "4", "SLURM_NTASKS": "1"}, 4),
        ({"SLURM_NTASKS": "8"}, 8),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": ""}, 2),
        ({"PMI_SIZE": "many"}, 1),
        ({"PMI_SIZE": "0"}, 1),
    ],
)
def test_the_launcher_says_how_many_ranks_it_started(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], ranks: int
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert read().launched_ranks == ranks
    assert read("--no-mpi").launched_ranks == 1


@pytest.mark.parametrize(
    ("environ", "first"),
    [
        ({}, True),
        ({"PMI_RANK": "0", "PMI_SIZE": "2"}, True),
        ({"PMI_RANK": "1", "PMI_SIZE": "2"}, False),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "3", "PMIX_RANK": "1"}, True),
        ({"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "3"}, False),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}, False),
        ({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "1"}, False),
        ({"PMI_RANK": "1", "PMI_SIZE": "2", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, False),  # mpiexec in a batch script
        (
            {"PMI_RANK": "0", "PMI_SIZE": "2", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"},
            True,
        ),  # its first, on the second node
        (
            {"PMI_RANK": "0", "PMI_SIZE": "1", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"},
            True,
        ),  # mpiexec -n 1 in each of a step
        ({"PMI_RANK": "", "PMI_SIZE": "2", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, False),
        # left behind by what is around this farm
        *(({name: "3"}, True) for name in ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "1"}, True),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "3"}, True),
        ({"PMI_RANK": "3", "PMI_SIZE": "2", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, False),
        ({"PMI_RANK": "1", "SLURM_NTASKS": "2"}, True),
    ],
)
def test_the_launchers_first_rank_is_first(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], first: bool) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert config.is_first() is first
    assert config.is_first(no_mpi=True)


VARIABLES = (
    "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE", "PMIX_RANK", "SLURM_PROCID", "SLURM_NTASKS",
    "SLURM_STEP_NUM_TASKS",
)  # fmt: skip
VALUES = ("", "0", "1", "2", "3", "-1", "x", "9" * 20)


@given(st.dictionaries(st.sampled_from(VARIABLES), st.sampled_from(VALUES)), st.booleans())
def test_nobody_who_is_refused_leaves_with_0_or_without_a_word(environ: dict[str, str], no_mpi: bool) -> None:
    said: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "FIRST_SPEAKS_S", 0.0)
        patch.setattr(config, "say", said.append)
        for name in (*VARIABLES, "PMI_FD", "SLURM_TASK_PID"):
            patch.delenv(name, raising=False)
        for name, value in environ.items():
            patch.setenv(name, value)
        error = FarmError("a bad option")
        assert config.refuse(error, no_mpi) == 2
        assert [str(line).endswith("a bad option") for line in said] == [True]
        patch.setenv("SLURM_TASK_PID", str(os.getppid()))
        patch.setenv("SLURM_LOCALID", "0")
        assert config.refuse(NodeError("no numpy"), no_mpi) == 2
        assert len(said) == 2, "for this node"
        if config.is_first(no_mpi):
            return
        assert config.refuse(error, no_mpi) == 2
        assert len(said) == 2, "srun's first one has spoken"
        patch.setenv("SLURM_LOCALID", "1")
        assert config.refuse(NodeError("no numpy"), no_mpi) == 2
        assert len(said) == 2, "the first of this node has spoken"


def test_a_rank_to_which_the_mpiexec_of_mpich_listens_lets_the_first_speak(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(config, "FIRST_SPEAKS_S", 0.0)
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setenv("PMI_SIZE", "2")
    mine, other = socket.socketpair()
    with mine, other:
        monkeypatch.setenv("PMI_FD", str(mine.fileno()))
        assert config.refuse(FarmError("a bad option")) == 2
        assert capfd.readouterr().err == ""
    for left_behind in (str(1 << 20), "9" * 15, "x", "0"):
        monkeypatch.setenv("PMI_FD", left_behind)
        assert config.refuse(FarmError("a bad option")) == 2
        assert "a bad option" in capfd.readouterr().err


def test_a_node_has_the_name_that_slurm_knows_it_by_or_its_short_host_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "nid0001.cluster.example.org")
    assert (read().node, read().host) == ("nid0001", "nid0001.cluster.example.org")
    monkeypatch.setenv("SLURMD_NODENAME", "n2.rack")
    assert (read().node, read().host) == ("n2.rack", "n2.rack")
    monkeypatch.delenv("SLURMD_NODENAME")
    monkeypatch.setattr(socket, "gethostname", lambda: "")
    assert (read().node, read().host) == ("localhost", "localhost")


def test_a_run_outside_slurm_has_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read().job is None
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert read().job == Job("4711", 2, 1, 0, None)
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "3")
    monkeypatch.setenv("SLURM_JOB_CPUS_PER_NODE", "64,128(x2)")
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1795351983")
    assert read().job == Job("4711", 2, 3, 128, 1795351983.0, uneven=True)


def test_the_tasks_environment_is_scrubbed_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_RANK", "0")
    arguments = parser().parse_args(["tasks.txt"])
    expected = {name: value for name, value in os.environ.items() if name != "PMI_RANK"}
    scrubbed = config.read(arguments)[1]
    assert "PMI_RANK" not in scrubbed
    assert scrubbed.items() <= expected.items()
    assert config.read(parser().parse_args(["--keep-mpi-env", "tasks.txt"]))[1] == os.environ


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_only_the_cpus_that_this_process_may_use_count() -> None:
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usable)})
    try:
        assert read().cpus == 1
    finally:
        os.sched_setaffinity(0, usable)
    assert read().cpus == len(usable)


def test_the_variables_that_the_tasks_find_set_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUNCHER_DIR", "/opt")
    monkeypatch.setenv("PMI_RANK", "0")
    assert "LAUNCHER_DIR" in read().variables
    assert "PMI_RANK" not in read().variables
    assert "PMI_RANK" in read("--keep-mpi-env").variables


def test_what_runs_a_list_all_the_same_has_to_be_given() -> None:
    assert (read().anyway, read().ignore_directives) == (False, False)
    assert (read("--anyway").anyway, read("--anyway").ignore_directives) == (True, False)
    assert (read("--ignore-directives").anyway, read("--ignore-directives").ignore_directives) == (False, True)


def test_tasks_to_run_again_are_handed_on_as_they_are_written() -> None:
    assert read("--again", "3,17-20").again == "3,17-20"
    assert read().again is None


@pytest.mark.parametrize("other", ["--rerun", "--edited"])
def test_to_run_some_again_does_not_go_with_what_means_another_list_or_all_of_it(other: str) -> None:
    with pytest.raises(FarmError, match=other):
        read("--again", "3", other)


def test_an_empty_name_of_what_runs_again_is_refused() -> None:
    with pytest.raises(FarmError, match="is a variable not set"):
        read("--again", "")


def test_edited_and_rerun_are_not_given_together() -> None:
    assert read("--edited").edited
    assert not read().edited
    with pytest.raises(FarmError, match=r"--edited .* and --rerun .*: give one of them"):
        read("--edited", "--rerun")


@pytest.mark.parametrize(
    ("text", "tasks", "most"),
    [
        ("0", 10, 0), ("7", 3, 7), ("0%", 1000, 0), ("100%", 7, 7), ("10%", 31, 3), ("0.5%", 1000, 5), ("0.5%", 199, 0),
        ("33.3%", 1000, 333), ("0.000000001%", 10**12, 10), ("29%", 100, 29), ("1.10%", 1000, 11),
    ],
)  # fmt: skip
def test_so_many_tasks_may_fail(text: str, tasks: int, most: int) -> None:
    limit = config.max_fails(text)
    assert limit.words == text
    assert limit.among(tasks) == most


@pytest.mark.parametrize("text", ["", "-1", "1.5", "%", "101%", "100.5%", ".5%", "5.%", "1e3", " 5", "5 %", "٣"])
def test_what_is_no_number_of_tasks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is "):
        config.max_fails(text)


def test_slurm_is_asked_whether_steps_wait_only_where_the_list_starts_some(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[Mapping[str, str]] = []

    def wait(environ: Mapping[str, str]) -> bool:
        asked.append(environ)
        return True

    monkeypatch.setattr("mpifarm.site.steps.wait", wait)
    Path("tasks.txt").write_text("srun -n1 ./x\n")
    assert not read().steps_wait  # no job
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    assert read().steps_wait
    assert "SLURM_NTASKS" in asked[0]  # as a task sees it
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    assert not read().steps_wait  # the first process asks for all
    monkeypatch.setenv("SLURM_PROCID", "0")
    Path("tasks.txt").write_text("./x\n")
    assert not read().steps_wait
    assert len(asked) == 1
