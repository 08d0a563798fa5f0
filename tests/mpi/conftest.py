"""Every farm that a test starts ends with the test, whatever the test does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .farms import Farms


@pytest.fixture
def farms(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farms]:
    """Farms in a directory of their own."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("the processes of a farm are found through /proc, which only Linux has")
    farms = Farms(tmp_path, tmp_path_factory.mktemp("scratch"))
    yield farms
    farms.end()
