"""A list from its first start to its end: every way to start, output, failures, time limits, slots."""

from __future__ import annotations

import os
import shutil

import pytest

from .farms import Farms, meeting

MIB = 1024 * 1024


@pytest.mark.short
@pytest.mark.parametrize(
    ("ranks", "options", "slots"),
    [
        pytest.param(0, [], 1, id="without mpiexec"),
        pytest.param(0, ["--no-mpi"], 1, id="--no-mpi", marks=pytest.mark.long),
        pytest.param(1, [], 1, id="-n 1", marks=pytest.mark.long),
        pytest.param(2, [], 1, id="-n 2", marks=pytest.mark.long),
        pytest.param(3, [], 2, id="-n 3"),
        pytest.param(2, ["--manager-works"], 2, id="-n 2 --manager-works", marks=pytest.mark.long),
        pytest.param(3, ["--manager-works"], 3, id="-n 3 --manager-works"),
    ],
)
def test_a_list_runs_to_its_end(farms: Farms, ranks: int, options: list[str], slots: int) -> None:
    offsets = farms.tasks("# a comment", "echo one", "", "   # no task either", *meeting(slots), "echo last; echo note >&2")
    del offsets[1:3]
    ended = farms.run(ranks, *options, "tasks.txt", environ={"THREADS": "1"})
    assert ended.code == 0
    assert sorted(ended.out.split()) == [b"last", b"one"]
    assert "note" in ended.err.splitlines()
    assert sorted(farms.progress()) == offsets
    assert farms.attempted() == offsets
    assert {line["Slot"] for line in farms.joblog()} == {str(slot) for slot in range(1, slots + 1)}
    lasting = ["joblog", "log", "progress", "done", "status"]
    made = {"tasks.txt", "tasks.txt.tfin", *(farms.file(kind).name for kind in lasting)}
    assert set(farms.snapshot()) == made | {f"met.{number}" for number in range(slots)}


def test_a_byte_order_mark_is_no_part_of_a_command_and_stays_in_the_record(farms: Farms) -> None:
    offsets = farms.tasks("\ufeff# a comment", "\ufeffecho first", "cd nowhere || exit 0", "false &")
    ended = farms.run(2, "--threads", "1", "tasks.txt")
    assert (ended.code, ended.out) == (0, b"first\n")
    assert farms.progress() == offsets[1:]
    assert [line["Command"] for line in farms.joblog()] == ["echo first", "cd nowhere || exit 0", "false &"]
    assert farms.file("progress").read_text().splitlines()[0].split()[5] == str(len("> echo first\n") + 3)
    said = [line.removeprefix("mpifarm: tasks.txt:").partition(":")[0] for line in ended.said]
    assert [number for number in said if number.isdigit()] == ["1", "3", "4"]
    assert farms.run(2, "--quiet", "--rerun", "tasks.txt").said == []


@pytest.mark.short
def test_quiet_is_silent_only_when_all_is_well(farms: Farms) -> None:
    farms.tasks("true", "exit 3")
    ended = farms.run(0, "--quiet", "--retries", "0", "tasks.txt")
    assert (ended.code, len(ended.said)) == (1, 3)
    assert " end    1 of 2 done, 1 failed (1 reason), in " in ended.said[0]
    assert ended.said[-1].startswith("mpifarm: next: ")


@pytest.mark.short
@pytest.mark.parametrize(
    "options", [pytest.param([], marks=pytest.mark.long), ["--output", "all.out"]], ids=["stdout", "--output"]
)
def test_large_and_binary_outputs_of_both_workers_at_once_are_whole_blocks(farms: Farms, options: list[str]) -> None:
    large = [f"{meet}; yes 'line of {name}' | head -c {3 * MIB}" for meet, name in zip(meeting(2), "ab", strict=True)]
    binary = r"printf '\000\377\r\n\001> no newline'; exit 0"
    offsets = farms.tasks(*large, binary, *(f"seq {number} 9999" for number in range(1, 30)), "true")
    ended = farms.run(3, "--threads", "1", *options, "tasks.txt")
    assert ended.code == 0
    assert sorted(farms.progress()) == offsets
    blocks = [(f"line of {name}\n" * MIB)[: 3 * MIB].encode() for name in "ab"]
    blocks.append(b"\0\xff\r\n\1> no newline")
    blocks += ["".join(f"{line}\n" for line in range(number, 10000)).encode() for number in range(1, 30)] + [b""]
    expected = dict(zip(offsets, blocks, strict=True))
    written = (farms.directory / "all.out").read_bytes() if options else ended.out
    assert written == b"".join(expected[offset] for offset in farms.progress())
    assert {int(line["Offset"]): int(line["Receive"]) for line in farms.joblog()} == {
        offset: len(block) for offset, block in expected.items()
    }
    if options:
        assert ended.out == b""
        lines = (line.split() for line in farms.file("progress").read_text().splitlines())
        assert {int(line[0]): int(line[3]) for line in lines} == {offset: len(expected[offset]) for offset in offsets}


@pytest.mark.short
@pytest.mark.parametrize("ranks", [pytest.param(0, marks=pytest.mark.long), 3])
def test_what_a_failed_attempt_printed_goes_to_the_log_and_of_the_first_ones_one_line_is_told(
    farms: Farms, ranks: int
) -> None:
    offsets = farms.tasks("echo good", "echo lost; echo a tale >&2; echo why >&2; exit 7", "kill -9 $$")
    ended = farms.run(ranks, "--threads", "2", "--retries", "0", "tasks.txt")
    assert ended.code == 1
    assert ended.out == b"good\n"
    assert [line for line in ended.err.splitlines() if line in ("lost", "a tale", "why")] == []
    (told,) = [line for line in ended.said if "failed task 2 (tasks.txt:2) on " in line]
    assert '"why": echo lost' in told
    log = farms.file("log").read_text().splitlines()
    at = log.index("    stderr:")
    assert log[at : at + 5] == ["    stderr:", "        a tale", "        why", "    stdout:", "        lost"]
    assert farms.progress() == offsets[:1]
    assert farms.attempted() == offsets
    ends = {int(line["Offset"]): (line["Exitval"], line["Signal"]) for line in farms.joblog()}
    assert ends == dict(zip(offsets, [("0", "0"), ("7", "0"), ("0", "9")], strict=True))
    assert farms.left() == offsets[1:]
    assert not farms.file("done").exists()


@pytest.mark.short
def test_a_task_that_fails_is_tried_three_times(farms: Farms) -> None:
    third, never = farms.tasks("echo $MPIFARM_ATTEMPT; [ $MPIFARM_ATTEMPT = 3 ]", "exit 1")
    ended = farms.run(2, "--threads", "2", "tasks.txt")
    assert ended.code == 1
    assert ended.out == b"3\n"
    assert farms.progress() == [third]
    assert farms.attempted() == 3 * [third] + 3 * [never]
    assert sorted(line["Attempt"] for line in farms.joblog()) == ["1", "1", "2", "2", "3", "3"]


def test_a_task_that_takes_too_long_is_ended_and_killed_if_it_will_not_go(farms: Farms) -> None:
    quick, slow, deaf = farms.tasks("echo quick", "sleep 100", "trap '' TERM; sleep 100 & sleep 100")
    ended = farms.run(2, "--threads", "3", "--retries", "0", "--timeout", "0.5", "tasks.txt")
    assert ended.code == 1
    assert farms.progress() == [quick]
    assert {int(line["Offset"]): line["Signal"] for line in farms.joblog()} == {quick: "0", slow: "15", deaf: "9"}
    assert farms.left() == [slow, deaf]


@pytest.mark.short
def test_nothing_is_started_after_too_many_have_failed(farms: Farms) -> None:
    first, second, third = farms.tasks("[ -e mended ]", "[ -e mended ]", "echo third")
    assert farms.run(2, "--threads", "1", "--retries", "0", "--max-fails", "1", "tasks.txt").code == 1
    assert farms.attempted() == [first, second]
    (farms.directory / "mended").touch()
    assert farms.run(2, "--threads", "1", "tasks.txt").code == 0
    assert sorted(farms.progress()) == [first, second, third]


@pytest.mark.short
def test_as_many_tasks_run_at_a_time_as_the_option_says(farms: Farms) -> None:
    crowd = "touch on.$MPIFARM_TASK; ls on.* | wc -l; sleep 0.1; rm on.$MPIFARM_TASK"
    farms.tasks(*meeting(3), *(6 * [crowd]), "echo $MPIFARM_THREADS")
    ended = farms.run(2, "--threads", "3", "tasks.txt", environ={"THREADS": "1"})
    assert ended.code == 0
    assert set(ended.out.split()) <= {b"1", b"2", b"3"}
    assert {line["Slot"] for line in farms.joblog()} == {"1", "2", "3"}


def test_what_a_finished_task_left_in_the_background_ends_with_the_farm(farms: Farms) -> None:
    farms.tasks("sleep 1000 >/dev/null 2>&1 & echo one", "echo two")
    farm = farms.start(2, "--threads", "1", "tasks.txt")
    assert farm.wait().code == 0
    assert not farm.processes()


@pytest.mark.skipif((os.cpu_count() or 1) < 2 or not shutil.which("taskset"), reason="needs two CPUs, and taskset")
@pytest.mark.parametrize(("options", "cpus"), [((), 1), (("--threads", "2"), os.cpu_count())])
def test_tasks_get_back_the_cpus_that_a_launcher_bound_away(farms: Farms, options: tuple[str, ...], cpus: int) -> None:
    """Open MPI's mpiexec binds two ranks to a core each."""
    farms.tasks("nproc")
    ended = farms.run(2, *options, "tasks.txt", before="taskset --pid --cpu-list 0 $$ > /dev/null")
    assert ended.out == f"{cpus}\n".encode()
    assert any("bound to 1 of" in line for line in ended.said)
