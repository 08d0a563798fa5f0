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

from mpifarm.ended import Ended

SEEDS, FEW = 3000, 600
PARTS = 4  # of the faults of a file, for as many processors
FAULTS = {
    "equal": (PROGRESS,),
    "equal, --output": (PROGRESS, JOBLOG, FASTRECOVERY, LOG, LOCK),
    "varying, --output": (PROGRESS, JOBLOG, FASTRECOVERY, TFIN),
    "finished": (PROGRESS, JOBLOG, TFIN, DONE, LOCK),
    "TaskFarmer": (PROGRESS, FASTRECOVERY),
    "TaskFarmer, then ours": (FASTRECOVERY, JOBLOG),
}


def test_a_timeout_with_exit_code_0_is_no_success_that_progress_lacks() -> None:
    with fuzz.scratch():
        fuzz.lay({str(fuzz.LIST): fuzz.EQUAL})
        play = fuzz.Play(output=False)
        play.deal(2)
        play.end(0, flags=Ended.TIMED_OUT)
        play.end(1)
        play.kill()
        joblog = fuzz.NAMES.joblog.read_bytes().splitlines(keepends=True)
        sample = fuzz.sample_of(output=False)
        fuzz.lay(sample.files | {JOBLOG: b"".join(joblog[:-1])})  # the kill was between progress and joblog
        assert fuzz.reopened(sample) == set(sample.done) == {10}


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as executor:
        yield executor


@pytest.mark.long
@pytest.mark.parametrize(("sample", "file"), [(sample, file) for sample, files in FAULTS.items() for file in files])
def test_one_bad_byte_costs_one_record_at_most(sample: str, file: str, pool: ProcessPoolExecutor) -> None:
    parts = pool.map(partial(fuzz.broken, sample, file, parts=PARTS), range(PARTS))
    failed = [line for lines in parts for line in lines]
    assert not failed, "\n" + "\n".join(failed[:20])


def test_no_list_and_no_journal_ends_in_a_traceback(pool: ProcessPoolExecutor, pytestconfig: pytest.Config) -> None:
    seeds = int(os.environ.get("MPIFARM_FUZZ", SEEDS if pytestconfig.getoption("--all") else FEW))
    chunks = [range(at, min(at + fuzz.CHUNK, seeds)) for at in range(0, seeds, fuzz.CHUNK)]
    failed = [f"{text}python tests/fuzz.py 1 {seed}" for seed, text in filter(None, pool.map(fuzz.first_failure, chunks))]
    assert not failed, "\n" + failed[0]
