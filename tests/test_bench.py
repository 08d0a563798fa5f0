"""The benchmarks run: all of them, at their smallest, with the peers that are there. What they find is not judged here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mpi import farms

ROOT = Path(__file__).parents[1]
DEADLINE_S = 600.0
BENCHMARKS = {
    *("spawn", "makespan", "startup", "idle", "lists", "each", "edited", "expand", "dealing", "output", "report"),
    "checked",
}


def run_bench(*arguments: str, program: str = "tests.bench") -> str:
    """Return what `python -m tests.bench` prints."""
    command = [sys.executable, "-m", program, *arguments]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as bench:
        try:
            out, err = bench.communicate(timeout=DEADLINE_S)
        finally:
            bench.send_signal(signal.SIGINT)  # it then ends what it has started
    assert bench.returncode == 0, err
    return out


@pytest.mark.long
def test_every_benchmark_runs_and_has_its_line_in_the_table(tmp_path: Path) -> None:
    farms.mpiexec()  # or skip
    found = tmp_path / "found.json"
    table = run_bench("--scale", "0.0005", "--rounds", "1", "--json", str(found))
    rows = json.loads(found.read_text())["rows"]
    assert {row["benchmark"] for row in rows} == BENCHMARKS
    for row in rows:
        assert row["what"] in table
        assert len(row["ours"]) == 1
        assert row["theirs"] is None or len(row["theirs"]) == 1
    speeds = [row["ours"][0] for row in rows if row["unit"] in ("tasks/s", "MB/s")]
    assert speeds
    assert min(speeds) > 0


@pytest.mark.long
def test_the_curves_are_drawn(tmp_path: Path) -> None:
    farms.mpiexec()  # or skip
    if not os.environ.get("CI"):
        pytest.importorskip("matplotlib")
    picture = tmp_path / "curves.png"
    run_bench(str(picture), "--scale", "0.0005", "--rounds", "1", program="tests.bench.curves")
    assert picture.read_bytes().startswith(b"\x89PNG")
