"""No test leaves so much open that select(2) of a later one cannot count so far."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

_MANY = 300  # descriptors


def _open() -> set[int]:
    return {int(name) for name in os.listdir("/dev/fd")}


@pytest.fixture(scope="session")
def open_at_first() -> set[int]:
    return _open()


@pytest.fixture(autouse=True)
def descriptors_are_closed(open_at_first: set[int]) -> Iterator[None]:
    """Close what tests have left open, when it has become much: the files of lists that were opened and not run."""
    yield
    if len(os.listdir("/dev/fd")) < _MANY:
        return
    gc.collect()
    for descriptor in _open() - open_at_first:
        with suppress(OSError):  # the one that listdir used
            os.close(descriptor)
