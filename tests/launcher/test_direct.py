"""Commands that need no shell: what they do is what the shell makes of them, and what may be anything else goes to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpifarm.launcher import spawn
from mpifarm.launcher.direct import Direct, last_words
from mpifarm.launcher.spawn import Environ
from mpifarm.site.mounts import Mounts

SHOW = b"/bin/cat /proc/self/environ"
TABLE = Path("/proc/self/mountinfo")
BASE = {b"PATH": b"/usr/local/bin:/usr/bin:/bin", b"HOME": b"/tmp", b"A_LIST": b"a b\nc", b"_": b"/usr/bin/mpiexec"}

pytestmark = pytest.mark.skipif(
    Path("/bin/sh").resolve().name not in ("dash", "bash"), reason="/bin/sh is neither dash nor bash: all goes through it"
)


@pytest.fixture(autouse=True, scope="module")
def in_a_directory_that_will_go(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Some of the lines below redirect into files."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("lines"))
    yield
    os.chdir(before)


@cache
def mounts(shell: bytes, table: Path) -> Mounts:
    """Return one for all tests: each has a file open."""
    return Mounts(shell, table)


def asked(environ: Environ, shell: bytes = spawn.SHELL, lost: Environ | None = None, table: Path = TABLE) -> Direct:
    return Direct(environ, mounts(shell, table), shell, lost)


def end_of(pid: int) -> tuple[int, bool]:
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), os.WCOREDUMP(status)


def results(command: bytes, environ: dict[bytes, bytes]) -> list[tuple[int, bytes, bytes]]:
    """Return exit code, standard output and error of *command*: through the shell, and directly if that is allowed."""
    found = []
    program = asked(environ).program(command)
    for direct in (False, True) if program else (False,):
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            files = out.fileno(), err.fileno()
            try:
                if direct and program:
                    pid = spawn.spawn_program(program.path, program.argv, program.environ, *files)
                else:
                    pid = spawn.spawn(command, environ, *files)
            except OSError:
                continue  # directly: it is then left to the shell
            status, core = end_of(pid)
            said = b""
            if direct and program and program.awaited:
                status, said = last_words(status, core)
            found.append((status, os.pread(files[0], 1 << 20, 0), os.pread(files[1], 1 << 20, 0) + said))
    return found


def script(directory: Path, name: str, text: str, mode: int = 0o755) -> bytes:
    path = directory / name
    path.write_text(text)
    path.chmod(mode)
    return os.fsencode(path)


@pytest.mark.parametrize(
    "command",
    [b"/bin/echo one two", b"  ls\t-a  /dev/null ", b"env", b"/bin/sleep 0", b"expr 6 + 7", b"ls /no/such/file", b"sh -x"],
)
def test_a_plain_command_is_started_directly_with_the_same_result(command: bytes) -> None:
    through_the_shell, directly = results(command, BASE)
    assert sorted(directly[1].splitlines()) == sorted(through_the_shell[1].splitlines())  # an environment has no order
    assert directly[0] == through_the_shell[0]
    assert directly[2] == through_the_shell[2]


@pytest.mark.parametrize("number", [1, 2, 3, 6, 9, 11, 13, 15, 24])
def test_a_death_by_a_signal_is_told_as_the_shell_tells_it(tmp_path: Path, number: int) -> None:
    text = f"#!/bin/sh\nulimit -c 0\nkill -{number} $$\nsleep 9\n"
    through_the_shell, directly = results(script(tmp_path, "die", text), BASE)
    assert directly == through_the_shell


@pytest.mark.parametrize(
    "environ",
    [
        BASE,
        {b"PATH": b"/bin"},
        {**BASE, b"PWD": b"/no/such/place"},
        {**BASE, b"PWD": os.fsencode(os.getcwd()), b"SHLVL": b"7", b"OLDPWD": b"/usr"},
        {**BASE, b"not-a-name": b"1", b"a.b": b"2"},
    ],
)
def test_the_environment_is_what_the_shell_would_hand_on(environ: dict[bytes, bytes]) -> None:
    through_the_shell, directly = results(SHOW, environ)
    assert sorted(directly[1].split(b"\0")) == sorted(through_the_shell[1].split(b"\0"))


def test_what_the_shell_would_lose_is_handed_on_all_the_same() -> None:
    function = {b"BASH_FUNC_module%%": b"() {  echo yes\n}"}
    program = asked({**BASE, **function}, lost=function).program(b"/bin/cat x")
    plain = asked(BASE).program(b"/bin/cat x")
    assert program and plain
    assert program.environ == {**plain.environ, **function}


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_where_bash_reads_a_file_first_all_goes_through_it() -> None:
    bash = os.fsencode(shutil.which("bash") or "")
    assert asked(BASE, bash).program(b"ls a")
    assert asked({**BASE, b"BASH_ENV": b"/tmp/env.sh"}, bash).program(b"ls a") is None
    assert asked({**BASE, b"BASH_ENV": b"/tmp/env.sh"}).program(b"ls a"), "sh reads none"


@pytest.mark.parametrize(
    "command",
    [
        b"", b" ", b"true", b"echo one", b"exec ls", b"cd /tmp", b"[ 1 ]", b"test 1", b". ./file", b": x", b"A=1", b"if",
        b"A=1 ls", b"ls *", b"ls ?", b"ls ~", b"ls $HOME", b"ls `pwd`", b"ls 'a'", b'ls "a"', b"ls a\\ b", b"ls;ls", b"ls&",
        b"ls|cat", b"ls >x", b"ls <x", b"ls 2>x", b"(ls)", b"{ ls; }", b"ls #mpifarm cores=4", b"# ls", b"ls [a]", b"! ls",
        b"%1", b"-x", b"+x", b"ls \xc3\xa9", b"ls \x01", b"ls\nls", b"no-such-command-anywhere 1", b"ls {a,b}", b"ls ^a",
        b"/no/such/file",
    ],
)  # fmt: skip
def test_what_may_be_more_than_a_program_goes_to_the_shell(command: bytes) -> None:
    assert len(results(command, BASE)) == 1


def test_what_the_kernel_does_not_start_goes_to_the_shell(tmp_path: Path) -> None:
    no_interpreter = script(tmp_path, "plain", "exit 7\n")
    not_allowed = script(tmp_path, "text", "#!/bin/sh\n", 0o644)
    assert [status for status, *_ in results(no_interpreter, BASE)] == [7]
    assert [status for status, *_ in results(not_allowed, BASE)] == [126]
    assert [status for status, *_ in results(os.fsencode(tmp_path), BASE)] == [126]


def test_a_program_is_looked_up_anew_each_time(tmp_path: Path) -> None:
    direct = asked({b"PATH": os.fsencode(tmp_path) + b":/usr/bin:/bin"})
    before = direct.program(b"ls")
    mine = script(tmp_path, "ls", "#!/bin/sh\n")
    after = direct.program(b"ls")
    assert before and after
    assert before.path != after.path == mine


@pytest.mark.parametrize("path", [b"", b".:/bin", b"bin:/bin", b":/bin", b"/bin%func:/bin"])
def test_a_path_that_a_shell_may_read_otherwise_is_left_to_it(path: bytes) -> None:
    assert asked({b"PATH": path}).program(b"ls") is None


@pytest.mark.parametrize(
    "more", [{b"SHELLOPTS": b"xtrace"}, {b"BASHOPTS": b"expand_aliases"}, {b"BASH_FUNC_ls%%": b"() { echo mine; }"}]
)
def test_what_bash_takes_from_the_environment_is_left_to_it(more: dict[bytes, bytes]) -> None:
    assert asked({**BASE, **more}).program(b"ls") is None


@settings(max_examples=60, deadline=None)
@given(st.text("ab/.-_=+:@%,~*?$'\"\\|&;<(){}[]!#^ \t1", max_size=12))
def test_any_line_of_odd_characters_does_what_the_shell_does(text: str) -> None:
    """Behind a program that shows its arguments, and in front. What needs a shell is not tried: it may do anything."""
    environ = {b"PATH": b"/usr/bin:/bin"}
    for command in (b"/usr/bin/printf %s. " + text.encode(), text.encode()):
        found = results(command, environ) if asked(environ).program(command) else []
        assert found[1:] in ([], found[:1])


def test_the_shells_that_are_known_agree_about_what_is_a_builtin() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    words = subprocess.run([bash, "-c", "compgen -bk"], capture_output=True, check=True).stdout.split()
    assert len(words) > 50
    assert [word for word in words if asked(BASE).program(word)] == []


@pytest.mark.parametrize(
    ("line", "path", "at_once"),
    [
        (b"./near", b"/usr/bin", True),
        (b"./far/prog", b"/usr/bin", False),
        (b"./to_far", b"/usr/bin", False),
        (b"ls", b"%s/none:/usr/bin:/bin", True),
        (b"ls", b"%s/far:/usr/bin:/bin", False),
        (b"ls", b"/usr/bin:/bin:%s/far", True),
        (b"far_ls", b"%s:/usr/bin", False),
    ],
)
def test_what_leads_off_the_node_goes_to_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes, path: bytes, at_once: bool
) -> None:
    """A directory of PATH, too, if it comes before the one in which the program is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "far").mkdir()
    for place in (tmp_path, tmp_path / "far"):
        script(place, "near", "#!/bin/sh\n")
        script(place, "prog", "#!/bin/sh\n")
    for link in ("to_far", "far_ls"):
        (tmp_path / link).symlink_to("far/prog")
    table = tmp_path / "table"
    table.write_text(f"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:50 / {tmp_path.resolve()}/far rw - nfs4 server:/x rw\n")
    environ = {b"PATH": path.replace(b"%s", os.fsencode(tmp_path.resolve()))}
    assert bool(asked(environ, table=table).program(line)) is at_once
