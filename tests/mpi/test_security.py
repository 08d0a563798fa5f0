"""Shared directories: what somebody else has planted there is neither followed nor waited for; modes are the user's umask.

Who may do what is decided by the kernel, so as root the farm runs without capabilities: user 0 then has no more rights than
any other user, in a sticky directory of a third one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .farms import Farms, held, wait_until

OTHER, THIRD = 65534, 65533  # whoever plants something, and the owner of the shared directory
TFIN = "tasks.txt.tfin"
OUTPUT = "all.out"
FILES = [TFIN, *(f"{kind}.{TFIN}" for kind in ("progress", "fastrecovery", "log", "joblog", "done", "lock")), OUTPUT]
REPLACED = [f"{TFIN}.new", f"fastrecovery.{TFIN}.new", f"done.{TFIN}.new"]
LOCKS = [f"lock.{TFIN}.elsewhere.1", f"lock.{TFIN}.elsewhere.1.old"]  # what a killed manager leaves

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to plant what belongs to somebody else")
UNPRIVILEGED = 'exec setpriv --bounding-set=-all --inh-caps=-all "$0" "$@"' if os.geteuid() == 0 else ""


def link_to_file(path: Path, precious: Path) -> None:
    path.symlink_to(precious)


def link_to_nothing(path: Path, precious: Path) -> None:
    path.symlink_to(precious.with_name("new"))


def link_to_pipe(path: Path, precious: Path) -> None:
    pipe = precious.with_name("pipe")
    os.mkfifo(pipe)
    path.symlink_to(pipe)


def link_to_itself(path: Path, precious: Path) -> None:
    path.symlink_to(path.name)


def hard_link(path: Path, precious: Path) -> None:
    """To a file of whoever planted it, open for everybody: so the kernel does not mind."""
    theirs = precious.with_name("theirs")
    theirs.write_text("keep")
    theirs.chmod(0o666)
    path.hardlink_to(theirs)


def pipe(path: Path, precious: Path) -> None:
    os.mkfifo(path)


def directory(path: Path, precious: Path) -> None:
    path.mkdir()


Plant = Callable[[Path, Path], None]
OF_OTHERS: list[Plant] = [link_to_file, link_to_nothing, link_to_pipe, hard_link]
OF_ANYBODY: list[Plant] = [pipe, directory, link_to_itself]


@pytest.fixture
def precious(farms: Farms, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of the user's, out of the way of the farm."""
    path = tmp_path_factory.mktemp("home") / "precious"
    path.write_text("keep")
    return path


def share(farms: Farms, mode: int = 0o1777) -> None:
    """Write a task list, and let everybody write to its directory."""
    farms.tasks("echo ran > ran; echo out")
    farms.directory.chmod(mode)
    if os.geteuid() == 0:
        os.chown(farms.directory, THIRD, THIRD)


def plant(path: Path, kind: Plant, precious: Path) -> None:
    kind(path, precious)
    if os.geteuid() == 0:
        os.lchown(path, OTHER, OTHER)


def state(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return what there is in *directory*, links as what they are."""
    found = {}
    for path in directory.iterdir():
        status = path.lstat()
        found[path.name] = (status.st_ino, status.st_mode, path.read_bytes() if path.is_file() else b"")
    return found


def run(farms: Farms, before: str = "") -> tuple[int, list[str]]:
    ended = farms.run(0, "--no-mpi", "--threads", "1", "--output", OUTPUT, "tasks.txt", before=before or UNPRIVILEGED)
    assert "Traceback" not in ended.err
    return ended.code, ended.said


def assert_refused(farms: Farms, precious: Path, name: str, before: str = "") -> None:
    shared, home = state(farms.directory), state(precious.parent)
    code, said = run(farms, before)
    assert (code, len(said)) == (2, 1), said
    assert name in said[0]
    assert state(farms.directory) == shared
    assert state(precious.parent) == home


@pytest.mark.parametrize("kind", OF_ANYBODY)
@pytest.mark.parametrize("name", FILES)
def test_what_can_be_no_file_of_a_farm_is_refused(farms: Farms, precious: Path, name: str, kind: Plant) -> None:
    share(farms)
    plant(farms.directory / name, kind, precious)
    assert_refused(farms, precious, name)


@as_root
@pytest.mark.parametrize("kind", OF_OTHERS)
@pytest.mark.parametrize("name", FILES)
def test_what_somebody_else_has_planted_is_refused(farms: Farms, precious: Path, name: str, kind: Plant) -> None:
    share(farms)
    plant(farms.directory / name, kind, precious)
    assert_refused(farms, precious, name)


@as_root
@pytest.mark.parametrize("name", FILES)
def test_a_link_of_somebody_else_is_refused_in_every_directory(farms: Farms, precious: Path, name: str) -> None:
    share(farms, 0o2775)
    os.chown(farms.directory, 0, THIRD)
    plant(farms.directory / name, link_to_file, precious)
    assert_refused(farms, precious, name)


@as_root
def test_a_list_that_somebody_else_could_change_while_it_is_dealt_is_refused(farms: Farms, precious: Path) -> None:
    """The workers read commands from the .tfin file; one with the right content would not even be replaced."""
    share(farms)
    (farms.directory / TFIN).write_bytes(b"> " + (farms.directory / "tasks.txt").read_bytes())
    os.chown(farms.directory / TFIN, OTHER, OTHER)
    assert_refused(farms, precious, TFIN)


@as_root
@pytest.mark.parametrize("kind", OF_OTHERS + OF_ANYBODY)
@pytest.mark.parametrize("name", REPLACED + LOCKS)
def test_what_is_planted_at_a_temporary_name_does_no_harm(farms: Farms, precious: Path, name: str, kind: Plant) -> None:
    share(farms)
    plant(farms.directory / name, kind, precious)
    before = state(precious.parent)
    planted = (farms.directory / name).lstat()
    code, said = run(farms)
    assert code == 0 or (code == 2 and name.removesuffix(".new") in said[-1]), said
    assert state(precious.parent) == before
    assert (farms.directory / name).lstat().st_ino == planted.st_ino
    assert (code == 0) == (farms.directory / "ran").exists() == (farms.directory / f"done.{TFIN}").exists()


@as_root
@pytest.mark.parametrize("suffix", ["", ".old"])
@pytest.mark.parametrize("places", [1, 4])
def test_a_link_in_the_place_of_a_new_lock_is_not_followed(farms: Farms, precious: Path, suffix: str, places: int) -> None:
    """While it is taken, a lock has one of four names; what was there before is moved aside under that and .old."""
    share(farms)
    links = [farms.directory / f"lock.{TFIN}.{number}{suffix}" for number in range(places)]
    for link in links:
        plant(link, link_to_file, precious)
    before = state(precious.parent)
    code, _ = run(farms)
    assert code == (2 if places == 4 else 0)
    assert state(precious.parent) == before
    assert all(link.is_symlink() for link in links)
    assert (farms.directory / "ran").exists() == (code == 0)


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("name", [OUTPUT, f"log.{TFIN}"])
def test_a_link_of_the_user_is_followed(farms: Farms, precious: Path, name: str, exists: bool) -> None:
    share(farms)
    target = precious.with_name("elsewhere")
    if exists:
        target.touch()
    (farms.directory / name).symlink_to(target)
    code, said = run(farms)
    assert code == 0, said
    assert (farms.directory / name).is_symlink()
    assert target.is_file()
    if name == OUTPUT:
        assert target.read_bytes() == b"out\n"


@pytest.mark.parametrize("ranks", [0, 2])
@pytest.mark.parametrize("umask", [0o027, 0o077])
def test_what_a_farm_creates_has_the_users_umask(farms: Farms, ranks: int, umask: int) -> None:
    farms.tasks(held(0), "[ -e mended ]")
    modes: dict[str, int] = {}

    def look() -> None:
        modes.update((path.name, path.stat().st_mode & 0o7777) for path in farms.directory.iterdir())

    options = ["--threads", "1", "--retries", "0", "--output", OUTPUT, "tasks.txt"]
    farm = farms.start(ranks, *options, before=f"umask {umask:03o}")
    wait_until((farms.directory / "held.0").exists, "the task runs")
    look()
    (farms.directory / "go").touch()
    assert farm.wait().code == 1
    look()
    (farms.directory / "mended").touch()
    assert farms.run(ranks, *options, before=f"umask {umask:03o}").code == 0
    look()
    assert modes.keys() >= set(FILES)
    assert {name for name, mode in modes.items() if mode != 0o666 & ~umask} <= {"tasks.txt", "go", "mended"}  # ours


def test_captured_output_has_no_name_in_a_shared_directory(farms: Farms, tmp_path_factory: pytest.TempPathFactory) -> None:
    shared = tmp_path_factory.mktemp("shared")
    shared.chmod(0o1777)
    long = f"ls -A '{shared}' #{200_000 * '.'}"  # too long for an argument: it is sourced from such a file as well
    much = "head -c 40000 /dev/zero | tee /dev/stderr"
    looks = f"ls -A '{shared}' > listed; readlink /proc/$PPID/fd/* > open || :"  # of the helper
    farms.tasks(f"{much}; sleep 0.2; {looks}", long)
    ended = farms.run(0, "--no-mpi", "--threads", "1", "tasks.txt", environ={"TMPDIR": str(shared)})
    assert (ended.code, ended.out) == (0, bytes(40000))
    assert (farms.directory / "listed").read_text() == ""
    names = [name for name in (farms.directory / "open").read_text().splitlines() if name.startswith(f"{shared}/")]
    assert len(names) == 2
    assert all(name.endswith(" (deleted)") for name in names)
