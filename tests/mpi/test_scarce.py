"""A node that lacks something: processes, descriptors, the list itself. No task is charged for it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from .farms import Farms, wait_until

# root is exempt from the limit of processes; this is somebody else who may read and write what root may
CAPABILITIES = "--securebits=+no_setuid_fixup --inh-caps=+dac_override --ambient-caps=+dac_override"
SOMEBODY = f"setpriv --reuid={100_000 + os.getpid()} --clear-groups {CAPABILITIES}"  # of these tests alone
HOG = """import os, time
end = time.monotonic() + 3
while time.monotonic() < end:
    try:
        if not os.fork():
            time.sleep(max(0, end - time.monotonic()))
            os._exit(0)
    except OSError:
        time.sleep(0.001)
"""


def needs_somebody() -> None:
    if os.geteuid():
        pytest.skip("becomes another user, which only root can")
    assert shutil.which("setpriv") and shutil.which("prlimit"), "they are part of util-linux"


@pytest.mark.parametrize("line", ["sleep 0.02", "exec sleep 0.02"], ids=["direct", "by the shell"])
def test_while_a_user_has_no_process_left_tasks_wait_and_none_has_failed(farms: Farms, line: str) -> None:
    needs_somebody()
    (farms.directory / "hog.py").write_text(HOG)
    offsets = farms.tasks('exec "$PYTHON" hog.py', *[line] * 40)
    environ = {"PYTHON": shutil.which("python3") or "python3"}
    options = ("--threads", "2", "--retries", "0", "tasks.txt")
    ended = farms.run(0, *options, environ=environ, before=f'exec prlimit --nproc=20 {SOMEBODY} "$0" "$@"')
    assert (ended.code, sorted(farms.progress())) == (0, offsets), ended.err
    assert farms.attempted() == offsets


def test_a_user_who_has_no_process_left_at_the_start_is_told_so(farms: Farms) -> None:
    needs_somebody()
    farms.tasks("true")
    before = farms.snapshot()
    ended = farms.run(0, "tasks.txt", before=f'exec prlimit --nproc=1 {SOMEBODY} "$0" "$@"')
    assert ended.code == 2
    (said,) = ended.err.splitlines()
    assert said.startswith("mpifarm: ")
    assert ": cannot start the launcher's helper: Resource temporarily unavailable: no processes" in said
    assert farms.snapshot() == before


def test_a_low_soft_limit_of_descriptors_costs_no_slot_and_stays_the_tasks_limit(farms: Farms) -> None:
    farms.tasks(*["ulimit -n"] * 100)
    ended = farms.run(0, "--threads", "80", "tasks.txt", before="ulimit -Sn 64")
    assert (ended.code, ended.out) == (0, b"64\n" * 100)


def test_a_low_hard_limit_of_descriptors_means_fewer_slots_and_a_notice(farms: Farms) -> None:
    offsets = farms.tasks(*["echo $MPIFARM_THREADS"] * 30)
    ended = farms.run(0, "--threads", "80", "tasks.txt", before="ulimit -n 64")
    assert (ended.code, sorted(farms.progress())) == (0, offsets)
    (notice,) = [line for line in ended.said if "ulimit -n" in line]
    assert notice.endswith(": 7 tasks at a time and not 80, for want of descriptors: raise ulimit -n")
    assert set(ended.out.split()) == {b"7"}


def test_a_limit_of_descriptors_under_which_no_task_can_start_is_refused(farms: Farms) -> None:
    farms.tasks("true")
    before = farms.snapshot()
    ended = farms.run(0, "tasks.txt", before="ulimit -n 24")
    assert ended.code == 2
    assert [line.split(" for ")[0] for line in ended.said] == ["mpifarm: ulimit -n is too low"]
    assert farms.snapshot() == before


def test_a_node_that_sees_the_list_late_runs_its_tasks_then(farms: Farms) -> None:
    """The worker stands in a directory of its own, as if its file system were behind."""
    offsets = farms.tasks(*["echo ran"] * 8)
    late = farms.directory / "late"
    late.mkdir()
    before = '[ "$PMI_RANK$OMPI_COMM_WORLD_RANK" = 0 ] || cd late'
    farm = farms.start(2, "--threads", "2", "--retries", "0", "tasks.txt", before=before)
    wait_until((farms.directory / "tasks.txt.tfin").exists, "the list is open")
    time.sleep(2.5)  # in which the worker looks twice
    shutil.copy(farms.directory / "tasks.txt.tfin", late)
    ended = farm.wait()
    assert (ended.code, sorted(farms.progress())) == (0, offsets), ended.err
    assert farms.attempted() == offsets
    assert Path(late / "tasks.txt.tfin").exists()


def test_a_container_runs_as_many_tasks_at_a_time_as_it_is_given_cpus_and_says_so(farms: Farms) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one CPU is what a quota of one leaves")
    mounted = [path for path in map(Path, ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup")) if (path / "cgroup.procs").exists()]
    group = mounted[0] / f"mpifarm-{os.getpid()}" if mounted else Path("/none")
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group of its own: {error}")
    try:
        if (group / "cpu.cfs_quota_us").exists():
            (group / "cpu.cfs_quota_us").write_text("100000")
        elif (group / "cpu.max").exists():
            (group / "cpu.max").write_text("100000 100000")
        else:
            pytest.skip("no control group may limit the time of CPUs here")
        farms.tasks(*["echo $MPIFARM_THREADS"] * 2)
        ended = farms.run(0, "tasks.txt", before=f"echo $$ > {group}/cgroup.procs")
        forced = farms.run(0, "--rerun", "--threads", "2", "tasks.txt", before=f"echo $$ > {group}/cgroup.procs")
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "nobody is left in the group")
        group.rmdir()
    assert ended.out == b"1\n1\n"
    assert len([line for line in ended.said if "the container is given the time of 1 of " in line]) == 1
    assert forced.out == b"2\n2\n"
    assert not [line for line in forced.said if "container" in line]
