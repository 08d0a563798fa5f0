"""Who works where is told, and what of the allocation lies idle; what may well be meant is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpifarm.settings import Config, Job
from mpifarm.site.offer import Offer
from mpifarm.view import logbook
from mpifarm.view.placement import least_memory_kib, memory_words, placement

SET = frozenset({"OMP_NUM_THREADS"})


def job(nodes: int, cpus: int = 0, uneven: bool = False, given: int = 8) -> Job:
    return Job("1", 0, nodes, cpus, None, uneven, given)


def told(*offers: Offer, **settings: object) -> list[str]:
    """Return what is said beyond the first line; rank 0 is on n1, as a worker is, unless told otherwise."""
    config = Config("l", **{"node": "n1", "cpus": 8, "variables": SET, **settings})  # type: ignore[arg-type]
    first, *others = placement(dict(enumerate(offers)), config)
    assert first.startswith(f"{len(offers)} worker")
    return others


def test_the_first_line_counts() -> None:
    offers = {1: Offer(4, 4, 4, "n1", 4), 2: Offer(4, 4, 4, "n2", 4)}
    assert placement(offers, Config("l", node="n1")) == ["2 workers on 2 nodes, 8 slots"]
    assert placement({1: Offer(1, 4, 4, "n1", 4)}, Config("l", node="n1", threads=1)) == ["1 worker on 1 node, 1 slot"]


@pytest.mark.parametrize(
    ("known_mib", "words"),
    [
        ((64_000, 64_000), "64000 MiB a node"),
        ((64_000, 32_000), "at least 32000 MiB a node"),
        ((64_000, 0), "64000 MiB a node"),
        ((0, 0), ""),
    ],
)
def test_of_memory_the_least_of_the_nodes_is_told_and_read_again(
    known_mib: tuple[int, int], words: str, tmp_path: Path
) -> None:
    offers = [Offer(1, 1, 1, f"n{mib}", 1, 1024 * mib) for mib in known_mib]
    assert memory_words(offers) == words
    log = tmp_path / "log"
    log.write_text(f"2026-11-30 12:00:00 started: 2 workers on 2 nodes, 2 slots, {words}, mpifarm 0.1.0\n")
    assert logbook.read(log).node_kib == least_memory_kib(offers)


@pytest.mark.parametrize(
    ("offers", "settings"),
    [
        ([Offer(8, 8, 8, "n1", 8)], {"job": job(1)}),
        ([Offer(4, 8, 8, "n1", 8)] * 2, {}),  # a laptop's mpiexec
        ([Offer(1, 1, 4, "n1", 4)], {"threads": 1}),
        ([Offer(4, 2, 2, "n1", 2)], {"threads": 4}),  # tasks that wait now and then
        ([Offer(1, 1, 1, "n1", 128)], {"job": job(1, given=1)}),  # as it was asked for
        ([Offer(1, 1, 1, "n1", 128)], {"job": job(1, given=0), "threads": 1}),
        ([Offer(1, 1, 1, "n1", 128)], {}),  # a container's cpuset
        ([Offer(4, 4, 4, "n1", 128)], {"job": job(1, given=0)}),  # a part of a shared node, by -n 4
        ([Offer(64, 64, 64, "n1", 64)], {"job": job(2, 128, uneven=True, given=64), "node": "n1"}),
    ],
)
def test_what_may_be_meant_is_silent(offers: list[Offer], settings: dict[str, object]) -> None:
    assert [notice for notice in told(*offers, **settings) if "nodes and" not in notice] == []


@pytest.mark.parametrize(
    ("offers", "settings", "notice"),
    [
        (
            [Offer(8, 8, 8, "n1", 8)],
            {"node": "n0", "job": job(2), "cpus": 128},
            "n0: manager, runs nothing here; to use its 128 CPUs, too: --manager-works",
        ),
        (
            [Offer(8, 8, 8, "n1", 8)],
            {"node": "n0", "cpus": 1},
            "n0: manager, runs nothing here; to use its 1 CPU, too: --manager-works",
        ),
        (
            [Offer(8, 8, 8, "n1", 8)],
            {"job": job(2)},
            "the job has 2 nodes and 1 in use, start one rank on each: srun -N 2",
        ),
        (
            [Offer(4, 8, 8, "n1", 8)] * 2,
            {"job": job(1)},
            "2 workers share node n1, one is enough: srun --ntasks-per-node=1",
        ),
        ([Offer(1, 1, 1, "n1", 2)], {"job": job(1, 4, given=0)}, "n1: 1 of 4 CPUs: srun -c 4"),
        (
            [Offer(1, 1, 1, "n1", 4)],
            {"job": job(1, given=0)},
            "n1: 1 of 4 CPUs: srun -c 4, and #SBATCH -c 4 in a batch script",
        ),
        (
            [Offer(1, 1, 1, "n1", 64)],
            {"job": job(1, 128, uneven=True)},
            "n1: 1 of 64 CPUs: srun -c 64",
        ),
        (
            [Offer(8, 1, 8, "n1", 8)],
            {"job": job(1, 8), "threads": 8},
            "n1: bound to 1 of 8 CPUs, its tasks may use all; without the binding: srun -c 8",
        ),
        (
            [Offer(1, 1, 4, "n1", 4)],
            {},
            "n1: bound to 1 of 4 CPUs, for 1 slot: mpiexec --bind-to none, or THREADS=4",
        ),
        (
            [Offer(64, 4, 4, "n1", 4)],
            {"threads": 64},
            "n1: 64 slots on 4 CPUs, which is slower unless the tasks mostly wait: THREADS=4",
        ),
        (
            [Offer(8, 2, 2, "n1", 2)] * 2,  # a laptop: both have the same two
            {"threads": 8},
            "n1: 16 slots on 2 CPUs, which is slower unless the tasks mostly wait: THREADS=1",
        ),
    ],
)
def test_what_lies_idle_or_is_crowded_is_told_with_node_and_numbers(
    offers: list[Offer], settings: dict[str, object], notice: str
) -> None:
    assert told(*offers, **settings) == [notice]


def test_two_ranks_of_a_job_have_cpus_of_their_own() -> None:
    assert told(*[Offer(8, 4, 4, "n1", 128)] * 2, job=job(1), threads=8)[1:] == []


def test_nodes_of_which_the_same_is_said_share_a_line() -> None:
    offers = [Offer(1, 1, 1, f"n{number}", 4) for number in (1, 2, 3)] + [Offer(1, 1, 1, "n4", 8)]
    lines = told(*offers, job=job(4, given=0))
    assert [line.split(": srun")[0] for line in lines] == ["n1 and 2 more nodes: 1 of 4 CPUs", "n4: 1 of 8 CPUs"]


@pytest.mark.parametrize(
    ("slots", "cpus", "usable", "advice"),
    [
        (128, 128, 128, "takes all 128 CPUs, and 128 run at a time: export OMP_NUM_THREADS=1"),
        (8, 128, 128, "takes all 128 CPUs, and 8 run at a time: export OMP_NUM_THREADS=16"),
        (8, 1, 16, "takes all 16 CPUs, and 8 run at a time: export OMP_NUM_THREADS=2"),  # they are not bound as we are
        (4, 128, 128, None),
        (2, 2, 2, None),
        (8, 1, 1, None),
    ],
)
def test_threads_of_tasks_are_told_of_where_many_would_start_them(
    slots: int, cpus: int, usable: int, advice: str | None
) -> None:
    offer = Offer(slots, cpus, usable, "n1", usable)
    lines = [line for line in told(offer, threads=slots, variables=frozenset()) if "OMP" in line]
    assert lines == ([f"OMP_NUM_THREADS is not set, a task that uses threads {advice}"] if advice else [])


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"])
def test_who_has_set_threads_needs_no_advice(name: str) -> None:
    assert told(Offer(128, 128, 128, "n1", 128), variables=frozenset({name})) == []
