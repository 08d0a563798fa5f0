"""Any offset is known for what it is: a task, another record, or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from lists import CHUNKS, CONTENTS, TFIN, scanned, tasks_of

from mpifarm.tasks.scan import position, records_at


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@given(CONTENTS, CHUNKS)
def test_every_offset_is_known_for_what_it_is(content: bytes, chunk_bytes: int) -> None:
    _, scan = scanned(content, chunk_bytes)
    tasks = {task[0]: task for task in tasks_of(content)}
    starts = dict.fromkeys(at for at in range(scan.size) if at == 0 or TFIN.read_bytes()[at - 1 : at] == b"\n")
    offsets = np.arange(-1, scan.size + 2)
    found, is_task = records_at(scan, offsets)
    assert found["offset"].tolist() == offsets.tolist()
    assert found["offset"][found["length"] > 0].tolist() == list(starts)
    assert [tuple(record) for record in found[is_task].tolist()] == list(tasks.values())
    assert [at for at in offsets if position(scan, int(at))] == sorted({0, *starts, scan.size})
