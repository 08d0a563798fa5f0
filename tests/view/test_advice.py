"""All advice, as a table: what the numbers call for, that just below it they say nothing, and that nobody else advises."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mpifarm
from mpifarm.tasks.faults import Fault
from mpifarm.view import advice, allocation, hindsight, live
from mpifarm.view.allocation import Choice
from mpifarm.view.facts import Advice, Alike, Bound, Crowd, End, Fewer, Gone, Late, Room, Runs, Start, Stop

GIB = 1024**2

Case = Callable[..., Advice | None]

# Where all is well: of each kind of facts, numbers that call for nothing.
# 4 nodes of a job, a rank on each, none of which has nothing to do.
START = Start(job_nodes=4, used=4, slots=7, slot_cpus=1, seen_cpus=2)
BOUND = Bound(slots=8, cpus=8, usable=8, theirs=8, node_cpus=8, asked_slots=False, in_job=True, asked_cpus=True)
FEWER = Fewer("n1", cpus=8, quota=8, wanted=8, slots=8)
CROWD = Crowd(slots=8, cpus=4, workers=1)
LATE = Late("too late", needed_s=9000.0, last_s=3600.0, job_s=3600.0, waiting=256, slots=256, nodes=4)
ROOM = Room(node_kib=512 * GIB, slots=64, cpus=64, ended=64, peak_kib=int(7.2 * GIB))
END = End("tasks.txt", "log.tasks.txt.tfin", total=1000, done=1000)
# 10,000 tasks of a minute on 4 nodes of 64
RUNS = Runs(
    name="tasks.txt", tasks=10_000, left=0, failed=0, succeeded=10_000, mean_s=60.0, usual_s=90.0, longest_s=200.0, nodes=4,
    slots=64, cpus=0.98, peak_kib=2 * GIB, usual_kib=GIB, killed=0, killed_kib=0, retried=0, mended=0,
)  # fmt: skip
ALL_ALIKE = Alike(24, "exit code 1", "")
GONE = Gone("n1", 77, "", 300.0)
PLAN = [Choice(1, 60.0)]

TWO_CPUS = {"slots": 8, "seen_cpus": 2}
STOPPED = {"done": 700, "stop": Stop.LIMIT, "in_job": True}
KNOWN: dict[str, Any] = {"ended": 10, "mean_s": 60.0, "longest_s": 120.0, "nodes": 2, "slots": 4}

# case, facts where all is well, what differs, the line, words of the reason
CALLED: list[tuple[Case, Any, dict[str, Any], str, str]] = [
    (live.rank_on_each, START, {"used": 3}, "srun -N 4", "the job has 4 nodes and 3 in use, start one rank on each"),
    (
        live.one_worker_each,
        START,
        {"sharing": 2, "shared": "n1"},
        "srun --ntasks-per-node=1",
        "2 workers share node n1, one is enough",
    ),
    (
        live.manager_idle,
        START,
        {"manager": "n0", "manager_cpus": 1},
        "--manager-works",
        "n0: manager, runs nothing here; to use its 1 CPU, too",
    ),
    (
        live.threads_of_tasks,
        START,
        TWO_CPUS,
        "export OMP_NUM_THREADS=1",
        "OMP_NUM_THREADS is not set, a task that uses threads takes all 2 CPUs, and 8 run at a time",
    ),
    (live.cpus_of_a_worker, BOUND, {"usable": 7, "cpus": 7}, "srun -c 8", "7 of 8 CPUs"),
    (live.cpus_of_a_worker, BOUND, {"cpus": 7}, "srun -c 8", "bound to 7 of 8 CPUs, its tasks may use all"),
    (
        live.cpus_of_a_worker,
        BOUND,
        {"cpus": 1, "slots": 1, "in_job": False},
        "mpiexec --bind-to none, or THREADS=8",
        "bound to 1 of 8 CPUs, for 1 slot",
    ),
    (
        live.cpus_of_a_worker,
        BOUND,
        {"cpus": 1, "usable": 1, "theirs": 1, "slots": 1, "asked_cpus": False},
        "srun -c 8, and #SBATCH -c 8 in a batch script",
        "1 of 8 CPUs",
    ),
    (
        live.quota_of_time,
        FEWER,
        {"quota": 7},
        "give --threads for more",
        "n1: the container is given the time of 7 of 8 CPUs, and runs as many tasks at a time",
    ),
    (live.descriptors, FEWER, {"slots": 1}, "raise ulimit -n", "n1: 1 task at a time and not 8, for want of descriptors"),
    (live.crowded, CROWD, {"slots": 9}, "THREADS=4", "9 slots on 4 CPUs, which is slower unless the tasks mostly wait"),
    (live.crowded, CROWD, {"slots": 9, "workers": 8}, "THREADS=1", "9 slots"),
    (
        live.all_alike,
        ALL_ALIKE,
        {},
        (
            "try one of them by hand. Stop (Ctrl-C, or scancel), mend that or the list, and start again;"
            " --max-fails 0 would stop at the first task that has failed for good"
        ),
        "ALL of the first 24 attempts have failed alike (exit code 1)",
    ),
    (
        live.all_alike,
        ALL_ALIKE,
        {"how": "exit code 127", "last": "not found", "max_fails": "5%"},
        (
            "is the program there, and found, on every node? --max-fails 5% will stop this run;"
            " mend that or the list, and start again"
        ),
        '(exit code 127, "not found")',
    ),
    # 9,000 s, a tenth and a minute more are 9,960
    (live.more_time, LATE, {"last_s": 3601.0}, "-t 02:46:00", "too late; enough would have been"),
    (live.more_time, LATE, {"last_s": 3601.0, "in_job": False}, "--walltime 02:46:00", "too late"),
    (live.more_time, LATE, {"last_s": 7200.0, "waiting": 512}, "-N 8, or -t 02:46:00", "too late"),
    (live.more_time, LATE, {"last_s": 7200.0, "waiting": 511}, "-t 02:46:00", "too late"),
    # 0.9 x 512 GiB are 64 x 7.2 GiB
    (
        live.slots_by_memory,
        ROOM,
        {"peak_kib": int(7.2 * GIB) + 1},
        "THREADS=63",
        "64 slots of the largest would take 461 GiB, too much",
    ),
    (live.slots_by_memory, ROOM, {"peak_kib": 600 * GIB}, "THREADS=1", "too much"),
    (
        live.slots_by_memory,
        ROOM,
        {"slots": 63, "peak_kib": 2 * GIB},
        "THREADS=64",
        "there are 64 CPUs for 63 slots",
    ),
    (live.slots_by_memory, ROOM, {"slots": 32, "cpus": 128}, "THREADS=64", "there are 128 CPUs for 32 slots"),
    (
        live.elsewhere,
        END,
        {"done": 0, "stop": Stop.NO_WORKER},
        "mend that, or start elsewhere",
        "another start would end like this one",
    ),
    # twice 290 s, a quarter and a minute more
    (
        live.longer_job,
        END,
        {"done": 0, "stop": Stop.TOO_SHORT, "in_job": True, "ran_s": 290.0, "longest_s": 200.0},
        "#SBATCH -t 00:15:00",
        "starting again does not help, ask for a longer job",
    ),
    (live.longer_job, END, {"done": 0, "stop": Stop.TOO_SHORT, "longest_s": 290.0}, "--walltime 00:15:00", "longer job"),
    (
        live.mend,
        END,
        {"done": 999, "failed": 1},
        "python -m mpifarm --failed tasks.txt > again.txt",
        "log.tasks.txt.tfin says why: mend that, and start the same line again; or make a list of what is not done",
    ),
    (
        live.mend,
        END,
        {"done": 1, "failed": 1, "stop": Stop.MAX_FAILS, "name": "a b.txt", "program": "python3 -P -m mpifarm"},
        "python3 -P -m mpifarm --failed 'a b.txt' > again.txt",
        "says why",
    ),
    (
        live.mend,
        END,
        {"done": 999, "failed": 1, "fresh": "again-2.txt"},
        "python -m mpifarm --failed tasks.txt > again-2.txt",
        "why",
    ),
    (
        live.mend,
        END,
        {"done": 999, "failed": 1, "once": "--rerun"},
        "python -m mpifarm --failed tasks.txt > again.txt",
        "mend that, and start the same line again, without --rerun; or",
    ),
    (
        live.repair,
        END,
        {"done": 999, "failed": 1, "stop": Stop.TROUBLE},
        "mend that, and start the same line again",
        "1 task is left, 1 of which failed (see log.tasks.txt.tfin); what is done is not run again",
    ),
    # 300 tasks of a minute on 8 slots: 2,250 s, and 105 s for the longest; a quarter more and a minute are 50 minutes
    (
        live.another_job,
        END,
        STOPPED | KNOWN,
        "#SBATCH -N 2 -t 00:55:00",
        "300 tasks are left: start the same line again; that takes at most 39 min on 2 nodes x 4 slots",
    ),
    (live.another_job, END, STOPPED | KNOWN | {"idle_nodes": 1}, "#SBATCH -N 3 -t 00:55:00", "on 2 nodes x 4 slots"),
    (
        live.another_job,
        END,
        STOPPED | KNOWN | {"done": 999, "once": "--again"},
        "#SBATCH -N 1 -t 00:05:00",
        "1 task is left: start the same line again, without --again;",
    ),
    (
        live.go_on,
        END,
        {"done": 999, "stop": Stop.ASKED},
        "start the same line again",
        "1 task is left; what is done is not run",
    ),
    (
        live.go_on,
        END,
        {"done": 990, "failed": 3, "stop": Stop.ASKED, "line": "mpifarm tasks.txt"},
        "mpifarm tasks.txt",
        "10 tasks are left, 3 of which failed (see log.tasks.txt.tfin); what is done",
    ),
    (
        live.go_on,
        END,
        STOPPED | KNOWN | {"in_job": False},
        "start the same line again",
        "300 tasks are left, which take at most 39 min; what is done is not run again",
    ),
    (live.go_on, END, STOPPED, "start the same line again", "300 tasks are left; what"),
    (live.gone, GONE, {}, "start again to go on", "the manager, process 77 on n1, is silent for 5 min"),
    (
        live.gone,
        GONE,
        {"job": "812", "known": "its process is dead"},
        "start again to go on",
        "the manager, process 77 on n1, job 812, is silent for 5 min (its process is dead)",
    ),
    (hindsight.again, RUNS, {"left": 1}, "python -m mpifarm tasks.txt", "1 task is not done; what"),
    (
        hindsight.again,
        RUNS,
        {"left": 1, "failed": 1},
        "python -m mpifarm tasks.txt",
        "1 task failed: mend what it lacks first",
    ),
    (hindsight.again, RUNS, {"left": 1, "name": "my list"}, "python -m mpifarm 'my list'", "1 task is not done"),
    (
        hindsight.again,
        RUNS,
        {"left": 500, "failed": 3},
        "python -m mpifarm tasks.txt",
        "500 tasks are not done, of them 3 failed",
    ),
    # 600,000 s of work on 256 slots: 2344 s, and 199 s for the longest; a quarter more and a minute is 3239 s
    (hindsight.nodes_and_time, RUNS, {}, "#SBATCH -N 4 -t 00:55:00", "the list once more, 10,000 tasks: 60 s in the mean"),
    (hindsight.nodes_and_time, RUNS, {"left": 2000}, "#SBATCH -N 4 -t 00:15:00", "2,000 tasks left"),
    (
        hindsight.nodes_and_time,
        RUNS,
        {"left": 300},
        "#SBATCH -N 1 -t 00:15:00",
        "more nodes would wait for the longest task",
    ),
    (
        hindsight.nodes_and_time,
        RUNS,
        {"left": 10_000, "mean_s": 3600.0, "longest_s": 7200.0},
        "#SBATCH -N 4 -t 2-04:00:00",
        "64 slots",
    ),
    (hindsight.nodes_and_time, RUNS, {"left": 3, "succeeded": 9}, "#SBATCH -N 1 -t 00:10:00", "(rough: few have run)"),
    (
        hindsight.threads_by_memory,
        RUNS,
        {"killed": 7, "killed_kib": GIB // 64},
        "THREADS=32",
        "7 tasks ended by SIGKILL",
    ),
    (
        hindsight.threads_by_memory,
        RUNS,
        {"killed": 7, "killed_kib": 8 * GIB, "node_kib": 256 * GIB},
        "THREADS=32",
        "each twice the memory; the largest had 8 GiB of the 256 GiB that a node gave",
    ),
    (
        hindsight.threads_by_memory,
        RUNS,
        {"killed": 7, "killed_kib": 250 * GIB, "node_kib": 256 * GIB},
        "#SBATCH --mem=512G",
        "the largest had 250 GiB of the 256 GiB that a node gave: fewer at a time do not help such a task",
    ),
    (
        hindsight.threads_by_cpus,
        RUNS,
        {"cpus": 0.25, "node_kib": 100 * GIB},
        "THREADS=100",
        "100 need 100 GiB of memory; a node gave 100 GiB",
    ),
    (hindsight.memory_of_a_node, RUNS, {"node_kib": 512 * GIB}, "#SBATCH --mem=75G", "a tenth more; a node gave 512 GiB"),
    (hindsight.memory_of_a_node, RUNS, {"node_kib": 70 * GIB}, "#SBATCH --mem=0", "all of a node; a node gave 70 GiB"),
    (hindsight.threads_by_cpus, RUNS, {"cpus": 1.5}, "THREADS=43", "keeps 1.5 CPUs busy"),
    (
        hindsight.threads_by_cpus,
        RUNS,
        {"cpus": 0.5},
        "THREADS=128",
        "keeps 50.0 % of a CPU busy, and waits else; 128 need 128 GiB",
    ),
    (
        hindsight.memory_of_a_node,
        RUNS,
        {},
        "#SBATCH --mem=75G",
        "95 % of the tasks need at most 1 GiB, the largest 2 GiB",
    ),
    (
        hindsight.retries,
        RUNS,
        {"retried": 10, "failed_share": 0.21},
        "--retries 0",
        "10 tasks tried again, and none has succeeded then",
    ),
    (
        hindsight.retries,
        RUNS,
        {"retried": 40, "mended": 20},
        "--retries 5",
        "of 40 tasks tried again 20 have succeeded then, and 20 not",
    ),
    (hindsight.time_request, RUNS, {"stopped_share": 0.02}, "--time-request 90s", "2.0 % of the slots' time"),
    (
        hindsight.longest_first,
        RUNS,
        {"tail_share": 0.1},
        "put the longest tasks first in the list",
        "10.0 % of the slots' time",
    ),
    (hindsight.slow_nodes, RUNS, {"slow": (("n7", 3.4),)}, "#SBATCH --exclude=n7", "n7 3.4 times"),
    (
        hindsight.slow_nodes,
        RUNS,
        {"slow": tuple((f"n{i}", 2.0) for i in range(9))},
        "#SBATCH --exclude=n0,n1,n2,n3,n4,n5,n6,n7",
        "1 more",
    ),
]

# the other side of each threshold, one at a time
SILENT: list[tuple[Case, Any, dict[str, Any]]] = [
    (live.rank_on_each, START, {}),
    (live.rank_on_each, START, {"job_nodes": 0, "used": 1}),
    (live.one_worker_each, START, {"sharing": 1}),
    (live.one_worker_each, START, {"sharing": 2, "job_nodes": 0}),  # a laptop's mpiexec
    (live.manager_idle, START, {}),
    (live.threads_of_tasks, START, {}),
    (live.threads_of_tasks, START, TWO_CPUS | {"seen_cpus": 1}),
    (live.threads_of_tasks, START, TWO_CPUS | {"threads_set": True}),
    (live.cpus_of_a_worker, BOUND, {}),
    (live.cpus_of_a_worker, BOUND, {"cpus": 4, "slots": 4, "asked_slots": True}),
    (live.cpus_of_a_worker, BOUND, {"cpus": 1, "usable": 1, "theirs": 1, "slots": 1}),  # as it was asked for
    (live.cpus_of_a_worker, BOUND, {"cpus": 1, "usable": 1, "theirs": 1, "slots": 1, "asked_cpus": False, "in_job": False}),
    (live.quota_of_time, FEWER, {}),
    (live.descriptors, FEWER, {}),
    (live.crowded, CROWD, {}),
    (live.more_time, LATE, {}),
    (live.slots_by_memory, ROOM, {}),
    (live.slots_by_memory, ROOM, {"peak_kib": 600 * GIB, "node_kib": 0}),
    (live.slots_by_memory, ROOM, {"peak_kib": 0}),
    (live.slots_by_memory, ROOM, {"peak_kib": 600 * GIB, "ended": 63}),
    (live.slots_by_memory, ROOM, {"peak_kib": 600 * GIB, "ended": 9, "slots": 9}),  # nothing that has ended tells enough
    (live.elsewhere, END, {"stop": Stop.WORKERS_LEFT}),
    (live.longer_job, END, STOPPED),
    (live.mend, END, {}),
    (live.mend, END, {"done": 1}),
    (live.mend, END, {"done": 1, "failed": 1, "stop": Stop.LIMIT}),
    (live.repair, END, {"done": 1, "failed": 1}),
    (live.another_job, END, STOPPED),
    (live.another_job, END, STOPPED | KNOWN | {"ended": 9}),
    (live.another_job, END, STOPPED | KNOWN | {"in_job": False}),
    (live.another_job, END, STOPPED | KNOWN | {"stop": Stop.ASKED}),
    (live.go_on, END, {}),
    (hindsight.again, RUNS, {}),
    (hindsight.nodes_and_time, RUNS, {"succeeded": 0, "mean_s": 0.0}),
    (hindsight.nodes_and_time, RUNS, {"nodes": 0, "slots": 0}),
    (hindsight.threads_by_memory, RUNS, {}),
    (hindsight.threads_by_memory, RUNS, {"killed": 7, "killed_kib": GIB // 64 - 1}),  # a task that kills itself
    (hindsight.threads_by_memory, RUNS, {"killed": 7, "killed_kib": 8 * GIB, "slots": 1}),
    (hindsight.threads_by_cpus, RUNS, {}),
    (hindsight.threads_by_cpus, RUNS, {"cpus": 1.49}),
    (hindsight.threads_by_cpus, RUNS, {"cpus": 0.51}),
    (hindsight.threads_by_cpus, RUNS, {"cpus": 0.1, "mean_s": 0.99}),
    (hindsight.threads_by_cpus, RUNS, {"cpus": 0.1, "succeeded": 9}),
    (hindsight.threads_by_cpus, RUNS, {"cpus": 0.1, "killed": 7}),  # more at a time would need more memory
    (hindsight.threads_by_memory, RUNS, {"killed": 7, "killed_kib": GIB, "node_kib": 512 * GIB}),  # an eighth, together
    (hindsight.threads_by_cpus, RUNS, {"cpus": 0.25, "node_kib": 64 * GIB}),  # there is no memory for more
    (hindsight.memory_of_a_node, RUNS, {"succeeded": 9}),
    (hindsight.memory_of_a_node, RUNS, {"peak_kib": 0}),
    (hindsight.retries, RUNS, {"retried": 9}),
    (hindsight.retries, RUNS, {"retried": 40, "mended": 40}),  # enough of them
    (hindsight.retries, RUNS, {"retried": 40, "mended": 19}),
    (hindsight.time_request, RUNS, {"stopped_share": 0.019}),
    (hindsight.time_request, RUNS, {"stopped_share": 0.5, "usual_s": 0.9}),
    (hindsight.longest_first, RUNS, {"tail_share": 0.099}),
    (hindsight.longest_first, RUNS, {"tail_share": 0.2, "longest_s": 179.0}),  # it is no long task that holds them
    (hindsight.slow_nodes, RUNS, {}),
]
ALWAYS = {live.all_alike, live.gone}  # who asks has seen the case


@pytest.mark.parametrize(("case", "well", "changes", "line", "why"), CALLED)
def test_the_numbers_call_for_it(case: Case, well: Any, changes: dict[str, Any], line: str, why: str) -> None:
    given = case(replace(well, **changes))
    assert given is not None
    assert given.line == line
    assert why in given.why


@pytest.mark.parametrize(("case", "well", "changes"), SILENT)
def test_nothing_is_advised_that_nothing_calls_for(case: Case, well: Any, changes: dict[str, Any]) -> None:
    assert case(replace(well, **changes)) is None


def test_every_case_is_in_the_table_once_and_tested_on_both_sides() -> None:
    cases: list[Case] = [case for cases in advice.TABLE.values() for case in cases]
    assert len(cases) == len(set(cases))
    assert {case for case, *_ in CALLED} | {hindsight.how_many} == set(cases)
    assert {case for case, *_ in SILENT} | ALWAYS | {hindsight.how_many} == set(cases)
    defined = {
        value
        for module in (live, hindsight)
        for value in vars(module).values()
        if callable(value) and getattr(value, "__module__", "") == module.__name__ and not value.__name__.startswith("_")
    }
    assert defined - {live.fitting} == set(cases)


def test_the_most_important_comes_first() -> None:
    given = advice.advise(advice.NEXT_TIME, replace(RUNS, left=10, failed=10, slow=(("n7", 3.4),)))
    assert [one.line.split()[0] for one in given] == ["python", "#SBATCH", "#SBATCH", "#SBATCH"]


@pytest.mark.parametrize(
    ("changes", "case"),
    [
        ({"failed": 3, "done": 0, "stop": Stop.NO_WORKER}, live.elsewhere),
        ({"failed": 3, "done": 0, "stop": Stop.TOO_SHORT}, live.longer_job),
        ({"failed": 3, "done": 997}, live.mend),
        ({"failed": 3, "done": 9, "stop": Stop.MAX_FAILS}, live.mend),
        ({"failed": 3, "done": 997, "stop": Stop.TROUBLE}, live.repair),
        ({"done": 1000, "stop": Stop.TROUBLE}, live.repair),
        (STOPPED | KNOWN | {"failed": 3}, live.another_job),
        ({"failed": 3, "done": 9, "stop": Stop.ASKED}, live.go_on),
        ({"done": 9, "stop": Stop.WORKERS_LEFT}, live.go_on),
    ],
)
def test_at_the_end_there_is_one_thing_to_do_next(changes: dict[str, Any], case: Case) -> None:
    end = replace(END, **changes)
    assert advice.first(advice.AT_END, end) == case(end) is not None


@pytest.mark.parametrize("stop", list(Stop))
def test_whatever_ends_a_run_that_leaves_something_there_is_something_to_do(stop: Stop) -> None:
    assert advice.first(advice.AT_END, replace(END, done=9, failed=1, stop=stop))


@pytest.mark.parametrize(
    "name", ["tasks.txt", "a b.txt", "a'b", "$x;rm", "-j", "a\nb", "\x1b[2J\u202e", "\udcff", "a\\'\n", "ü"]
)
def test_what_is_to_be_typed_means_the_file_whatever_that_is_called(name: str) -> None:
    given = live.mend(replace(END, done=1, failed=1, name=name, program="printf '%s\\n'", fresh="/dev/stdout"))
    assert given is not None
    assert given.line.isprintable()
    printed = subprocess.run(["bash", "-c", given.line], capture_output=True, check=True).stdout
    assert printed == b"--failed\n" + name.encode(errors="surrogateescape") + b"\n"


@pytest.mark.parametrize(
    ("work", "longest", "slots", "most", "nodes"), [(1e6, 10, 64, 4, 4), (1280, 10, 64, 4, 2), (1, 10, 64, 4, 1)]
)
def test_no_more_nodes_than_the_longest_task_leaves_work_for(
    work: float, longest: float, slots: int, most: int, nodes: int
) -> None:
    assert allocation.nodes_for(work, longest, slots, most) == nodes


def choices(*seconds: float) -> list[Choice]:
    return [Choice(2**power, time) for power, time in enumerate(seconds)]


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
    found = hindsight.how_many(choices(*seconds))
    assert found
    assert found.line == line
    assert words in found.why


@pytest.mark.parametrize("seconds", [(), (60.0,), (0.0, 0.0)])
def test_where_there_is_nothing_to_choose_nothing_is_advised(seconds: tuple[float, ...]) -> None:
    assert hindsight.how_many(choices(*seconds)) is None


def test_what_to_do_about_lines_is_one_line_each() -> None:
    assert set(advice.LINES) <= set(Fault)
    assert all(text and "\n" not in text for text in advice.LINES.values())


# What is to be typed: an option or a variable with a value, a command, a line of a batch script.
TYPED = re.compile(
    r"THREADS=|#SBATCH|--(time-request|retries|manager-works|walltime|timeout|bind-to|max-fails 0|mem|ntasks)\b"
    r"|\b(srun|sbatch|mpiexec|scancel|ulimit) (?!of )|-m mpifarm|start (the same line )?again|start elsewhere"
    r"|would have been"
)
# Who refuses a start, and says in the same sentence which ways out there are.
REFUSALS = {"ranks/deadline": "refuse_short_job", "ranks/farm": "_connect"}
TABLE_FILES = {"view/advice", "view/live", "view/hindsight", "view/allocation", "view/facts"}


def spoken(tree: ast.Module, silent: str) -> Iterator[str]:
    """Yield the texts of a file: no docstring, what is not raised, and stands in no function that is named in *silent*."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in silent.split():
            node.body = []
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
        if isinstance(node, ast.Raise):
            node.exc = None
    yield from (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


ROOT = Path(mpifarm.__file__).parent
FILES = sorted(f"{wing}/{path.stem}" for wing in ("view", "ranks") for path in (ROOT / wing).glob("*.py"))


@pytest.mark.parametrize("name", [name for name in FILES if name not in TABLE_FILES])
def test_nobody_who_speaks_of_a_run_advises_but_the_table(name: str) -> None:
    tree = ast.parse((ROOT / f"{name}.py").read_text())
    assert [text for text in spoken(tree, REFUSALS.get(name, "")) if TYPED.search(text)] == []


@pytest.mark.parametrize("name", sorted({"view/live", "view/hindsight", *REFUSALS}))
def test_where_there_is_advice_or_a_refusal_that_is_seen(name: str) -> None:
    assert any(TYPED.search(text) for text in spoken(ast.parse((ROOT / f"{name}.py").read_text()), ""))
