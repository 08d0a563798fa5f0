"""Functions that bash has exported reach a task by each way there is, with real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_launcher import Launch, launch

from mpifarm.launcher.functions import Functions
from mpifarm.site.mounts import Mounts

__all__ = ["launch"]  # a fixture

BASH = shutil.which("bash") or ""
pytestmark = [
    pytest.mark.skipif(not BASH, reason="no bash"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a file of the helper is named through /proc"),
]

DEFINED = r"""
f () { echo "f $# $1"; }
a-b () { echo "a-b $1"; }
a.b::c () { echo "a.b::c 'single' \"$1\""; }
module () { eval "$(printf 'export LOADED=%s; echo loaded %s' "$1" "$1")"; }
calls () { if [[ $1 == x* ]]; then f < <(echo unread); else a-b "${1//o/0}"; fi; }
heredoc () { cat <<END
<$1>
END
}
export -f f a-b a.b::c module calls heredoc
"""
FUNCTIONS = ("f", "a-b", "a.b::c", "module", "calls", "heredoc")


@pytest.fixture(scope="module")
def exported() -> dict[str, str]:
    """The environment that bash makes of DEFINED."""
    seen = subprocess.run(
        [BASH, "-c", DEFINED + "exec env -0"], capture_output=True, check=True, env={"PATH": os.environ["PATH"]}
    )
    environ = dict(word.split("=", 1) for word in os.fsdecode(seen.stdout).split("\0") if word)
    assert sum(name.startswith("BASH_FUNC_") for name in environ) == len(FUNCTIONS)
    return {name: value for name, value in environ.items() if name != "_"}


@pytest.fixture(params=["the usual sh", "dash", "bash as sh", "bash"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the path of a shell."""
    if request.param == "the usual sh":
        return "/bin/sh"
    if request.param == "bash as sh":
        (tmp_path / "sh").symlink_to(BASH)
        return str(tmp_path / "sh")
    path = shutil.which(str(request.param))
    if path is None:
        pytest.skip(f"no {request.param}")
    return path


def script(directory: Path, name: str, text: str) -> None:
    (directory / name).write_text(text)
    (directory / name).chmod(0o755)


CALLS = {
    "f 'one two' 3": "f 2 one two\n",
    "a-b 1": "a-b 1\n",
    "a.b::c 1": "a.b::c 'single' \"1\"\n",
    "module x; echo $LOADED; module y && echo $LOADED": "loaded x\nx\nloaded y\ny\n",
    "calls xyz": "f 0 \n",
    "calls foo": "a-b f00\n",
    "heredoc 7": "<7>\n",
    "A=1 f 2": "f 1 2\n",
    "if f 1; then echo yes; fi": "f 1 1\nyes\n",
    'echo $(f 1) "$(a-b 2)" `f 3`': "f 1 1 a-b 2 f 1 3\n",
    "echo before;f 1": "before\nf 1 1\n",
    "(f 1)": "f 1 1\n",
    "{ f 1; }": "f 1 1\n",
    "true && ! f 1 || :": "f 1 1\n",
    "echo 1 | while read x; do f $x; done": "f 1 1\n",
    "f 1 > out; cat out": "f 1 1\n",
}


def test_a_line_calls_them(launch: Launch, exported: dict[str, str], shell: str) -> None:
    ends = launch(slots=2, environ=exported, shell=shell).run(*(line.encode() for line in CALLS))
    assert {line: end.out.decode() for line, end in zip(CALLS, ends, strict=True)} == CALLS
    assert {end.status for end in ends} == {0}


def test_a_line_that_only_names_them_stays_with_the_shell(exported: dict[str, str]) -> None:
    functions = Functions({os.fsencode(k): os.fsencode(v) for k, v in exported.items()}, b"/bin/dash", Mounts(b"/bin/dash"))
    named = [
        "echo f",
        "ls f a-b",
        "echo 'x; f 1'",
        'echo "x; f 1"',
        "./f 1",
        "/bin/f",
        "f.x",
        "xf",
        "f=1",
        "f() { :; }; echo",
        "# f",
    ]
    named += ["echo a\\; f", "cat <f >f", "echo module load x", "f-x", "a-b.c"]
    assert [line for line in named if functions.way(line.encode()).shell != b"/bin/dash"] == []
    called = [line for line in CALLS if functions.way(line.encode()).shell == os.fsencode(BASH)]
    assert called == list(CALLS)


WAYS = [
    "./tool.sh 1",
    "./tool.sh 1 > out; cat out",
    "bash tool.sh 1; :",
    "bash -c 'f 1'; :",
    "./outer.sh; :",
    "echo 1 | xargs ./tool.sh",
]


@pytest.mark.parametrize("line", WAYS)
def test_a_bash_script_has_them(launch: Launch, tmp_path: Path, exported: dict[str, str], shell: str, line: str) -> None:
    script(tmp_path, "tool.sh", f"#!{BASH}\nf $1\n")
    script(tmp_path, "outer.sh", f"#!{BASH}\n./tool.sh 1\n")
    (end,) = launch(environ=exported, shell=shell).run(line.encode())
    assert (end.status, end.out) == (0, b"f 1 1\n")


def test_a_bash_script_has_them_under_their_odd_names(
    launch: Launch, tmp_path: Path, exported: dict[str, str], shell: str
) -> None:
    script(tmp_path, "tool.sh", f"#!{BASH}\na-b 1; a.b::c 2; module z; calls foo; heredoc 3; echo ${{BASH_ENV-none}}\n")
    expected = b"a-b 1\na.b::c 'single' \"2\"\nloaded z\na-b f00\n<3>\nnone\n"
    ends = launch(environ=exported, shell=shell).run(b"./tool.sh", b"./tool.sh; :")
    assert [(end.status, end.out) for end in ends] == [(0, expected)] * 2


def test_what_a_script_has_made_of_a_function_is_not_undone(
    launch: Launch, tmp_path: Path, exported: dict[str, str]
) -> None:
    script(tmp_path, "outer.sh", f"#!{BASH}\nf () {{ echo mine; }}; unset -f a-b\n./tool.sh\n")
    script(tmp_path, "tool.sh", f"#!{BASH}\nf; type a-b > /dev/null 2>&1 || echo gone\n")
    (end,) = launch(environ=exported).run(b"./outer.sh; :")
    assert end.out == b"mine\ngone\n"


@pytest.mark.parametrize("value", ["{}/own.sh", "$PLACE/own.sh", "$(echo {}/own.sh)"])
def test_the_users_own_bash_env_is_read_and_handed_on(
    launch: Launch, tmp_path: Path, exported: dict[str, str], value: str
) -> None:
    value = value.format(tmp_path)
    (tmp_path / "own.sh").write_text('OWN="own $# $(f 1)"\n')
    script(tmp_path, "tool.sh", f'#!{BASH}\necho $OWN; echo "$BASH_ENV"; f 2\n')
    (end,) = launch(environ={**exported, "BASH_ENV": value, "PLACE": str(tmp_path)}).run(b"./tool.sh a b; :")
    assert end.out.decode() == f"own 2 f 1 1\n{value}\nf 1 2\n"


def test_a_bash_env_that_is_not_there_is_passed_over_as_bash_does(
    launch: Launch, tmp_path: Path, exported: dict[str, str]
) -> None:
    script(tmp_path, "tool.sh", f"#!{BASH}\nset -eu\nf 2\n")
    ends = [launch(environ={**exported, "BASH_ENV": own}).run(b"./tool.sh; :")[0] for own in ("/no/such", "", "/tmp")]
    assert [(end.status, end.out) for end in ends] == [(0, b"f 1 2\n")] * 3


def test_the_definitions_do_not_show_where_a_script_is_traced_and_stop_no_strict_one(
    launch: Launch, tmp_path: Path, exported: dict[str, str]
) -> None:
    script(tmp_path, "tool.sh", f"#!{BASH} -eux\nf 2\n")
    (end,) = launch(environ=exported).run(b"./tool.sh; :")
    assert (end.status, end.out) == (0, b"f 1 2\n")
    assert end.err.splitlines()[-2:] == [b"+ f 2", b"+ echo 'f 1 2'"]
    assert b"declare" not in end.err


def test_a_value_that_is_no_function_is_not_executed_and_spoils_no_other(
    launch: Launch, tmp_path: Path, exported: dict[str, str]
) -> None:
    bad = {
        "BASH_FUNC_g%%": "() { :; }; touch pwned",
        "BASH_FUNC_h%%": "() { if; }",
        "BASH_FUNC_$(touch pwned)%%": "() { :; }",
    }
    script(tmp_path, "tool.sh", f"#!{BASH}\nf 2\n")
    (end,) = launch(environ={**exported, **bad}).run(b"./tool.sh; :")
    assert (end.status, end.out) == (0, b"f 1 2\n")
    assert not (tmp_path / "pwned").exists()


def test_without_exported_functions_nothing_is_made() -> None:
    environ = {b"PATH": b"/bin"}
    functions = Functions(environ, b"/bin/sh", Mounts(b"/bin/sh"))
    assert functions.lost == {}
    assert functions.way(b"f 1").environ is environ
    assert functions.way(b"f 1").shell == b"/bin/sh"


def test_where_there_is_no_bash_the_line_stays_with_the_shell(tmp_path: Path) -> None:
    environ = {b"PATH": os.fsencode(tmp_path), b"BASH_FUNC_f%%": b"() {  :\n}"}
    assert Functions(environ, b"/bin/dash", Mounts(b"/bin/dash")).way(b"f 1").shell == b"/bin/dash"
