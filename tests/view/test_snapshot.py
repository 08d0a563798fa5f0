"""The status file: what it says is what its documentation says, and what is none is refused."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpifarm.view import snapshot
from mpifarm.view.snapshot import Longest, Node, Reason, Snapshot, Tasks, Unreadable

FULL = Snapshot(
    snapshot.SCHEMA, "tasks.txt", "running", Tasks(10, 3, 1, 2, 4), 1000.0, 2.5,
    snapshot.Run("n1", 4711, "812", 900.0, None, 2000.0, 3, "why"),
    snapshot.Attempts(4, 3, 2), snapshot.Times(3, 1.0, 2.0, 3.0), snapshot.Memory(1000.0, 2000.0), 64_000_000,
    snapshot.Slots(4, 2, 0.5), 0.5, snapshot.End(1100.0, 1200.0, True),
    (Node("n1", 4, 2, 3, 4, 0.5, 1.0, 0.1, 0.0, "lost", 950.0),), snapshot.Others(),
    (Longest(7, "n1", 990.0, 1, "./fit \x1b[31m"),), (Reason("exit code 1", "no #", 4, 1, (3, 4), "./fit 3", 5000),), 1,
)  # fmt: skip
TYPES: dict[str, type | tuple[type, ...]] = {"int": int, "float": (int, float), "text": str, "bool": bool}


def documented() -> dict[str, str]:
    """Return name -> type of the table in the module's docstring."""
    return dict(re.findall(r"^    ([a-z_.\[\]0-9]+) +(\w+\??)(?= |$)", snapshot.__doc__ or "", re.MULTILINE))


def leaves(value: Any, name: str = "") -> dict[str, Any]:
    """Return name -> value of all that a document holds."""
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for key, inner in value.items():
            found |= leaves(inner, f"{name}.{key}" if name else key)
        return found
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return leaves(value[0], f"{name}[]")
    return {name: value}


def test_the_document_is_what_its_table_says() -> None:
    told = leaves(json.loads(FULL.text()))
    table = documented()
    assert told.keys() == table.keys()
    for name, value in told.items():
        kind = table[name]
        if value is None:
            assert kind.endswith("?"), name
        elif kind == "ints":
            assert all(isinstance(one, int) for one in value)
        else:
            assert isinstance(value, TYPES[kind.removesuffix("?")]), name


def test_it_begins_as_programs_expect_and_has_no_control_character() -> None:
    text = FULL.text()
    assert text.startswith(b'{"schema": 1, "list": "tasks.txt", "state": "running", "tasks": {"total": 10, "done": 3,')
    assert list(json.loads(text)["tasks"]) == ["total", "done", "failed", "running", "waiting", "blocked", "not_run"]
    assert text.removesuffix(b"\n").decode("ascii").isprintable()


def test_what_was_written_is_read() -> None:
    assert snapshot.parse(FULL.text(), "tasks.txt") == FULL


def test_what_an_older_one_could_not_tell_is_not_known() -> None:
    older = FULL.text().replace(b' "memory_kib": 64000000,', b"")
    assert older != FULL.text()
    assert snapshot.parse(older, "tasks.txt") == FULL._replace(memory_kib=None)


@given(st.integers(0, len(FULL.text()) - 3))
def test_a_torn_file_is_refused(length: int) -> None:
    with pytest.raises(Unreadable):
        snapshot.parse(FULL.text()[:length], "tasks.txt")


@given(st.integers(0, len(FULL.text()) - 2), st.binary(max_size=3))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(at: int, change: bytes) -> None:
    text = FULL.text()
    with suppress(Unreadable):
        snapshot.parse(text[:at] + change + text[at + len(change) :], "tasks.txt")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "half written"),
        (b"[]", "not a status file"),
        (b'{"schema": "1"}', "not a status file"),
        (FULL.text().replace(b'"schema": 1', b'"schema": 2'), "is of schema 2"),
        (FULL._replace(state="unheard of").text(), "damaged"),
        (FULL._replace(tasklist="other.txt").text(), "about another list"),
        (FULL.text().replace(b'"done": 3', b'"done": true'), "damaged"),
        (FULL.text().replace(b'"rate": 0.5', b'"rate": NaN'), "damaged"),
        (b"[" * 100_000, "half written"),
    ],
)
def test_what_is_no_status_file_is_told_with_the_reason(text: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        snapshot.parse(text, "tasks.txt")
