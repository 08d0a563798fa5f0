"""No file is touched without a proof: of the lock, and of what was read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import FakeLock, open_journal, warrant

from mpifarm import files
from mpifarm.journal import journal
from mpifarm.journal.appender import Appender
from mpifarm.journal.identity import Identity
from mpifarm.journal.lock import TakenOver
from mpifarm.journal.names import Names
from mpifarm.journal.resume import Resume
from mpifarm.journal.warrant import Warrant

NAMES = Names(Path("tasks.txt.tfin"))
OUT = Path("all.out")
RUN = Identity("/tasks.txt", "/", None)
KEPT = 70_000  # bytes, more than are looked at from the end on

DEEDS: dict[str, Callable[[Warrant], object]] = {
    "cut": lambda may: Appender(OUT, may),
    "remove": lambda may: may.remove(OUT),
    "replace": lambda may: files.replace(OUT, b"new", may.prove),
    "reopen": lambda may: journal.reopen(NAMES, may),
    "forget": lambda may: journal.forget(NAMES, RUN, may),
    "confirm": lambda may: may.confirm(),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    OUT.write_bytes(b"x" * KEPT + b"torn")
    for path in (NAMES.progress, NAMES.fastrecovery, NAMES.done):
        path.write_bytes(b"of an earlier run\n")


def snapshot() -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in Path().iterdir()}


@pytest.mark.parametrize("deed", DEEDS)
def test_who_has_lost_the_lock_touches_nothing(deed: str) -> None:
    lock = FakeLock()
    may = warrant(OUT, lock=lock)
    may.judge(OUT, KEPT)
    lock.held = False
    before = snapshot()
    with pytest.raises(TakenOver):
        DEEDS[deed](may)
    assert snapshot() == before


@pytest.mark.parametrize("deed", DEEDS)
def test_who_has_it_is_asked_before_each_of_them(deed: str) -> None:
    lock = FakeLock()
    may = warrant(OUT, lock=lock)
    DEEDS[deed](may)
    assert lock.asked


def test_what_is_cut_is_what_was_read() -> None:
    may = warrant(OUT)
    may.judge(OUT, KEPT)
    may.confirm()
    assert Appender(OUT, may).size == KEPT
    assert OUT.read_bytes() == b"x" * KEPT


HARM: dict[str, Callable[[], object]] = {
    "has grown": lambda: OUT.write_bytes(OUT.read_bytes() + b"more"),
    "was cut": lambda: OUT.write_bytes(OUT.read_bytes()[:-1]),
    "ends otherwise": lambda: OUT.write_bytes(b"x" * KEPT + b"TORN"),
    "is gone": OUT.unlink,
}


@pytest.mark.parametrize("harm", HARM)
def test_what_has_changed_since_it_was_read_is_not_cut(harm: str) -> None:
    may = warrant(OUT)
    may.judge(OUT, KEPT)
    HARM[harm]()
    before = snapshot()
    with pytest.raises(OSError, match="somebody else has changed it"):
        may.confirm()
    assert snapshot() == before
    with pytest.raises(OSError, match="somebody else has changed it"):
        Appender(OUT, may)
    assert {name: what for name, what in snapshot().items() if what[1]} == before


def test_nor_is_what_is_kept_and_has_changed_far_from_the_end() -> None:
    OUT.write_bytes(b"x" * KEPT + b"block that no line tells of\n" * 5000)
    may = warrant(OUT)
    may.judge(OUT, KEPT)
    OUT.write_bytes(b"x" * (KEPT - 1) + b"y" + OUT.read_bytes()[KEPT:])
    before = snapshot()
    may.confirm()
    with pytest.raises(OSError, match="somebody else has changed it"):
        Appender(OUT, may)
    assert snapshot() == before


# under a running farm

FILES = {"progress": NAMES.progress, "output": OUT}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", ["grown", "cut", "deleted"])
@pytest.mark.parametrize("last", [False, True])
def test_progress_or_output_that_somebody_else_has_changed_is_no_basis_for_done(name: str, harm: str, last: bool) -> None:
    for path in (*FILES.values(), NAMES.fastrecovery, NAMES.done):
        path.unlink()
    farm = open_journal(NAMES, OUT, Resume())
    path = FILES[name]
    farm._progress.append([b"0 n-1 1 1 1 9\n"])
    assert farm.output.file
    farm.output.file.append([b"x"])
    if harm == "deleted":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"more" if harm == "grown" else b"")
    with pytest.raises(OSError, match=r"somebody else has changed it: it has|No such file"):
        farm.finish(1, 9, 1) if last else farm.checkpoint(1, 9, 1, [])
    assert not NAMES.done.exists()
    assert not NAMES.fastrecovery.exists()


def test_a_progress_file_that_was_moved_away_is_missed_and_one_in_a_renamed_directory_is_not(tmp_path: Path) -> None:
    for path in (*FILES.values(), NAMES.fastrecovery, NAMES.done):
        path.unlink()
    farm = open_journal(NAMES, None, Resume())
    tmp_path.rename(tmp_path.with_name("renamed"))
    farm.checkpoint(0, 0, 0, [])
    NAMES.progress.rename("kept")
    with pytest.raises(OSError, match="No such file"):
        farm.checkpoint(0, 0, 0, [])


def test_nothing_is_appended_behind_what_somebody_else_has_added() -> None:
    appender = Appender(OUT, warrant(OUT))
    with OUT.open("ab") as file:
        file.write(b"theirs")
    before = snapshot()
    with pytest.raises(OSError, match="somebody else has changed it: it has 70010 bytes, and 70004 were written"):
        appender.append([b"ours"])
    assert snapshot() == before
