"""No test leaves so much open that select(2) of a later one cannot count so far."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

_MANY = 300  # descriptors
_OPEN = Path("/proc/self/fd")


@pytest.fixture(autouse=True)
def descriptors_are_closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Close what tests have left open, when it has become much: the files of lists that were opened and not run.

    And no others: pytest, and multiprocessing, have some of their own.
    """
    yield
    if not _OPEN.is_dir() or len(os.listdir(_OPEN)) < _MANY:
        return
    gc.collect()
    ours = str(tmp_path_factory.getbasetemp())
    for entry in list(_OPEN.iterdir()):
        with suppress(OSError):  # the one that this has opened itself
            if os.readlink(entry).startswith(ours):
                os.close(int(entry.name))
