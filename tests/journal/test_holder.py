"""Whom a lock names, and whether he is dead."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mpifarm.journal.holder import Holder, parse_holder, this_process
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


def test_of_a_process_on_another_host_nothing_is_known() -> None:
    assert not replace(ELSEWHERE, pid=2**22 + 1).is_dead(this_process())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc does not tell")
def test_a_zombie_is_dead() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        born = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
        holder = replace(this_process(), pid=process.pid, born=born)
        assert not holder.is_dead(this_process())
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert holder.is_dead(this_process())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc does not tell")
def test_another_process_with_the_number_of_the_dead_one_is_not_the_holder() -> None:
    assert replace(this_process(), born="1").is_dead(this_process())
