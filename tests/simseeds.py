"""Ranges of seeds of a simulation, on all cores: python tests/simseeds.py FROM TO. Prints what fails and a last line."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

CHUNK = 25


def failures(name: str, seeds: range) -> list[str]:
    """Run some seeds of the simulation *name*; return a line for each that failed, with the command that replays it."""
    simulation = importlib.import_module(name)
    failed = []
    for seed in seeds:
        try:
            simulation.run(seed)
        except Exception as error:  # whatever it is, the other seeds are worth knowing
            failed.append(f"python tests/{name}.py {seed}  # {type(error).__name__}: {error}")
    return failed


def hunt(first: int, last: int, name: str = "simulation") -> Iterator[str]:
    """Run the seeds from *first* on, up to *last*; yield a line for each that failed."""
    chunks = [range(begin, min(begin + CHUNK, last)) for begin in range(first, last, CHUNK)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for lines in pool.map(partial(failures, name), chunks):
            yield from lines


def main(first: int, last: int) -> int:
    """Print what fails, and how it went."""
    began, failed = time.monotonic(), 0
    for line in hunt(first, last):
        failed += 1
        print(line, flush=True)
    took_s = time.monotonic() - began
    print(f"{last - first} seeds, {failed} failed, {(last - first) / took_s:.0f} a second")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
