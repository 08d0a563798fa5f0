"""What lies on the node is found without a look at what does not. The table is played, the files are real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mpifarm.site.mounts import Mounts, Place

HERE, ELSEWHERE, NOWHERE = Place.HERE, Place.ELSEWHERE, Place.NOWHERE
ROOT = "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw"
Tree = Callable[..., "Played"]


class Played:
    """A directory in which `far` is another file system, and what was looked at there."""

    def __init__(self, directory: Path, kind: str, source: str, shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
        far = directory / "far"
        (far / "bin").mkdir(parents=True)
        (directory / "near").mkdir()
        for name in ("far/bin/prog", "near/prog"):
            (directory / name).write_text("#!/bin/sh\n")
        for link, to in {
            "to_far": "far/bin/prog",
            "to_near": "near/prog",
            "by_far": "far/../near/prog",
            "round": "round",
            "dangling": "no/such",
            "absolute": str(directory / "near"),
            "near/up": "../far/bin",
            "bin": "far/bin",
        }.items():
            (directory / link).symlink_to(to)
        (directory / "mountinfo").write_text(f"{ROOT}\n50 27 0:50 / {str(far)!s} rw - {kind} {source} rw,x - y\n")
        self._far = os.fsencode(f"{far}/")
        self.touched: list[bytes] = []
        for name in ("lstat", "readlink", "stat"):
            monkeypatch.setattr(os, name, self._watched(getattr(os, name)))
        monkeypatch.chdir(directory)
        self._mounts = Mounts(os.fsencode(shell), directory / "mountinfo")

    def _watched(self, real: Callable[..., object]) -> Callable[..., object]:
        def watched(path: object, *more: object, **named: object) -> object:
            if isinstance(path, bytes) and (path + b"/").startswith(self._far):
                self.touched.append(path)
            return real(path, *more, **named)

        return watched

    def place(self, path: str) -> Place:
        return self._mounts.place(os.fsencode(path))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    directory = tmp_path.resolve()
    return lambda kind="nfs4", source="server:/export", shell="/bin/sh": Played(directory, kind, source, shell, monkeypatch)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("near/prog", HERE),
        ("./near//./prog", HERE),
        ("near/../near/prog", HERE),
        ("to_near", HERE),
        ("absolute/prog", HERE),
        ("/", HERE),
        ("far/bin/prog", ELSEWHERE),
        ("far", ELSEWHERE),
        ("to_far", ELSEWHERE),
        ("bin/prog", ELSEWHERE),
        ("near/up/prog", ELSEWHERE),
        ("absolute/up/prog", ELSEWHERE),
        ("by_far", ELSEWHERE),
        ("far/../near/prog", ELSEWHERE),
        ("round", ELSEWHERE),
        ("dangling", NOWHERE),
        ("near/none", NOWHERE),
        ("near/prog/none", NOWHERE),
        ("farther", NOWHERE),
    ],
)
def test_where_a_path_leads_to_is_found_without_touching_what_is_elsewhere(tree: Tree, path: str, place: Place) -> None:
    played = tree()
    for tried in (path, f"{Path.cwd()}/{path}"):
        assert (played.place(tried), played.touched) == (place, [])


@pytest.mark.parametrize(
    ("kind", "source", "place"),
    [
        ("ext4", "/dev/sda1", HERE),
        ("tmpfs", "tmpfs", HERE),
        ("overlay", "overlay", HERE),
        ("ext4", "/dev/loop3", ELSEWHERE),
        ("squashfs", "/dev/loop0p1", ELSEWHERE),
        ("xfs", "/dev/rbd0", ELSEWHERE),
        *(
            (kind, "x", ELSEWHERE)
            for kind in ("nfs", "lustre", "gpfs", "beegfs", "ceph", "fuse", "fuse.sshfs", "autofs", "9p")
        ),
        ("cifs", "//server/share", ELSEWHERE),
        ("a-type-of-tomorrow", "none", ELSEWHERE),
    ],
)
def test_what_is_not_known_to_be_the_nodes_own_is_not(tree: Tree, kind: str, source: str, place: Place) -> None:
    assert tree(kind, source).place("far/bin/prog") is place


def test_what_the_shell_lies_on_counts_as_the_nodes_own(tree: Tree) -> None:
    """A node without a disk: to go through the shell would gain nothing."""
    played = tree(shell="bin/prog")
    assert (played.place("to_far"), played.place("far/none")) == (HERE, NOWHERE)


def test_a_mount_point_is_read_as_the_kernel_writes_it(tmp_path: Path) -> None:
    odd = tmp_path.resolve() / "a b\\c\n"
    odd.mkdir()
    written = str(odd).replace("\\", "\\134").replace(" ", "\\040").replace("\n", "\\012")
    (tmp_path / "table").write_text(f"{ROOT}\n50 27 0:50 / {written} rw - nfs server:/a\\040b rw\n")
    mounts = Mounts(b"/bin/sh", tmp_path / "table")
    assert mounts.place(os.fsencode(odd)) is ELSEWHERE
    assert mounts.place(os.fsencode(odd.parent)) is HERE


def test_one_of_several_over_each_other_is_enough(tmp_path: Path) -> None:
    point = tmp_path.resolve()
    over = f"50 27 0:50 / {point} rw - autofs systemd-1 rw\n51 50 0:51 / {point} rw - ext4 /dev/sdb rw\n"
    (tmp_path / "table").write_text(f"{ROOT}\n{over}")
    assert Mounts(b"/bin/sh", tmp_path / "table").place(os.fsencode(point)) is ELSEWHERE


def test_without_a_table_nothing_is_certain(tmp_path: Path) -> None:
    assert Mounts(b"/bin/sh", tmp_path / "none").place(b"/bin/sh") is ELSEWHERE


def test_what_a_task_makes_is_seen_at_once(tree: Tree) -> None:
    played = tree()
    assert played.place("near/new") is NOWHERE
    Path("near/new").touch()
    assert played.place("near/new") is HERE


CHANGES = """if True:
    import os, subprocess, sys
    from mpifarm.site.mounts import Mounts
    mounts = Mounts(b"/bin/sh")
    for command in (["true"], ["mount", "-t", "ramfs", "none", "there"], ["mount", "-t", "proc", "none", "there"],
                    ["umount", "there"], ["umount", "there"], ["mount", "--move", "moved", "there"]):
        if command[1:2] == ["--move"]:
            subprocess.run(["mount", "-t", "proc", "none", "moved"], check=True)
        subprocess.run(command, check=True)
        mounts.look()
        print(mounts.place(b"there").name)"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("unshare"), reason="mounts something")
def test_what_is_mounted_and_unmounted_meanwhile_is_seen_at_once(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "moved").mkdir()
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", CHANGES]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["HERE", "HERE", "ELSEWHERE", "HERE", "HERE", "ELSEWHERE"]
