"""`python -m tests.bench`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from mpifarm import FarmError

from . import checked, dealing, each, edited, expand, idle, lists, makespan, output, report, sight, spawn, startup
from .harness import Failed, Plan
from .peers import Peers
from .table import Row, text

BENCHMARKS = {
    "spawn": spawn.rows,
    "makespan": makespan.rows,
    "startup": startup.rows,
    "idle": idle.rows,
    "lists": lists.rows,
    "each": each.rows,
    "edited": edited.rows,
    "expand": expand.rows,
    "dealing": dealing.rows,
    "output": output.rows,
    "report": report.rows,
    "checked": checked.rows,
    "sight": sight.rows,
}


def main() -> int:
    """Run the benchmarks and print the table."""
    options = _parser().parse_args()
    rows: list[tuple[str, Row]] = []
    try:
        with tempfile.TemporaryDirectory(prefix="mpifarm-bench-") as directory:
            peers = Peers(Path(directory))
            if options.setup:
                peers.install()
                peers = Peers(Path(directory))
            header = [*peers.machine(), f"{options.rounds} rounds, scale {options.scale:g} (the goals are for scale 1)"]
            for name in options.only or BENCHMARKS:
                began = time.monotonic()
                (Path(directory) / name).mkdir()
                plan = Plan(options.rounds, options.scale, Path(directory) / name)
                rows += [(name, row) for row in BENCHMARKS[name](plan, peers)]
                print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    except (FarmError, Failed) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    header.append(f"load average at the end {os.getloadavg()[0]:.1f}")
    print("\n".join([*header, "", text([row for _, row in rows])]))
    if options.json:
        content = {"machine": header, "rows": [{"benchmark": name, **row.json()} for name, row in rows]}
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure mpifarm beside its peers and limits."
    )
    add = options.add_argument
    add("--only", choices=BENCHMARKS, action="append", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; may be repeated")
    add("--rounds", type=int, default=5, metavar="N", help="contestants take turns so often [5]")
    add("--scale", type=float, default=0.1, metavar="X", help="of the goals' number of tasks [0.1]")
    add("--json", type=Path, metavar="FILE", help="write every sample to FILE")
    add("--setup", action="store_true", help="install the peers that are missing: PyPI, and apt-get if you are root")
    return options


if __name__ == "__main__":
    sys.exit(main())
