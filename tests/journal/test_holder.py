"""Whom a lock names, and whether he is dead."""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mpifarm.journal.holder import Fate, Holder, parse_holder, this_process
from mpifarm.schedule.suspects import Dealt

ELSEWHERE = Holder("elsewhere", 4711, "123", job="77", restart=1)


@pytest.mark.parametrize("holder", [ELSEWHERE, replace(ELSEWHERE, born="", job="", restart=0), this_process()])
def test_a_holder_is_read_as_he_has_signed(holder: Holder) -> None:
    assert parse_holder(holder.text()) == holder
    assert parse_holder(holder.text(Dealt(1035, 2, 432, 432))) == holder


@pytest.mark.parametrize(
    "text", ["", "\0" * 90, "mpifarm host=a pid=x born= job= restart=0\n", "mpifarm host=a pid=1 born=\n"]
)
def test_what_nobody_has_signed_names_nobody(text: str) -> None:
    assert parse_holder(text) is None


def test_a_holder_of_an_earlier_version_is_read_and_of_it_nothing_is_known() -> None:
    old = f"mpifarm host={socket.gethostname()} pid={2**22 + 1} born=1 job= restart=0\n"
    holder = parse_holder(old)
    assert holder == Holder(socket.gethostname(), 2**22 + 1, "1")
    assert holder.fate(this_process()) is Fate.UNKNOWN


@pytest.mark.parametrize("other", [{"boot": "another"}, {"space": "1.2"}, {"boot": "", "space": ""}])
@pytest.mark.parametrize("pid", [2**22 + 1, os.getpid()])
def test_a_host_name_proves_nothing(other: dict[str, Any], pid: int) -> None:
    assert replace(this_process("77", 0), pid=pid, **other).fate(this_process("77", 1)) is Fate.UNKNOWN


def test_an_earlier_start_of_this_slurm_job_may_still_write() -> None:
    assert replace(ELSEWHERE, restart=0).fate(this_process("77", 1)) is Fate.UNKNOWN


def test_who_could_be_observed_here_need_not_be() -> None:
    told = this_process().unobservable()
    assert len(told.text()) == len(this_process().text())
    assert told.fate(this_process()) is Fate.UNKNOWN
    assert parse_holder(told.text()) == told


@pytest.mark.parametrize("pid", [2**22 + 1, 10**20])
def test_a_number_that_no_process_has_here_is_that_of_a_dead_one(pid: int) -> None:
    assert replace(this_process(), pid=pid).fate(this_process()) is Fate.DEAD


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc does not tell")
def test_a_zombie_is_dead() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        born = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
        holder = replace(this_process(), pid=process.pid, born=born)
        assert holder.fate(this_process()) is Fate.ALIVE
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert holder.fate(this_process()) is Fate.DEAD


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc does not tell")
def test_another_process_with_the_number_of_the_dead_one_is_not_the_holder() -> None:
    assert replace(this_process(), born="1").fate(this_process()) is Fate.DEAD
