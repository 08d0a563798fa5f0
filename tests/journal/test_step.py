"""Several files replaced as one step: what lies there after a kill is finished, or taken away, and nothing in between."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz import scratch
from lists import at_will
from simdisk import Disk, Killed

from mpifarm import FarmError
from mpifarm.journal import step
from mpifarm.journal.names import Names, due_name
from mpifarm.journal.step import Step, finish, give_up

NAMES = Names(Path("tasks.txt.tfin"))
OLD = {NAMES.fastrecovery: b"f", NAMES.progress: b"old\n", NAMES.tfin: b"> 1\n", NAMES.done: b"done\n", NAMES.log: b"log\n"}
NEW = {
    NAMES.fastrecovery: b"new\n",
    NAMES.progress: b"n\n",
    NAMES.joblog: b"j\n",
    NAMES.tfin: b"> 2\n",
    NAMES.log: b"log\n",
}
NEW_BUT_LOG = {path: content for path, content in NEW.items() if path != NAMES.log}  # which the step leaves alone
TOLD = ["line 1 was \udcff, and is 2", "one more"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lay_old()


def lay_old() -> None:
    for path, content in OLD.items():
        path.write_bytes(content)


def intended() -> None:
    """Write the new files as one step, and intend it."""
    new = Step(NAMES, at_will)
    for path in (NAMES.fastrecovery, NAMES.progress, NAMES.joblog):
        new.write(path, [NEW[path][:1], NEW[path][1:]])
    made = Path(f"{NAMES.tfin}.new")
    made.write_bytes(NEW[NAMES.tfin])
    new.take(made, NAMES.tfin)
    new.clear(NAMES.done)
    new.intend(TOLD)


def killed_after(renames: int) -> None:
    """Let the step be killed when so many files have their names."""
    intended()
    for path in (NAMES.fastrecovery, NAMES.progress, NAMES.joblog, NAMES.tfin)[:renames]:
        due_name(path).rename(path)


def lies_there() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path().iterdir()}


def test_a_step_is_done() -> None:
    intended()
    assert {path: content for path, content in lies_there().items() if path in OLD} == OLD
    called: list[str] = []
    assert finish(NAMES, at_will, before_the_last=lambda: called.append(NAMES.intent.read_text())) == TOLD
    assert called, "the intent is there until all else is done"
    assert lies_there() == NEW
    assert finish(NAMES, at_will) is None


def test_what_is_intended_is_done_although_what_it_replaces_was_not_on_the_disk() -> None:
    with scratch():
        for seed in range(20):
            for path in Path().iterdir():
                path.unlink()
            lay_old()
            disk = Disk(random.Random(seed))
            disk.synced = {path.stat().st_ino: 0 for path in Path().iterdir()}
            with disk.installed():
                intended()
            disk.crash()
            assert finish(NAMES, at_will) == TOLD
            assert {path: content for path, content in lies_there().items() if path != NAMES.log} == NEW_BUT_LOG


@pytest.mark.parametrize("crash", [False, True])
def test_killed_anywhere_it_is_undone_or_done(crash: bool) -> None:
    outcomes = set()
    with scratch():
        for seed in range(400):
            for path in Path().iterdir():
                path.unlink()
            lay_old()
            disk = Disk(random.Random(seed), left=seed // 5)
            disk.synced = {path.stat().st_ino: path.stat().st_size for path in Path().iterdir()}
            killed = False
            try:
                with disk.installed():
                    intended()
                    finish(NAMES, at_will)
            except Killed:
                killed = True
                if crash:
                    disk.crash()
            disk.left = disk.random.randrange(30) if killed and disk.random.random() < 0.5 else None
            try:  # who finishes it may be killed as well
                with disk.installed():
                    finish(NAMES, at_will)
            except Killed:
                if crash:
                    disk.crash()
            disk.left = None
            finish(NAMES, at_will)
            for new in (due_name(path) for path in NAMES.all()):
                assert not new.exists()
            found = {path: content for path, content in lies_there().items() if path.suffix != ".new"}
            assert found in (OLD, NEW), seed
            outcomes.add((killed, found == NEW))
    assert outcomes == {(True, False), (True, True), (False, True)}


@pytest.mark.parametrize("renames", range(5))
def test_what_has_its_name_already_is_left_alone(renames: int) -> None:
    killed_after(renames)
    assert finish(NAMES, at_will) == TOLD
    assert lies_there() == NEW


def test_what_was_never_intended_is_taken_away() -> None:
    intended()
    NAMES.intent.unlink()
    assert finish(NAMES, at_will) is None
    assert lies_there() == OLD
    intended()
    NAMES.intent.unlink()
    Step(NAMES, at_will).drop()
    assert lies_there() == OLD


def test_a_step_that_is_intended_is_not_dropped() -> None:
    intended()
    before = lies_there()
    Step(NAMES, at_will).drop()
    assert lies_there() == before


@pytest.mark.parametrize("renames", range(5))
def test_progress_that_the_user_deletes_meanwhile_stays_deleted(renames: int) -> None:
    killed_after(renames)
    NAMES.progress.unlink()
    assert finish(NAMES, at_will) == TOLD
    assert lies_there() == {path: content for path, content in NEW.items() if path != NAMES.progress}


def test_whoever_ran_before_the_first_rename_has_the_old_files() -> None:
    killed_after(0)
    with NAMES.progress.open("ab") as file:
        file.write(b"more\n")
    assert finish(NAMES, at_will) is None
    assert lies_there() == OLD | {NAMES.progress: b"old\nmore\n"}


def test_whoever_ran_after_the_last_rename_has_the_new_ones() -> None:
    killed_after(4)
    with NAMES.progress.open("ab") as file:
        file.write(b"more\n")
    NAMES.done.write_bytes(b"done\nlater\n")
    assert finish(NAMES, at_will) == TOLD
    assert lies_there() == NEW | {NAMES.progress: b"n\nmore\n", NAMES.done: b"done\nlater\n"}


def append(path: Path) -> Callable[[], object]:
    return lambda: path.write_bytes(path.read_bytes() + b"more\n")


REFUSALS: dict[str, tuple[int, Callable[[], object], str]] = {
    "an old file has changed": (1, append(NAMES.progress), r"progress\S+ has changed since"),
    "a new file has changed": (2, append(NAMES.progress), r"progress\S+ has changed since"),
    "what is due has changed": (1, append(due_name(NAMES.tfin)), r"tfin\.due is gone or damaged"),
    "what is due is gone": (1, due_name(NAMES.tfin).unlink, r"tfin\.due is gone or damaged"),
    "the intent is damaged": (1, append(NAMES.intent), "intent.* is damaged"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_mixture_is_refused_and_left_alone_until_it_is_given_up(refusal: str) -> None:
    renames, spoil, why = REFUSALS[refusal]
    killed_after(renames)
    spoil()
    before = lies_there()
    with pytest.raises(FarmError, match=f"{why}.*--rerun") as error:
        finish(NAMES, at_will)
    assert "\n" not in str(error.value)
    assert lies_there() == before
    give_up(NAMES, at_will)
    assert not any(path.suffix == ".due" or path == NAMES.intent for path in Path().iterdir())


@pytest.mark.parametrize("spoil", [append(due_name(NAMES.tfin)), due_name(NAMES.tfin).unlink])
def test_what_is_damaged_before_the_first_rename_is_dropped(spoil: Callable[[], object]) -> None:
    killed_after(0)
    spoil()
    assert finish(NAMES, at_will) is None
    assert lies_there() == OLD


def test_a_link_of_somebody_else_in_the_place_of_what_is_due_is_not_followed() -> None:
    Path("precious").write_bytes(b"precious")
    due_name(NAMES.progress).symlink_to("precious")
    due_name(NAMES.joblog).symlink_to("nowhere")
    intended()
    finish(NAMES, at_will)
    assert lies_there() == NEW | {Path("precious"): b"precious"}


def test_an_intent_reads_as_it_was_written() -> None:
    intended()
    found = step._read(NAMES)
    assert found is not None
    assert found.text() == NAMES.intent.read_bytes()
    assert list(found.files) == ["fastrecovery", "progress", "joblog", "tfin"]
