"""Bad input of whoever only looks: each kind of it against each look, as real processes on what a real farm has left.

The rule: whatever lies there, a look ends with an exit code of its own and no traceback, changes nothing, waits for nobody,
and what it refuses it refuses in one line.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

LOOKS = {
    "status": ["--status"],
    "json": ["--status", "--json"],
    "failed": ["--failed"],
    "show": ["--show", "2"],
    "joblog": ["--joblog"],
    "report": ["--report", "r.html"],
    "check": ["--check"],
}
KINDS = ("progress", "fastrecovery", "log", "joblog", "done", "lock", "status")  # beside the .tfin file
DEADLINE_S = 100.0  # a machine that is busy with other tests
# What becomes of a file that is not what it was; --status believes the status file where that fits.
TORN = {
    "tfin": "1122222", "progress": "2222222", "fastrecovery": "1122222", "log": "1100000", "joblog": "1100000",
    "status": "1100000",
}  # fmt: skip
ZEROS = {
    "tfin": "1100002", "progress": "1100000", "fastrecovery": "1122222", "log": "1100000", "joblog": "1100000",
    "status": "1100000",
}  # fmt: skip
NONSENSE = {
    "tfin": "1122222", "progress": "1100000", "fastrecovery": "1122222", "log": "1100000", "joblog": "1102222",
    "status": "1100000",
}  # fmt: skip
EMPTY = {
    "tfin": "1122222", "progress": "2222222", "fastrecovery": "1122222", "log": "1100000", "joblog": "1100000",
    "status": "1100000",
}  # fmt: skip
UNREADABLE = {"list": "1122202", "tfin": "1122222", "progress": "1122222", "fastrecovery": "1122222"}
EVIL = "\x1b]0;title\x07\x1b[31m<script>alert(1)</script>\x9b2J\u202e"
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]")


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a farm has left of three tasks, of which one has failed, and of a list with evil words."""
    here = tmp_path_factory.mktemp("left")
    (here / "tasks.txt").write_text("# a comment\necho a\necho bad >&2; exit 3\necho c\n")
    (here / "evil").mkdir()
    name = f"evil{EVIL.replace('/', '')}.txt"
    (here / "evil" / name).write_text(f"# {EVIL}\nprintf '%s\\n' '{EVIL}' >&2; exit 3\necho '{EVIL}'\n")
    for tasklist, code in ((here / "tasks.txt", 1), (here / "evil" / name, 1)):
        command = [sys.executable, "-m", "mpifarm", "--no-mpi", "--retries", "0", "--threads", "1", tasklist.name]
        environ = {**os.environ, "SLURMD_NODENAME": f"n{EVIL}"} if tasklist.parent.name == "evil" else None
        ended = subprocess.run(command, cwd=tasklist.parent, env=environ, capture_output=True, check=False)
        assert ended.returncode == code, ended.stderr
    return here


def named(kind: str) -> str:
    return {"list": "tasks.txt", "tfin": "tasks.txt.tfin"}.get(kind, f"{kind}.tasks.txt.tfin")


def each(*kinds: str, by: Callable[[Path], object]) -> Callable[[], None]:
    """Return what does something to files of these kinds."""

    def change() -> None:
        for kind in kinds:
            by(Path(named(kind)))

    return change


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def zeros(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(100))


def nonsense(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\0\x1b[31m <script>\t1\t2\n" * 40)


def fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def directory(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def loop(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def foreign_lines() -> None:
    with Path(named("joblog")).open("a") as file:
        file.write("1\t:\t1796000000.000\t     0.001\t0\t0\t0\t0\techo of GNU Parallel\nno line at all\n")


def foreign_header() -> None:
    Path(named("joblog")).write_text("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n")


def another_list() -> None:
    Path(named("tfin")).write_text("> sleep 1000\n> ./another list altogether\n")


def another_schema() -> None:
    path = Path(named("status"))
    path.write_bytes(path.read_bytes().replace(b'"schema": 1', b'"schema": 99'))


def a_list_of(text: str) -> Callable[[], None]:
    """Return what makes a list of *text* of which no run is known."""

    def change() -> None:
        for path in Path().iterdir():
            if path.name.endswith(".tfin"):
                path.unlink()
        Path("tasks.txt").write_text(text)

    return change


def nothing() -> None:
    a_list_of("")()
    Path("tasks.txt").unlink()


def unreadable(path: Path) -> None:
    path.chmod(0)


# What is wrong; what makes it so; exit codes of LOOKS, in their order.
TABLE = [
    ("no run", nothing, "2222222"),
    ("an empty list", a_list_of(""), "2222220"),
    ("a list of comments", a_list_of("# a\n# b\n"), "2222220"),
    ("another list's .tfin file", another_list, "1122222"),
    ("another program's joblog", foreign_header, "1102222"),
    ("lines of another program in the joblog", foreign_lines, "1100000"),
    ("a status file of another schema", another_schema, "1100000"),
    *((f"a torn {kind}", each(kind, by=half), codes) for kind, codes in TORN.items()),
    *((f"zeros at the end of {kind}", each(kind, by=zeros), codes) for kind, codes in ZEROS.items()),
    *((f"nonsense in {kind}", each(kind, by=nonsense), codes) for kind, codes in NONSENSE.items()),
    *((f"an empty {kind}", each(kind, by=empty), codes) for kind, codes in EMPTY.items()),
    *((f"a {kind} that may not be read", each(kind, by=unreadable), codes) for kind, codes in UNREADABLE.items()),
    *((f"a FIFO as {kind}", each(kind, by=fifo), "2222222") for kind in ("tfin", *KINDS)),
    *((f"a directory as {kind}", each(kind, by=directory), "2222222") for kind in ("tfin", *KINDS)),
    ("a FIFO as list", each("list", by=fifo), "1100202"),
    ("a directory as list", each("list", by=directory), "1100202"),
    ("a loop of links as progress", each("progress", by=loop), "2222222"),
]
SHORT = {"no run", "an empty tfin", "a FIFO as progress", "a FIFO as list", "nonsense in fastrecovery"}


def run_all(looks: dict[str, list[str]], name: str, by: list[str]) -> dict[str, tuple[int, str, str]]:
    """Run looks beside each other; return exit code, standard output and standard error of each."""
    python = [*by, sys.executable, "-m", "mpifarm"]
    started = {
        look: subprocess.Popen([*python, *options, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for look, options in looks.items()
    }
    ended = {}
    try:
        for look, process in started.items():
            out, err = process.communicate(timeout=DEADLINE_S)
            ended[look] = (process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
    finally:
        for process in started.values():
            process.kill()
            process.wait()
    return ended


def judged(look: str, code: int, out: str, err: str) -> None:
    """Demand what every look owes: an exit code of its own, no traceback, and one line where it refuses."""
    assert code in (0, 1, 2, 3), (look, code, err)
    assert "Traceback" not in out + err, (look, err)
    if code == 2 and (look != "check" or err):
        assert err.startswith("mpifarm: ") and err.count("\n") == 1, (look, err)
    elif code == 2:
        assert re.search(r"^\S+: error: ", out, re.MULTILINE), (look, out)
    else:
        assert all(line.startswith("mpifarm: ") for line in err.splitlines()), (look, err)
    assert not CONTROL.search(err), (look, err)
    if look in ("status", "json", "check"):
        assert not CONTROL.search(out), (look, out)


def contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file() and path.name != "r.html"}


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        pytest.param(change, codes, id=what, marks=() if what in SHORT else pytest.mark.long)
        for what, change, codes in TABLE
    ],
)
def test_bad_input_is_one_line_and_never_a_traceback(
    change: Callable[[], None], codes: str, left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(left, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    change()
    before = contents()
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]  # root reads everything otherwise
    looks = dict(zip(LOOKS, codes, strict=True))
    asked = {**LOOKS, "watch": ["--status", "--watch"]} if looks["status"] == "2" else LOOKS
    told = run_all(asked, "tasks.txt", drop if os.geteuid() == 0 and shutil.which("setpriv") else [])
    for look, (code, out, err) in told.items():
        judged(look, code, out, err)
    assert "".join(str(told[look][0]) for look in LOOKS) == codes
    assert Path("r.html").exists() == (looks["report"] == "0")
    assert contents() == before


@pytest.mark.parametrize("look", [look for look in LOOKS if look != "report"])
@pytest.mark.long
def test_who_stops_reading_early_hears_one_line_at_most(look: str, left: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "mpifarm", *LOOKS[look], "tasks.txt"]
    ended = subprocess.run(command, cwd=left, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert ended.returncode in (1, 2)
    assert [line for line in ended.stderr.splitlines() if not line.startswith("mpifarm: ")] == []
    assert ended.stderr.count("\n") <= 1


def test_what_others_have_written_does_nothing_to_a_terminal_nor_to_a_page(left: Path, tmp_path: Path) -> None:
    shutil.copytree(left / "evil", tmp_path, dirs_exist_ok=True)
    (name,) = (path.name for path in tmp_path.iterdir() if path.name.endswith(".txt"))
    for look, options in LOOKS.items():
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "mpifarm", *options, name]
        process = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # EIO: nobody is left at the other end
            while part := os.read(ours, 65536):
                shown += part
        os.close(ours)
        assert process.wait(DEADLINE_S) in (0, 1), (look, shown)
        text = shown.decode(errors="replace")
        assert not CONTROL.search(text), (look, text)
        assert "alert(1)" in text or look == "report"
    page = (tmp_path / "r.html").read_text()
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not CONTROL.search(page)
