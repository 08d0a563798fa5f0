"""Small file systems of a test's own that fill up, fail or turn read-only; unmounted whatever happens."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Container
from pathlib import Path

import pytest

PAGE_BYTES = 4096

_EXT4_IOC_SHUTDOWN = 0x8004587D
_NOLOGFLUSH = 2  # what was not synced is lost, as with the machine
_SBIN = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _missing(what: str) -> None:
    reason = f"no file system of the test's own: {what}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def fill(directory: Path, pages_left: int = 0) -> Path:
    """Fill the file system of *directory* with a file, up to *pages_left* pages; return that file."""
    path = directory / "fill"
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(64 * PAGE_BYTES)):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC
        file.truncate(file.tell() - pages_left * PAGE_BYTES)
    return path


class Disks:
    """Mounts file systems, each over a directory, and takes them away again."""

    def __init__(self, scratch: Path) -> None:
        """*scratch* is where the images lie."""
        self._scratch = scratch
        self._devices: dict[Path, str] = {}  # by the directory over which they are mounted
        if os.geteuid() != 0:
            _missing("only root can mount one")

    def tmpfs(self, directory: Path, kib: int) -> None:
        """Mount a file system of *kib* KiB in memory."""
        self._mount(directory, "tmpfs", "-t", "tmpfs", "-o", f"size={kib}k")

    def resize(self, directory: Path, kib: int) -> None:
        """Give a tmpfs another size."""
        self._run("mount", "-o", f"remount,size={kib}k", str(directory))

    def image(self, directory: Path, *mkfs: str, mib: int = 16, on: Path | None = None) -> None:
        """Make a file system in a file of *mib* MiB that lies in *on*, and mount it."""
        image = (on or self._scratch) / f"image{len(self._devices)}"
        with image.open("wb") as file:
            file.truncate(mib << 20)
        self._run(*mkfs, str(image))
        self._mount(directory, str(image), "-o", "loop,errors=remount-ro" if "ext4" in mkfs[0] else "loop")

    def again(self, directory: Path) -> None:
        """Unmount the file system of an image, and mount what has reached its disk."""
        self._run("umount", str(directory))
        self._run("e2fsck", "-fy", self._devices[directory], wanted=(0, 1))
        self._run("mount", "-o", "loop", self._devices[directory], str(directory))

    def quota(self, directory: Path, limit: str) -> None:
        """Limit what may lie in a btrfs."""
        self._run("btrfs", "quota", "enable", str(directory))
        self._run("btrfs", "qgroup", "limit", limit, str(directory))

    def end(self) -> None:
        """Unmount everything, the last one first."""
        for directory in reversed(self._devices):
            subprocess.run(["umount", "-l", directory], check=False)

    def _mount(self, directory: Path, device: str, *options: str) -> None:
        failed = self._run("mount", *options, device, str(directory), wanted=range(256))
        if failed.returncode:
            _missing(failed.stderr)
        self._devices[directory] = device

    def _run(self, *command: str, wanted: Container[int] = (0,)) -> subprocess.CompletedProcess[str]:
        program = shutil.which(command[0], path=_SBIN)
        if program is None:
            _missing(f"{command[0]} not found: apt-get install e2fsprogs btrfs-progs")
        ended = subprocess.run([program or "", *command[1:]], capture_output=True, text=True, check=False)
        assert ended.returncode in wanted, f"{' '.join(command)}: {ended.stderr}"
        return ended


def sync(directory: Path) -> None:
    """Let everything in the file system of *directory* reach its disk."""
    subprocess.run(["sync", "-f", directory], check=True)


def break_down(directory: Path) -> None:
    """Let everything that touches the ext4 of *directory* fail with EIO from now on; what was not synced is lost."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NOLOGFLUSH))
    finally:
        os.close(descriptor)


def make_read_only(directory: Path) -> None:
    """Let the kernel find an error in the ext4 of *directory*, after which it allows no write."""
    device = os.stat(directory).st_dev
    name = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
    Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("1\n")
