"""All advice, as a table: what the numbers call for, and that they say nothing when they call for nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mpifarm.view import advice
from mpifarm.view.advice import Facts

GIB = 1024**2

# A run in which all was well: 10,000 tasks of a minute on 4 nodes of 64.
WELL = Facts(
    name="tasks.txt", tasks=10_000, left=0, failed=0, succeeded=10_000, mean_s=60.0, usual_s=90.0, longest_s=200.0, nodes=4,
    slots=64, cpus=0.98, peak_kib=2 * GIB, usual_kib=GIB, killed=0, killed_kib=0, retried=0, mended=0,
)  # fmt: skip

CASES = [
    # case, what differs, the line, words of the reason
    (advice.again, {"left": 1}, "python -m mpifarm tasks.txt", "1 task is not done; what"),
    (advice.again, {"left": 1, "failed": 1}, "python -m mpifarm tasks.txt", "1 task failed: mend what it lacks first"),
    (advice.again, {"left": 1, "name": "my list"}, "python -m mpifarm 'my list'", "1 task is not done"),
    (advice.again, {"left": 500, "failed": 3}, "python -m mpifarm tasks.txt", "500 tasks are not done, of them 3 failed"),
    # 600,000 s of work on 256 slots: 2344 s, and 199 s for the longest; a quarter more and a minute is 3239 s
    (advice.nodes_and_time, {}, "#SBATCH -N 4 -t 00:55:00", "the list once more, 10,000 tasks: 60 s in the mean"),
    (advice.nodes_and_time, {"left": 2000}, "#SBATCH -N 4 -t 00:15:00", "2,000 tasks left"),
    (advice.nodes_and_time, {"left": 300}, "#SBATCH -N 1 -t 00:15:00", "more nodes would wait for the longest task"),
    (
        advice.nodes_and_time,
        {"left": 10_000, "mean_s": 3600.0, "longest_s": 7200.0},
        "#SBATCH -N 4 -t 2-04:00:00",
        "64 slots",
    ),
    (advice.nodes_and_time, {"left": 3, "succeeded": 2}, "#SBATCH -N 1 -t 00:10:00", "(rough: few have run)"),
    (advice.threads_by_memory, {"killed": 7, "killed_kib": 8 * GIB}, "THREADS=32", "7 tasks ended by SIGKILL"),
    (
        advice.threads_by_memory,
        {"killed": 7, "killed_kib": 8 * GIB, "node_kib": 256 * GIB},
        "THREADS=32",
        "each twice the memory; the largest had 8 GiB of the 256 GiB that a node gave",
    ),
    (
        advice.threads_by_memory,
        {"killed": 7, "killed_kib": 250 * GIB, "node_kib": 256 * GIB},
        "#SBATCH --mem=512G",
        "the largest had 250 GiB of the 256 GiB that a node gave: fewer at a time do not help such a task",
    ),
    (advice.threads_by_cpus, {"cpus": 3.9}, "THREADS=16", "keeps 3.9 CPUs busy"),
    (advice.threads_by_cpus, {"cpus": 0.25}, "THREADS=128", "keeps 25.0 % of a CPU busy, and waits else; 128 need 128 GiB"),
    (
        advice.threads_by_cpus,
        {"cpus": 0.25, "node_kib": 100 * GIB},
        "THREADS=100",
        "100 need 100 GiB of memory; a node gave 100 GiB",
    ),
    (advice.memory_of_a_node, {"node_kib": 512 * GIB}, "#SBATCH --mem=75G", "and a tenth more; a node gave 512 GiB"),
    (advice.memory_of_a_node, {"node_kib": 70 * GIB}, "#SBATCH --mem=0", "all of a node; a node gave 70 GiB"),
    (advice.memory_of_a_node, {}, "#SBATCH --mem=75G", "95 % of the tasks need at most 1 GiB, the largest 2 GiB"),
    (
        advice.retries,
        {"retried": 40, "failed_share": 0.21},
        "--retries 0",
        "40 tasks tried again, and none has succeeded then",
    ),
    (
        advice.retries,
        {"retried": 40, "mended": 30},
        "--retries 5",
        "of 40 tasks tried again 30 have succeeded then, and 10 not",
    ),
    (advice.time_request, {"stopped_share": 0.05}, "--time-request 90s", "5.0 % of the slots' time"),
    (advice.longest_first, {"tail_share": 0.2}, "put the longest tasks first in the list", "20.0 % of the slots' time"),
    (advice.slow_nodes, {"slow": (("n7", 3.4),)}, "#SBATCH --exclude=n7", "n7 3.4 times"),
    (
        advice.slow_nodes,
        {"slow": tuple((f"n{i}", 2.0) for i in range(9))},
        "#SBATCH --exclude=n0,n1,n2,n3,n4,n5,n6,n7",
        "1 more",
    ),
]

SILENT = [
    (advice.again, {}),
    (advice.nodes_and_time, {"succeeded": 0, "mean_s": 0.0}),
    (advice.nodes_and_time, {"nodes": 0, "slots": 0}),
    (advice.threads_by_memory, {}),
    (advice.threads_by_memory, {"killed": 7, "killed_kib": 2000}),  # a task that kills itself
    (advice.threads_by_memory, {"killed": 7, "killed_kib": 8 * GIB, "slots": 1}),
    (advice.threads_by_memory, {"killed": 7, "killed_kib": GIB, "node_kib": 512 * GIB}),  # all together have an eighth
    (advice.threads_by_cpus, {}),
    (advice.threads_by_cpus, {"cpus": 0.1, "mean_s": 0.01}),
    (advice.threads_by_cpus, {"cpus": 0.1, "killed": 7}),  # more at a time would need more memory
    (advice.threads_by_cpus, {"cpus": 0.25, "node_kib": 64 * GIB}),  # there is no memory for more
    (advice.memory_of_a_node, {"succeeded": 3}),
    (advice.retries, {"retried": 3}),
    (advice.retries, {"retried": 40, "mended": 40}),  # enough of them
    (advice.retries, {"retried": 40, "mended": 5}),
    (advice.time_request, {"stopped_share": 0.01}),
    (advice.longest_first, {"tail_share": 0.2, "longest_s": 70.0}),  # it is no long task that holds them
    (advice.slow_nodes, {}),
]


@pytest.mark.parametrize(("case", "changes", "line", "why"), CASES)
def test_the_numbers_call_for_it(case: advice.Case, changes: dict[str, object], line: str, why: str) -> None:
    given = case(replace(WELL, **changes))  # type: ignore[arg-type]
    assert given is not None
    assert given.line == line
    assert why in given.why


@pytest.mark.parametrize(("case", "changes"), SILENT)
def test_nothing_is_advised_that_nothing_calls_for(case: advice.Case, changes: dict[str, object]) -> None:
    assert case(replace(WELL, **changes)) is None  # type: ignore[arg-type]


def test_every_case_is_in_the_table_and_here() -> None:
    assert {case for case, *_ in CASES} == {case for case, _ in SILENT} | {advice.memory_of_a_node} == set(advice.CASES)


def test_the_most_important_comes_first() -> None:
    given = advice.advise(replace(WELL, left=10, failed=10, slow=(("n7", 3.4),)))
    assert [one.line.split()[0] for one in given] == ["python", "#SBATCH", "#SBATCH", "#SBATCH"]


@pytest.mark.parametrize(
    ("work", "longest", "slots", "most", "nodes"), [(1e6, 10, 64, 4, 4), (1280, 10, 64, 4, 2), (1, 10, 64, 4, 1)]
)
def test_no_more_nodes_than_the_longest_task_leaves_work_for(
    work: float, longest: float, slots: int, most: int, nodes: int
) -> None:
    assert advice.nodes_for(work, longest, slots, most) == nodes


def choices(*seconds: float) -> list[advice.Choice]:
    return [advice.Choice(2**power, time) for power, time in enumerate(seconds)]


@pytest.mark.parametrize(
    ("seconds", "line", "words"),
    [
        # 4 nodes cost 1.1 times what one does, 8 nodes twice
        ((8000.0, 4000.0, 2200.0, 2000.0), "#SBATCH -N 4 -t 00:50:00", "; on 8 nodes they are 4.4, since slots would wait"),
        ((8000.0, 4000.0), "#SBATCH -N 2 -t 01:30:00", "2 nodes for 67 min cost 2.2 node-hours"),
        ((60.0, 60.0), "#SBATCH -N 1 -t 00:05:00", "1 node for 60 s"),
    ],
)
def test_as_many_nodes_as_cost_little_more_than_the_fewest_node_hours(
    seconds: tuple[float, ...], line: str, words: str
) -> None:
    found = advice.how_many(choices(*seconds))
    assert found
    assert found.line == line
    assert words in found.why


@pytest.mark.parametrize("seconds", [(), (60.0,), (0.0, 0.0)])
def test_where_there_is_nothing_to_choose_nothing_is_advised(seconds: tuple[float, ...]) -> None:
    assert advice.how_many(choices(*seconds)) is None


def test_what_to_do_about_lines_is_one_line_each() -> None:
    assert all(text and "\n" not in text for text in advice.LINES.values())
