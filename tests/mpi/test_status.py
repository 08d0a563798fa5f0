"""Real farms, asked where they stand: while they run, killed, stopped, failed and done."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from typing import Any

import pytest

from mpifarm.site import memory
from mpifarm.view import logbook

from .farms import DEADLINE_S, Farms, heed_signals, held, wait_until


def asked(farms: Farms, code: int) -> str:
    """Ask by the program itself."""
    ended = farms.run(0, "--status", "tasks.txt")
    assert (ended.code, ended.err) == (code, "")
    return ended.out.decode()


def document(farms: Farms) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(farms.run(0, "--status", "--json", "tasks.txt").out)
    return told


@pytest.mark.short
def test_a_farm_is_asked_while_it_runs_after_its_manager_was_killed_and_when_all_is_done(farms: Farms) -> None:
    farms.tasks("# a comment", "true", held(1), held(2), "echo 3")
    farm = farms.start(2, "--threads", "2", "tasks.txt")
    wait_until((farms.directory / "held.2").exists, "a task is held")
    is_held = {"total": 4, "done": 1, "failed": 0, "running": 2, "waiting": 1, "blocked": 0, "not_run": 0}
    wait_until(lambda: document(farms)["tasks"] == is_held, "the status file is of by now")
    text = asked(farms, 0)
    assert "RUNNING since " in text
    assert "4:  1 done   0 failed   2 running   1 waiting" in text
    assert "line 3  touch held.1" in text
    farm.signal(signal.SIGKILL)
    farm.wait()
    assert "GONE: the manager, process" in asked(farms, 3)
    (farms.directory / "go").touch()
    assert farms.run(2, "--threads", "2", "tasks.txt").code == 0
    assert "DONE" in asked(farms, 0)
    told = document(farms)
    assert told["tasks"] == {"total": 4, "done": 4, "failed": 0, "running": 0, "waiting": 0, "blocked": 0, "not_run": 0}
    assert (told["state"], told["seconds"]["tasks"]) == ("done", told["run"]["done"])


@pytest.mark.short
def test_the_memory_of_nodes_is_told_by_workers_and_shown_by_status_and_report(farms: Farms) -> None:
    farms.tasks("true", "sleep 1", "true")
    here_kib = memory.kib({}, 1)
    limits = {"SLURM_JOB_ID": "7", "SLURM_MEM_PER_NODE": "100"}  # rank 2 says that it has less
    less = "; ".join(f"export {name}={value}" for name, value in limits.items())
    ended = farms.run(3, "--no-bar", "tasks.txt", before=f'if [ "$PMI_RANK$OMPI_COMM_WORLD_RANK" = 2 ]; then {less}; fi')
    assert ended.code == 0, ended.err
    assert document(farms)["memory_kib"] == 100 * 1024
    assert re.search(r"  time .* memory  median .* peak .*   a node has 100 MiB\n", asked(farms, 0))
    assert any(
        re.search(r" started: 2 workers on \d nodes?, .*, at least 100 MiB a node, mpifarm", line) for line in farms.log()
    )
    assert logbook.read(farms.file("log")).node_kib == 100 * 1024
    assert farms.run(0, "--rerun", "tasks.txt").code == 0
    assert document(farms)["memory_kib"] == here_kib
    assert logbook.read(farms.file("log")).node_kib == here_kib // 1024 * 1024


def test_a_farm_that_was_stopped_says_by_what_and_one_with_failures_why(farms: Farms) -> None:
    farms.tasks("true", "echo 'no file 17' >&2; exit 3", "echo 'no file 18' >&2; exit 3", held(1))
    farm = farms.start(2, "--threads", "2", "--retries", "0", "tasks.txt")
    wait_until((farms.directory / "held.1").exists, "a task is held")
    farm.signal(signal.SIGTERM)
    assert farm.wait().code == 3
    text = asked(farms, 3)
    assert "STOPPED" in text.splitlines()[0]
    assert "SIGTERM: stopping" in text.splitlines()[0]
    (farms.directory / "go").touch()
    assert farms.run(2, "--retries", "0", "tasks.txt").code == 1
    text = asked(farms, 1)
    assert "4:  2 done   2 failed" in text
    assert '2 x exit code 3  "no file #"    line 2, line 3' in text


def test_a_status_file_that_cannot_be_written_stops_nothing(farms: Farms) -> None:
    farms.tasks("true", "rm -f status.tasks.txt.tfin; mkdir status.tasks.txt.tfin; sleep 3", "true")
    ended = farms.run(2, "--threads", "1", "tasks.txt")
    assert ended.code == 0
    assert farms.file("done").exists()
    assert not farms.file("status").with_name("status.tasks.txt.tfin.new").exists()


def test_who_stops_reading_gets_no_traceback_and_who_watches_ends_it_by_ctrl_c(farms: Farms) -> None:
    farms.tasks("true")
    assert farms.run(2, "tasks.txt").code == 0
    command = [sys.executable, "-m", "mpifarm", "--status", "tasks.txt"]
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(command, cwd=farms.directory, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")
    watch = subprocess.Popen(
        [*command, "--watch"], cwd=farms.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=heed_signals,  # noqa: PLW1509  no threads here
    )  # fmt: skip
    assert watch.stdout
    shown = [watch.stdout.readline() for _ in range(30)]
    assert sum(b"tasks.txt  DONE" in line for line in shown) >= 2
    watch.send_signal(signal.SIGINT)
    out, err = watch.communicate(timeout=DEADLINE_S)
    assert (watch.returncode, err) == (0, b"")
    assert b"\x1b" not in b"".join(shown) + out
