"""What a line of the list, a message or the network could make of a farm: a line is a command of sh's, and nothing else."""

from __future__ import annotations

import ast
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mpifarm
from mpifarm.launcher.spawn import LONGEST_ARGUMENT

SOURCES = {path.stem: path.read_text() for path in Path(mpifarm.__file__).parent.rglob("*.py")}
TFIN = "tasks.txt.tfin"
FARM = [sys.executable, "-m", "mpifarm", "--no-mpi", "--threads", "1", "--retries", "0"]

BANNED = {
    *("pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "code", "runpy", "pty", "cffi", "ctypes"),
    *("asyncio", "ssl", "multiprocessing", "socketserver", "http", "urllib", "ftplib", "smtplib", "xmlrpc"),
}
ALLOWED = {"processes": {"ctypes"}, "spawn": {"os.execve"}}  # for prctl; where a task starts
LOOKED_AT = {"os", "socket", "subprocess", "builtins", "importlib"}
RECORDS = {"Config"}  # that have a field of such a name, and execute nothing
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {"socket.socket", "np.load", "importlib.import_module"}
DANGEROUS = re.compile(
    r"""
      ^os\.(system|popen|exec|spawn|posix_spawnp)
    | ^subprocess\.get
    | ^socket\.(?!(socketpair|gethostname|MSG_DONTWAIT|socket)\b)
    | ^ctypes\.(?!CDLL(\(None\)\.prctl)?$|c_long$|get_errno$) | ^_LIBC\.(?!fallocate$)
    | ^(mpi|self\._mpi|self\._world|self\._status|request)\.(?!get_vendor$|group$)[a-z]  # of mpi4py: these pickle
    """,
    re.VERBOSE,
)
CONTROL = "\r\t\x0b\x1b\x7f"  # to many a reader, or to a terminal, each is the end of a line, or worse

Result = tuple[int, bytes, bytes]  # exit code or minus the signal, standard output, standard error


# What the modules do not do


def dangers(source: str, module: str = "") -> list[str]:
    """Return what in *source* executes or unpickles what it was given, or opens a socket to elsewhere."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += {alias.name.split(".")[0] for alias in node.names} & (BANNED - ALLOWED.get(module, set()))
        elif isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in BANNED | LOOKED_AT:
            found.append(ast.unparse(node))  # of the latter, what it brings would go by another name
        elif isinstance(node, ast.Name) and node.id in BUILTINS:
            found.append(node.id)
        elif isinstance(node, ast.Attribute) and DANGEROUS.search(ast.unparse(node)):
            found += {ast.unparse(node)} - ALLOWED.get(module, set())
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            named = called.endswith("import_module") and isinstance(node.args[0], ast.Constant)
            words = {word.arg for word in node.keywords} - ({"shell"} if called in RECORDS else set())
            if words & {"shell", "allow_pickle"} or (called in CALLS and not named):
                found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_a_module_executes_and_unpickles_nothing_that_it_was_given(module: str) -> None:
    assert dangers(SOURCES[module], module) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from marshal import loads", "import yaml.reader", "import ctypes", "from os import system",
        "eval(x)", "exec(x)", "compile(x, y, z)", "__import__(x)", "importlib.import_module(x)", "f = eval",
        "os.system(x)", "os.popen(x)", "os.execvp(x, y)", "os.spawnl(x)", "subprocess.run(x, shell=True)",
        "subprocess.getoutput(x)", "np.load(x)", "f(allow_pickle=y)", "ctypes.CDLL(None).system(x)", "_LIBC.system(x)",
        "self._world.send(x)", "self._world.bcast(x)", "request.wait()", "mpi.pickle.loads(x)",
        "socket.socket()", "socket.create_connection(x)", "from socket import create_server",
    ],
)  # fmt: skip
def test_the_search_for_dangers_finds(source: str) -> None:
    assert dangers(source)


def test_a_farm_without_mpi_opens_no_socket_but_pairs(tmp_path: Path) -> None:
    if not shutil.which("strace"):
        assert not os.environ.get("CI"), "no strace"
        pytest.skip("no strace")
    (tmp_path / "tasks.txt").write_text("echo 1\nhead -c 1000000 /dev/zero\nexit 3\n")
    trace = ["strace", "--follow-forks", "-qq", "--signal=none", "--trace=%network", "--output=trace"]
    ended = subprocess.run([*trace, *FARM, "tasks.txt"], cwd=tmp_path, capture_output=True, check=False)
    assert (ended.returncode, len(ended.stdout)) == (1, 1_000_002)
    calls = re.findall(r"^\d+ +(\w+)\((.*)", (tmp_path / "trace").read_text(), re.MULTILINE)
    assert ("socketpair", "AF_UNIX") in {(name, told.split(",")[0]) for name, told in calls}
    assert {name for name, _ in calls} <= {"socketpair", "getsockname", "sendto", "recvfrom"}


# What a line does


def run_list(directory: Path, lines: list[bytes]) -> list[Result]:
    """Run a list and return what came of each line, pieced together from the files that it has left."""
    (directory / "tasks.txt").write_bytes(b"".join(b"%s\n" % line for line in lines))
    command = [*FARM, "--anyway", "--ignore-directives", "--output", "all.out", "tasks.txt"]
    ended = subprocess.run(command, cwd=directory, capture_output=True, check=False, timeout=60)
    assert ended.returncode in (0, 1), ended.stderr
    output = (directory / "all.out").read_bytes()
    blocks: dict[int, bytes] = {}
    for progress in (directory / f"progress.{TFIN}").read_text().splitlines():
        words = progress.split()
        size = int(words[3])
        blocks[int(words[0])], output = output[:size], output[size:]
    entries = re.split(rb"^(?=\d)", (directory / f"log.{TFIN}").read_bytes(), flags=re.MULTILINE)[1:]
    logged = iter(entries[1:])  # behind the start
    results = []
    for attempt in (directory / f"joblog.{TFIN}").read_bytes().split(b"\n")[1:-1]:
        fields = attempt.split(b"\t")
        offset, status = int(fields[13]), int(fields[6]) or -int(fields[7])
        results.append((status, blocks[offset], b"") if status == 0 else (status, b"", next(logged)))
    assert len(results) == len(lines)
    return results


def ask_sh(directory: Path, line: bytes) -> Result:
    """Return what /bin/sh makes of *line*."""
    argv = [b"sh", b"-c", *([b"--"] if line[:1] in (b"-", b"+") else []), line]
    if len(line) > LONGEST_ARGUMENT:
        (directory / "script").write_bytes(line)
        argv = [b"sh", b"-c", b". ./script; rm script"]
    ended = subprocess.run(
        argv, executable="/bin/sh", cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return ended.returncode, ended.stdout, ended.stderr


OURS = re.compile(rb"^        mpifarm: .*\n", re.MULTILINE)  # a remark on a failure
NOTHING_ELSE = re.compile(rb"^    stderr:\n(?!        )", re.MULTILINE)  # was there but such remarks


def labelled(label: bytes, captured: bytes) -> bytes:
    indented = captured.removesuffix(b"\n").replace(b"\n", b"\n        ")
    return b"    %s:\n        %s\n" % (label, indented) if captured else b""


def assert_as_sh(lines: list[bytes]) -> None:
    """Hold a farm that runs *lines* one after the other against sh; two directories, so that both find the same there."""
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        results = run_list(Path(ours), lines)
        for line, (status, out, logged) in zip(lines, results, strict=True):
            expected, stdout, stderr = ask_sh(Path(theirs), line.removesuffix(b"\r"))
            assert status == expected, line
            if status == 0:
                assert out == stdout, line
            else:
                captured = NOTHING_ELSE.sub(b"", OURS.sub(b"", logged.split(b"\n", 1)[1]))
                assert captured == labelled(b"stderr", stderr) + labelled(b"stdout", stdout), line
        names = set(os.listdir(ours))
        farms = {"tasks.txt", TFIN, "all.out", *(f"{kind}.{TFIN}" for kind in ("progress", "joblog", "log"))}
        assert names - {f"{kind}.{TFIN}" for kind in ("done", "fastrecovery", "status")} == farms | set(os.listdir(theirs))


AWKWARD = [
    b"echo 'single \"in\" quotes' \"double 'in' quotes\"", b"echo a\\ b\\\\ \\$HOME '$HOME' \"\\$HOME\"", b"echo a\\",
    b"echo $(echo a; echo b) `echo c`", b"echo a; echo b && false || echo c", b"(exit 3)", b"exit 300", b"kill -9 $$",
    b"-c 'echo injected'", b"--help", b"-", b"--", b"+x", b"+o errexit", b"--retries 9", b"> f", b"cat f; rm f",
    b"  echo indented", b"\techo tab\ttab", b"echo cr\rcr\r", b"echo end\r", b"'unterminated", b"echo $(unterminated",
    b"A=1 B='2 3' sh -c 'echo $A $B'", b"PATH=/nowhere ls", b"MPIFARM_TASK=7; echo $MPIFARM_TASK", b"PYTHONSTARTUP=x",
    b"echo \xff\xfe \xc3\xa9 \x01\x1b[2J\x7f", b"\xff\xfe", b"echo ; # a comment", b"echo x #mpifarm nonsense=1",
    b"echo %s %d {} {0} ${x:-%n}", b"printf '%s\\n' \"$0\" \"$@\" $#", b"mkdir -p d/e && cd d && echo *; rm -r e ../d",
    b"echo ../../x; echo /etc/passwd | wc -l", b"read x; echo $?", b"exec >&- 2>&-; echo a", b"return 4", b"set -e; false",
    b"echo " + 5000 * b"long ", b"echo " + 300_000 * b"x", b"printf '\\0\\n\\377'", b"echo a\\nb", b"echo '\\n# max: 0'",
    b"echo '1 n-1 1 0 1 9'", b"trap 'echo bye' EXIT; exit 5", b"umask; ulimit -c", b"cd /; pwd", b"!", b"{ echo a; }", b"(",
    b"echo a | sed s/a/b/ | od -c", b"no-such-program 2>&1 | cat", b"exit 3 | exit 4", b"exit 3 | true", b"echo a |",
    b"| cat", b"echo 'a|b' a\\|b \"|\"", b"! true | false", b"echo a | { read x; echo $x; exit 5; }", b"echo a | | cat",
    b"echo a ||| cat",
]  # fmt: skip

# No single | and no single &: two programs at a time write to one stderr, and to one file, in either order. Such lines are
# among the fixed ones above.
CONCURRENT = re.compile(rb"\\[>&|]")  # what makes a single one of these words
WORDS = [
    *("echo", "printf", "exit", "true", "false", "set --", "test", "read x", "eval", "exec", "unset", "trap", ":", "!"),
    *("a", "a=b", "$a", "${a:-b}", "$?", "$#", "$@", "~", "=", "-n", "--", "+", "1", "0", "%s\\n", "\\", "'", '"', "`"),
    *("$(", ")", "(", ";", ";;", "&&", "||", "{", "}", "#", "<f", ">f", ">>f", "2>&1", ">&-", "if", "then", "fi"),
    *(" ", " ", " ", " ", "  ", "\t", "\r", "\x01", "\x1b[1m", "\xe9", "\udcff", "\x0b", "\x0c", "\x85", "[", "]"),
]  # fmt: skip


def test_an_awkward_line_gives_what_sh_gives() -> None:
    assert_as_sh(AWKWARD)


@pytest.mark.long
@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map("".join), min_size=1, max_size=40))
@settings(max_examples=25, deadline=None)
def test_any_line_gives_what_sh_gives(lines: list[str]) -> None:
    tasks = [os.fsencode(line) for line in lines if line.strip(" \t\r") and not line.lstrip(" \t\r").startswith("#")]
    assume(tasks)
    assert_as_sh([task for task in tasks if b"$$" not in task and not CONCURRENT.search(task)])


# What a line does to the files


def test_no_character_of_a_command_makes_another_line_of_the_joblog_or_of_the_log(tmp_path: Path) -> None:
    forged = "9\tn\t1\t1\t0\t0\t0\t0\t1\t1\t1\t1\t1\t99\tforged"
    later = "2026-11-22 12:00:01 failed: forged; exit 3"
    lines = [b"true", *(f": {character}{forged}{character}{later}".encode() for character in CONTROL)]
    assert [status for status, _, _ in run_list(tmp_path, lines)] == [0, *(3 for _ in CONTROL)]
    with (tmp_path / f"joblog.{TFIN}").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    offsets = accumulate((len(b"> %s\n" % line) for line in lines[:-1]), initial=0)
    assert [row["Offset"] for row in rows] == list(map(str, offsets))
    told = (tmp_path / f"log.{TFIN}").read_text().splitlines()
    assert [" started: " in line for line in told] == [True, *(False for _ in CONTROL)]


def test_what_a_task_prints_forges_no_line_of_the_log(tmp_path: Path) -> None:
    run_list(tmp_path, [rb"printf '2026-11-22 12:00:01 failed: forged\n\n2026-11-22 forged' >&2; exit 1"])
    headers = re.findall(rb"^\S.*", (tmp_path / f"log.{TFIN}").read_bytes(), re.MULTILINE)
    assert [b"task 1 (tasks.txt:1)" in header for header in headers] == [False, True]
    assert b" started: " in headers[0]
