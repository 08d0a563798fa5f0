"""The plan of --check held against real runs on one, two and three nodes. What they come to is printed (pytest -s).

No time is asserted, since a machine may be busy; of four nodes, of which there are none here: `tests/mpi/test_check.py`.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pytest

from mpifarm.view import attempts
from mpifarm.view import plan as played

from .cluster import Jobs

SLOTS = 4
BEFORE, TASKS = 24, 96  # tasks: what the plan knows run times from, and what it is of

ROW = re.compile(
    r"tasks\.txt: +(?P<nodes>\d+) +(?P<time>[\d.]+) (?P<unit>s|min) +(?P<hours>[<\d.]+) +(?P<lines>#SBATCH -N \d+.*)"
)


def plan(jobs: Jobs, most: int, *options: str) -> dict[int, float]:
    """Return what --check prints of each number of nodes, in seconds."""
    command = ("python", "-m", "mpifarm", "--check", "--nodes", str(most), "-j", str(SLOTS), *options, "tasks.txt")
    ended = jobs.start(*command).wait()
    assert (ended.code, ended.err) == (0, "")
    rows = [row for line in ended.out.decode().splitlines() if (row := ROW.fullmatch(line))]
    assert [row["lines"].split(" -t ")[0] for row in rows] == [f"#SBATCH -N {row['nodes']}" for row in rows]
    return {int(row["nodes"]): float(row["time"]) * (60 if row["unit"] == "min" else 1) for row in rows}


def run(jobs: Jobs, nodes: int, *options: str) -> None:
    """Run what is left of the list."""
    arguments = ("--threads", str(SLOTS), *options, "tasks.txt")
    ended = jobs.farm("-N", str(nodes), "-c", str(SLOTS), arguments=arguments).wait()
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    ("ranks", "working"), [(1, 1), (2, 2), (3, 3), (2, 1), (3, 2)], ids=["1", "2", "3", "1-of-2", "2-of-3"]
)
def test_what_is_planned_from_earlier_runs_beside_a_real_one(jobs: Jobs, ranks: int, working: int) -> None:
    options = ("--manager-works",) if ranks == working else ()
    draw = random.Random(1)
    lengths = [round(draw.lognormvariate(-0.3, 0.5), 2) for _ in range(BEFORE + TASKS)]
    lines = [f"sleep {length}" for length in lengths]
    jobs.farms.tasks(*lines[:BEFORE])
    alike = plan(jobs, 4, "--task-time", f"{np.mean(lengths[:BEFORE]):.2f}s")
    assert list(alike) == [1, 2, 4]
    run(jobs, 3, "--manager-works")
    offsets = jobs.farms.tasks(*lines)  # the list has grown
    planned = plan(jobs, 4) | plan(jobs, working)
    assert sorted(planned) == sorted({1, 2, 4, working})
    assert planned[1] >= planned[2] >= planned[4]
    run(jobs, ranks, *options)
    assert sorted(jobs.farms.progress()) == offsets
    rows = attempts.read(Path(jobs.directory / "joblog.tasks.txt.tfin")).rows[BEFORE:]
    assert len(set(rows["node"].tolist())) == working
    span_s = float((rows["start"] + rows["seconds"]).max() - rows["start"].min())
    assert rows["seconds"].sum() / (working * SLOTS) <= span_s + 0.002  # or the joblog's times would be no times
    known, _ = played.plan(np.array(lengths[BEFORE:]), working, SLOTS)
    told = f"planned {planned[working]:.1f} s (ratio {planned[working] / span_s:.2f})"
    told += f", from the times themselves {known.seconds:.1f} s ({known.seconds / span_s:.2f})"
    print(f"\n{working} working of {ranks} nodes: took {span_s:.1f} s, {told}")
