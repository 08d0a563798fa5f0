"""The launcher with real helpers and real tasks: statuses, captured bytes, ends by force, what a task sees."""

from __future__ import annotations

import errno
import itertools
import os
import select
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mpifarm import ended
from mpifarm.ended import Ended
from mpifarm.launcher import spawn
from mpifarm.launcher.capture import ERROR_BYTES, INLINE_BYTES
from mpifarm.launcher.frames import SESSION, SHELL, Reply, Task
from mpifarm.launcher.launcher import CPUS_PER_HELPER, HelperLost, Launcher, fork_helpers
from mpifarm.launcher.outbox import CHUNK_BYTES
from mpifarm.launcher.spawn import LONGEST_ARGUMENT

DEADLINE_S = 10.0
STOPPED = Ended.INTERRUPTED
GIVEN_BACK = Ended.INTERRUPTED | Ended.NOT_STARTED

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")


@dataclass(frozen=True)
class Attempt:
    offset: int
    slot: int
    status: int
    flags: Ended
    out: bytes
    err: bytes
    left: int
    seconds: float


class Farm:
    """A launcher, and what it has said."""

    def __init__(
        self, slots: int, cpus: int, environ: Mapping[str, str], shell: str, task_cpus: int, grace_s: float
    ) -> None:
        self.crew = fork_helpers(cpus, environ)
        self.handles = self.crew.helpers
        self.launcher = Launcher(self.crew, shell, grace_s)
        self.launcher.set_up("nid0001", slots, 1, cpus=task_cpus)
        self.chunks: list[int] = []
        self._streamed: dict[int, bytes] = defaultdict(bytes)
        self._ended: list[Attempt] = []
        self._offset = 0
        self._trouble = b""

    def start(self, *commands: bytes, timeout_s: float = 0.0) -> None:
        first, self._offset = self._offset, self._offset + len(commands)
        self.launcher.start([Task(first + n, 100 + first + n, 1, timeout_s, line) for n, line in enumerate(commands)])

    def take(self, count: int) -> list[Attempt]:
        """Return the next *count* attempts that ended, in the order of their offsets."""
        deadline = time.monotonic() + DEADLINE_S
        while len(self._ended) < count:
            assert time.monotonic() < deadline, f"{len(self._ended)} of {count} attempts have ended: {self._ended}"
            select.select(self.launcher.descriptors(), [], [], 0.1)
            for frame in self.launcher.read():
                self._unpack(frame.lane, frame.kind, frame.records, frame.body)
        taken, self._ended = self._ended[:count], self._ended[count:]
        return sorted(taken, key=lambda attempt: attempt.offset)

    def run(self, *commands: bytes, timeout_s: float = 0.0) -> list[Attempt]:
        self.start(*commands, timeout_s=timeout_s)
        return self.take(len(commands))

    def trouble(self) -> bytes:
        """Return why a helper cannot work."""
        for frame in self.launcher.read():
            self._unpack(frame.lane, frame.kind, frame.records, frame.body)
        return self._trouble

    def _unpack(self, lane: int, kind: Reply, records: int, body: bytes) -> None:
        if kind is Reply.TROUBLE:
            self._trouble = body
            return
        if kind is Reply.CHUNK:
            self.chunks.append(len(body))
            self._streamed[lane] += body
            return
        at = records * ended.STRUCT.size
        for index in range(records):
            fields = ended.STRUCT.unpack_from(body, index * ended.STRUCT.size)
            offset, _, slot, status, flags, _, seconds, *_, left, out_total, out_bytes, err_bytes = fields
            streamed = self._streamed.pop(lane, b"")
            out = b"" if status and streamed else streamed + body[at : at + out_bytes]  # of a failure nothing was kept
            err = body[at + out_bytes : at + out_bytes + err_bytes]
            at += out_bytes + err_bytes
            assert len(out) == out_total or Ended(flags) & (Ended.CLIPPED | Ended.INTERRUPTED)
            self._ended.append(Attempt(offset, slot, status, Ended(flags), out, err, left, seconds))
        assert at == len(body)


Launch = Callable[..., Farm]


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Launch]:
    """Return a function that starts a farm in tmp_path, which is closed in the end."""
    farms: list[Farm] = []

    def make(
        slots: int = 1,
        cpus: int = 1,
        grace_s: float = 600.0,
        environ: Mapping[str, str] | None = None,
        shell: str = SHELL,
        task_cpus: int = 0,
    ) -> Farm:
        farms.append(Farm(slots, cpus, os.environ if environ is None else environ, shell, task_cpus, grace_s))
        return farms[-1]

    monkeypatch.chdir(tmp_path)
    yield make
    for farm in farms:
        farm.launcher.close()
        farm.crew.dismiss()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def number_in(path: Path) -> int:
    """Return the process id that a task writes to *path*."""
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def gone(pid: int) -> bool:
    """Whether the process is dead; a zombie that nobody has reaped is."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except ProcessLookupError:
        return True
    except FileNotFoundError:
        return Path("/proc/self/stat").exists()


def blob(size: int) -> bytes:
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def test_the_status_is_the_exit_code_or_minus_the_signal(launch: Launch) -> None:
    expected = {
        b"true": 0,
        b"exit 3": 3,
        b"exit 255": 255,
        b"no-such-command 2>&1": 127,
        b"kill -TERM $$": -signal.SIGTERM,
        b"kill -KILL $$": -signal.SIGKILL,
        b"kill -SEGV $$": -signal.SIGSEGV,
    }
    ends = launch(slots=2).run(*expected)
    assert [(end.status, end.flags) for end in ends] == [(status, 0) for status in expected.values()]


@pytest.mark.parametrize("size", [0, 1, INLINE_BYTES, INLINE_BYTES + 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 1])
def test_output_arrives_byte_for_byte_and_a_long_one_in_chunks(launch: Launch, tmp_path: Path, size: int) -> None:
    (tmp_path / "blob").write_bytes(blob(size))
    farm = launch()
    (end,) = farm.run(b"cat blob; cat blob >&2" if size < ERROR_BYTES else b"cat blob")
    assert end.out == blob(size)
    assert end.err == (blob(size) if size < ERROR_BYTES else b"")
    assert not end.flags
    full, rest = divmod(size if size > INLINE_BYTES else 0, CHUNK_BYTES)
    assert farm.chunks == [CHUNK_BYTES] * full + [rest] * (rest > 0)


def test_slots_are_used_again_and_never_mix_their_outputs(launch: Launch) -> None:
    sizes = [0, 5, INLINE_BYTES + 1, 0, 70_000, 1, 3] * 6
    commands = [b"head -c %d /dev/zero | tr '\\0' '\\%o'; exit %d" % (size, i, i % 2) for i, size in enumerate(sizes, 64)]
    ends = launch(slots=3).run(*commands)
    for end, (i, size) in zip(ends, enumerate(sizes, 64), strict=True):
        if end.status:  # a failure keeps head and tail
            assert (set(end.out[:99]), set(end.out[-99:])) == (set(bytes([i]) * size),) * 2
        else:
            assert end.out == bytes([i]) * size
    assert {end.slot for end in ends} == {1, 2, 3}


@pytest.mark.parametrize("wrapper", ["", "timeout 60", "setsid"])
def test_what_a_task_leaves_in_the_background_delays_nobody_and_writes_into_no_other_output(
    launch: Launch, tmp_path: Path, wrapper: str
) -> None:
    if wrapper and subprocess.call(["sh", "-c", f"command -v {wrapper}"], stdout=subprocess.DEVNULL):
        pytest.skip(f"there is no {wrapper} here")
    wait = "while [ ! -e %s ]; do sleep 0.02; done; "
    (tmp_path / "late.sh").write_text(": > begun; " + wait % "go" + "echo late; echo late >&2; : > wrote\n")
    farm = launch()
    (first,) = farm.run(f"{wrapper} sh ./late.sh & {wait % 'begun'} echo first".encode())
    assert first.out == b"first\n"
    (second,) = farm.run(f": > go; {wait % 'wrote'} echo second".encode())
    assert (second.out, second.err, second.slot) == (b"second\n", b"", first.slot)


def test_what_a_task_leaves_in_the_background_ends_with_the_farm(launch: Launch) -> None:
    farm = launch()
    (end,) = farm.run(b"sleep 600 & echo $!")
    assert not gone(int(end.out))
    farm.launcher.close()
    wait_until(lambda: gone(int(end.out)))


def test_recall_gives_back_what_has_not_started_and_leaves_the_rest_alone(launch: Launch, tmp_path: Path) -> None:
    farm = launch()
    farm.start(b": > ready; while [ ! -e go ]; do sleep 0.02; done; echo ran", b"echo a", b"echo b")
    wait_until((tmp_path / "ready").exists)
    farm.launcher.recall()
    assert [(end.offset, end.flags, end.out) for end in farm.take(2)] == [(1, GIVEN_BACK, b""), (2, GIVEN_BACK, b"")]
    (tmp_path / "go").touch()
    (end,) = farm.take(1)
    assert (end.offset, end.status, end.flags, end.out) == (0, 0, 0, b"ran\n")
    assert farm.run(b"echo again")[0].out == b"again\n"


def test_everything_ends_when_the_launcher_is_closed(launch: Launch, tmp_path: Path) -> None:
    farm = launch()
    farm.start(b"trap '' TERM; sleep 600 & echo $! > child; echo $$ > leader; wait")
    pids = number_in(tmp_path / "child"), number_in(tmp_path / "leader")
    farm.launcher.close()
    wait_until(lambda: all(gone(pid) for pid in pids))


def test_everything_ends_when_the_rank_is_killed(tmp_path: Path) -> None:
    program = """if True:
        import os, time
        from mpifarm.launcher.launcher import Launcher, fork_helpers
        launcher = Launcher(fork_helpers(64, os.environ))
        launcher.set_up("nid0001", 2, 1)
        launcher.start([(n, 1 + n, 1, 0.0, b"echo $PPID > helper%d; echo $$ > task%d; sleep 600" % (n, n)) for n in (0, 1)])
        time.sleep(600)"""
    rank = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
    try:
        pids = [number_in(tmp_path / name) for name in ("task0", "task1", "helper0", "helper1")]
    finally:
        rank.kill()
        rank.wait()
    wait_until(lambda: all(gone(pid) for pid in pids))


def test_a_helper_that_is_killed_is_lost_and_all_tasks_of_the_rank_with_it(launch: Launch, tmp_path: Path) -> None:
    farm = launch(slots=2, cpus=2 * CPUS_PER_HELPER)
    farm.start(b"echo $$ > a; sleep 600", b"echo $$ > b; sleep 600")
    pids = number_in(tmp_path / "a"), number_in(tmp_path / "b")
    # A task may run before its helper has put it into the table. The rank adopts such a one; this process does not.
    wait_until(lambda: all(SESSION.unpack_from(handle.table) != (0,) for handle in farm.handles))
    os.kill(farm.handles[0].pid, signal.SIGKILL)
    with pytest.raises(HelperLost):
        farm.take(1)
    wait_until(lambda: all(gone(pid) for pid in pids))


@pytest.mark.parametrize("stop", [Launcher.terminate, Launcher.kill])
def test_a_helper_that_does_not_end_its_tasks_when_it_has_to_is_lost_and_they_are_killed(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stop: Callable[[Launcher], None]
) -> None:
    monkeypatch.setattr("mpifarm.launcher.launcher.ANSWER_S", 0.3)
    monkeypatch.setattr("mpifarm.launcher.launcher.SEND_S", 0.1)
    farm = launch(slots=2, grace_s=0.3)
    farm.start(b"echo $$ > task; kill -STOP $PPID; sleep 600")
    pid = number_in(tmp_path / "task")
    helper = farm.handles[0].pid
    wait_until(lambda: Path(f"/proc/{helper}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    farm.start(*[b": " + b"x" * (1 << 20)] * 2)  # more than the socket takes
    stop(farm.launcher)
    with pytest.raises(HelperLost, match="does not answer"):
        farm.take(3)
    wait_until(lambda: gone(pid) and gone(helper))


def test_a_helper_whose_tasks_may_take_long_to_end_is_not_lost_meanwhile(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mpifarm.launcher.launcher.ANSWER_S", 0.3)
    farm = launch(grace_s=600.0)
    farm.start(b"trap 'sleep 1.5; exit 4' TERM; echo $$ > ready; while :; do sleep 0.1; done")
    number_in(tmp_path / "ready")
    farm.launcher.terminate()
    (end,) = farm.take(1)
    assert (end.status, end.flags) == (4, STOPPED)


def test_a_helper_that_has_ended_what_it_had_in_time_may_go_on(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a worker that was taken for lost and joins again."""
    monkeypatch.setattr("mpifarm.launcher.launcher.ANSWER_S", 0.5)
    farm = launch()
    farm.start(b"sleep 600")
    farm.launcher.kill()
    farm.take(1)
    assert farm.run(b"sleep 1; echo again")[0].out == b"again\n"


def test_several_helpers_share_the_slots_and_their_numbers(launch: Launch) -> None:
    farm = launch(slots=5, cpus=2 * CPUS_PER_HELPER)
    together = b": > at.$MPIFARM_SLOT; while [ $(ls at.* | wc -l) -lt 5 ]; do sleep 0.02; done; echo $PPID $MPIFARM_SLOT"
    ends = farm.run(*[together] * 5)
    helpers, numbers = zip(*[tuple(map(int, end.out.split())) for end in ends], strict=True)
    assert sorted(numbers) == [1, 2, 3, 4, 5] == sorted(end.slot for end in ends)
    assert set(helpers) == {handle.pid for handle in farm.handles}


def test_helpers_without_a_slot_leave(launch: Launch) -> None:
    farm = launch(slots=1, cpus=3 * CPUS_PER_HELPER)
    assert [gone(handle.pid) for handle in farm.handles] == [False, True, True]
    assert farm.run(b"echo here")[0].out == b"here\n"


def test_signals_for_the_farm_do_not_reach_a_helper(launch: Launch) -> None:
    farm = launch()
    farm.run(b"true")
    assert os.getsid(farm.handles[0].pid) == farm.handles[0].pid
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(farm.handles[0].pid, number)
    assert farm.run(b"echo here")[0].out == b"here\n"


LINES = [
    b"echo 'a  b' \"c  d\" e\\ f; echo '# quoted' # not",
    b" \t echo leading blanks",
    *(b"-x", b"- x", b"--", b"-c 'echo option'", b"+e", b"+", b"--help"),
    b'echo $0 $# "$@" $-',
    b"echo a; exit 7; echo b",
    b"exec echo replaced; echo never",
    b"exec 3</dev/null 9>&1; echo nine >&9",
    b"echo \xff\xfe | od -c; printf '\\377\\001'",
    *(b"echo 'unmatched", b'echo "unmatched', b"echo `unmatched", b"echo $(unmatched", b"if true; then", b"}", b"&"),
    *(b"echo a\\", b"echo a\\\\", b"echo hi |", b"cat <<EOF"),
    b"(echo sub; exit 4)",
    b"set -e; false; echo never",
    b"set -u; echo $nothing; echo never",
    b"trap 'echo bye' EXIT; exit 5",
    b'read line; echo "<$line>" $?; cat',
    b"x=1 y=2; echo $x${y:-3} $((1 + 2)) *; kill -9 $$",
    b"! true",
]


def by_sh(line: bytes) -> tuple[int, bytes, bytes]:
    """Run /bin/sh -c *line*; a blank keeps sh from taking it for an option."""
    line = b" " + line if line[:1] in (b"-", b"+") else line
    done = subprocess.run(
        [b"sh", b"-c", line], executable="/bin/sh", stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_line_means_what_it_means_to_sh(launch: Launch) -> None:
    ends = launch(slots=2).run(*LINES)
    assert [(end.status, end.out, end.err) for end in ends] == [by_sh(line) for line in LINES]


@pytest.mark.parametrize("length", [LONGEST_ARGUMENT - 1, LONGEST_ARGUMENT, LONGEST_ARGUMENT + 1, 1 << 20])
def test_a_line_of_any_length_means_what_it_means_to_sh(launch: Launch, length: int) -> None:
    ends = launch(slots=2).run(*[b": " + b"x" * (length - 4 - len(line)) + b"; " + line for line in LINES])
    expected = [by_sh(b": ; " + line) for line in LINES]
    assert [(end.status, end.out, bool(end.err)) for end in ends] == [(s, out, bool(err)) for s, out, err in expected]


@linux
@pytest.mark.parametrize("padding", [0, LONGEST_ARGUMENT])
def test_a_task_starts_with_clean_descriptors_signals_and_a_session(launch: Launch, tmp_path: Path, padding: int) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        farm = launch()
    before = b": " + b"x" * padding + b"; "
    commands = (b"ls /proc/self/fd", b"readlink /proc/self/fd/0", b"cat /proc/self/status", b"cat /proc/self/stat")
    fds, stdin, status, stat = [end.out.decode() for end in farm.run(*[before + b"exec " + line for line in commands])]
    assert fds == "0\n1\n2\n3\n"  # 3 is what ls has opened to look
    assert stdin == "/dev/null\n"
    facts = dict(line.split(":\t") for line in status.splitlines())
    assert int(facts["SigBlk"], 16) == 0
    names = ("INT", "TERM", "HUP", "QUIT", "PIPE", "USR1", "USR2", "XFSZ", "CHLD")
    assert not [name for name in names if int(facts["SigIgn"], 16) >> (getattr(signal, f"SIG{name}") - 1) & 1]
    pid, _, _, _, group, session = stat.split()[:6]
    assert pid == group == session


def test_a_task_sees_its_environment_its_place_and_the_working_directory(launch: Launch, tmp_path: Path) -> None:
    farm = launch(slots=3, environ={"PATH": os.environ["PATH"], "BYTES": os.fsdecode(b"\xff=\n"), "MPIFARM_SLOT": "old"})
    farm.run(b"true", b"true")
    env, cwd = farm.run(b"exec env -0", b"pwd -P")
    own = {b"PWD", b"OLDPWD", b"SHLVL", b"_"}  # of the shell
    seen = dict(entry.split(b"=", 1) for entry in env.out.split(b"\0") if entry)
    assert {name: value for name, value in seen.items() if name not in own} == {
        b"PATH": os.environb[b"PATH"],
        b"BYTES": b"\xff=\n",
        b"MPIFARM_TASK": b"2",
        b"MPIFARM_SEQ": b"102",
        b"MPIFARM_ATTEMPT": b"1",
        b"MPIFARM_SLOT": b"%d" % env.slot,
        b"MPIFARM_NODE": b"nid0001",
        b"MPIFARM_THREADS": b"3",
    }
    assert os.fsdecode(cwd.out) == f"{tmp_path.resolve()}\n"


def test_a_task_of_a_slurm_job_is_told_the_cpus_of_its_slot(launch: Launch) -> None:
    line = b"echo ${SLURM_CPUS_PER_TASK-none}"
    job = {"PATH": os.environ["PATH"], "SLURM_CPUS_PER_TASK": "1"}
    assert launch(environ=job, task_cpus=4).run(line, b"env | grep SLURM_CPUS")[1].out == b"SLURM_CPUS_PER_TASK=4\n"
    assert launch(environ=job, task_cpus=4).run(line)[0].out == b"4\n"
    assert launch(environ=job, task_cpus=0).run(line)[0].out == b"1\n", "--keep-mpi-env"
    assert launch(environ={"PATH": os.environ["PATH"]}, task_cpus=4).run(line)[0].out == b"none\n", "no Slurm"


@pytest.mark.long
def test_a_rank_whose_mpi_never_starts_is_killed_and_one_that_has_started_is_not() -> None:
    script = (
        "import time; from mpifarm.launcher.launcher import Launcher, fork_helpers\n"
        "launcher = Launcher(fork_helpers(1, {{}}, start_s=0.5))\n"
        "{ready}\n"
        "time.sleep(2 if '{ready}' else 60)\n"
    )
    for ready, status in (("", -signal.SIGKILL), ("launcher.ready(manages=True)", 0)):
        ended = subprocess.run([sys.executable, "-c", script.format(ready=ready)], capture_output=True, check=False)
        assert ended.returncode == status
        assert (b"MPI does not start" in ended.stderr) == (status != 0)


REOPENING = [
    (b"echo first; echo second > /dev/stdout; echo third", b"first\nsecond\nthird\n", b""),
    (b"echo FATAL > /dev/stderr; echo cleaning > /dev/stderr", b"", b"FATAL\ncleaning\n"),
    (b"echo before; echo x | tee /dev/stderr > /dev/null; echo after >&2", b"before\n", b"x\nafter\n"),
    (b"echo 1; echo 2 | tee /dev/stdout; echo 3", b"1\n2\n2\n3\n", b""),
    (b"echo 1 >&2; echo 2 > /proc/self/fd/2; echo 3 > /dev/fd/2", b"", b"1\n2\n3\n"),
    (b"""echo 1; $PYTHON -c 'open("/dev/stdout", "w").write("2\\n")'; echo 3""", b"1\n2\n3\n", b""),
]


@pytest.mark.parametrize(("line", "out", "err"), REOPENING)
def test_what_a_task_opens_anew_loses_nothing_of_what_it_has_written(
    launch: Launch, line: bytes, out: bytes, err: bytes
) -> None:
    (end,) = launch(environ={**os.environ, "PYTHON": sys.executable}).run(line)
    assert (end.status, end.out, end.err) == (0, out, err)


def test_a_task_is_read_while_it_runs_however_much_it_prints(launch: Launch, tmp_path: Path) -> None:
    farm = launch()
    farm.start(b"head -c 1000000 /dev/zero; : > written; while [ ! -e go ]; do sleep 0.02; done")
    wait_until((tmp_path / "written").exists)
    (tmp_path / "go").touch()
    assert farm.take(1)[0].out == bytes(1_000_000)


@linux
def test_what_is_left_in_the_background_can_go_on_writing(launch: Launch, tmp_path: Path) -> None:
    """It would be killed by SIGPIPE if its pipe were closed, and wait for ever if nobody read from it."""
    farm = launch()
    farm.run(b"{ head -c 1000000 /dev/zero; echo; echo $? > wrote; } & exit 0")
    wait_until((tmp_path / "wrote").exists)
    assert (tmp_path / "wrote").read_text() == "0\n"


def test_a_start_that_finds_no_room_is_no_attempt(launch: Launch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The helper is forked with it: three of four starts fail, as fork(2) does at the limit of a user's processes."""
    real, refused = spawn.spawn, itertools.count()

    def refuse(*arguments: Any) -> int:
        if next(refused) % 4:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return real(*arguments)

    monkeypatch.setattr("mpifarm.launcher.spawn.spawn", refuse)
    monkeypatch.setattr("mpifarm.launcher.scarcity.PAUSE_S", 0.01)
    monkeypatch.setattr("mpifarm.launcher.scarcity.LONGEST_PAUSE_S", 0.05)
    ends = launch(slots=4).run(*[b"echo $MPIFARM_SEQ; true"] * 12)
    assert [(end.status, end.out) for end in ends] == [(0, b"%d\n" % seq) for seq in range(100, 112)]


def test_a_node_where_nothing_can_be_started_gives_all_back_and_says_so(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("mpifarm.launcher.spawn.spawn", refuse)
    monkeypatch.setattr("mpifarm.launcher.scarcity.PAUSE_S", 0.01)
    monkeypatch.setattr("mpifarm.launcher.scarcity.HOPELESS_S", 0.3)
    farm = launch(slots=2)
    farm.start(b"true; true", b"true; true", b"true; true")
    assert [end.flags for end in farm.take(3)] == [GIVEN_BACK] * 3
    wait_until(lambda: farm.trouble() != b"")
    assert b"ulimit -u" in farm.trouble()


@linux
def test_many_slots_find_their_descriptors_under_a_low_soft_limit_that_the_tasks_still_see(tmp_path: Path) -> None:
    """In a process of its own, which has few descriptors open."""
    program = f"""if True:
        import sys; sys.path[:0] = {sys.path!r}
        import os, resource, time
        from mpifarm.launcher.launcher import Launcher, fork_helpers
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        launcher = Launcher(fork_helpers(1, os.environ))
        launcher.set_up("nid0001", 60, 1)
        much, stray = b"ulimit -n >&2; head -c {2 * INLINE_BYTES} /dev/zero", b"ulimit -n >&2; sleep 600 &"
        launcher.start([(n, n, 1, 0.0, stray if 60 <= n < 120 else much) for n in range(180)])
        got, deadline = [], time.monotonic() + {DEADLINE_S}
        while sum(frame.records for frame in got) < 180 and time.monotonic() < deadline:
            got += launcher.read()
            time.sleep(0.01)
        print(b"".join(frame.body for frame in got).count(b"64\\n"), sum(frame.records for frame in got))
        launcher.close()"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "180 180\n"
