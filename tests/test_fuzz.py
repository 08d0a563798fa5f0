"""Every byte of what a run has left, cut off, zeroed, flipped; and some thousand random lists and journals."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import fuzz
import pytest
from fuzz import DONE, FASTRECOVERY, JOBLOG, LOCK, LOG, PROGRESS, TFIN

SEEDS = int(os.environ.get("MPIFARM_FUZZ", "3000"))
PARTS = 4  # of the faults of a file, for as many processors
FAULTS = {
    "equal": (PROGRESS,),
    "equal, --output": (PROGRESS, JOBLOG, FASTRECOVERY, LOG, LOCK),
    "varying, --output": (PROGRESS, JOBLOG, FASTRECOVERY, TFIN),
    "finished": (PROGRESS, JOBLOG, TFIN, DONE, LOCK),
    "TaskFarmer": (PROGRESS, FASTRECOVERY),
    "TaskFarmer, then ours": (FASTRECOVERY, JOBLOG),
}


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as executor:
        yield executor


@pytest.mark.parametrize(("sample", "file"), [(sample, file) for sample, files in FAULTS.items() for file in files])
def test_one_bad_byte_costs_one_record_at_most(sample: str, file: str, pool: ProcessPoolExecutor) -> None:
    parts = pool.map(partial(fuzz.broken, sample, file, parts=PARTS), range(PARTS))
    failed = [line for lines in parts for line in lines]
    assert not failed, "\n" + "\n".join(failed[:20])


def test_no_list_and_no_journal_ends_in_a_traceback(pool: ProcessPoolExecutor) -> None:
    chunks = [range(at, min(at + fuzz.CHUNK, SEEDS)) for at in range(0, SEEDS, fuzz.CHUNK)]
    failed = [f"{text}python tests/fuzz.py 1 {seed}" for seed, text in filter(None, pool.map(fuzz.first_failure, chunks))]
    assert not failed, "\n" + failed[0]
