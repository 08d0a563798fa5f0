"""A farm of two workers in a directory of its own, and a worker, both played."""

from __future__ import annotations

from pathlib import Path

import pytest

from .played import LIST, Farm, MakeFarm, Rank


@pytest.fixture
def make_farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeFarm:
    monkeypatch.chdir(tmp_path)
    Path("tasks.txt").write_text(LIST)
    return Farm


@pytest.fixture
def rank(tmp_path: Path) -> Rank:
    return Rank(tmp_path)
