"""A program on a file system that hangs: its own slot waits for it, everything else on the node goes on."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from .farms import Farm, Farms, wait_until

LOCAL = 10


def hanging(farms: Farms, line: str, *deaf: str, environ: dict[str, str] | None = None) -> tuple[Farm, list[int]]:
    """Start a farm of three slots in which *line* hangs, tasks of the node run, and one of them for too long."""
    if os.geteuid() or not Path("/dev/fuse").exists():
        missing = "no file system that hangs: it takes root and /dev/fuse"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    (farms.directory / "mnt").mkdir()
    shutil.copy(shutil.which("sleep") or "", farms.directory / "local")
    offsets = farms.tasks(line, "sleep 600", *["./local 0.1"] * LOCAL)
    hangs = (sys.executable, str(Path(__file__).with_name("hangs.py")), *deaf, str(farms.directory / "mnt"))
    options = ("--threads", "3", "--timeout", "2", "--retries", "0")
    by = ("unshare", "--mount", *hangs)
    return farms.start(0, *options, "tasks.txt", by=by, environ=environ or {}), offsets


def timed_out(farms: Farms, offset: int) -> bool:
    """Say whether the attempt at the task there has ended, by its timeout."""
    log = farms.file("joblog")
    return log.exists() and [line["Signal"] for line in farms.joblog() if int(line["Offset"]) == offset] == ["15"]


LINES = ["mnt/prog", "./link", "./script", "prog", "mnt/prog; true"]


@pytest.mark.parametrize("line", LINES)
def test_what_hangs_in_its_start_is_ended_at_its_timeout_and_the_rest_goes_on(farms: Farms, line: str) -> None:
    (farms.directory / "link").symlink_to("mnt/prog")
    script = farms.directory / "script"
    script.write_text(f"#!{farms.directory}/mnt/interpreter\n")
    script.chmod(0o755)
    path = f"{farms.directory}/mnt:{os.environ['PATH']}" if line == "prog" else os.environ["PATH"]
    farm, offsets = hanging(farms, line, "--deaf", environ={"PATH": path})
    assert farm.wait().code == 1
    assert sorted(farms.progress()) == offsets[2:]
    assert timed_out(farms, offsets[0]) and timed_out(farms, offsets[1])


def test_what_hangs_so_that_nobody_can_end_it_keeps_its_slot_alone_and_the_farm_can_be_stopped(farms: Farms) -> None:
    farm, offsets = hanging(farms, "mnt/prog")
    wait_until(lambda: sorted(farms.progress()) == offsets[2:], "what lies on the node has run")
    wait_until(lambda: timed_out(farms, offsets[1]), "its timeout was kept")
    farm.signal(signal.SIGTERM)
    assert farm.wait().code == 3
    assert farms.left() == offsets[:2], "what has failed is tried again, too"
