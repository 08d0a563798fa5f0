"""The modulefile, loaded by a real Lmod."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "slurm"
LMOD = Path("/usr/share/lmod/lmod/init/bash")
THEIRS = 'prepend_path("PATH", "/theirs")\n'


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    if not LMOD.exists():
        reason = f"no {LMOD}: apt-get install lmod"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    for name, text in (("mpifarm", (SCRIPTS / "modulefile.lua").read_text()), ("taskfarmer", THEIRS)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.0.lua").write_text(text.replace("/path/to/mpifarm/slurm", str(SCRIPTS)))
    return tmp_path


def loaded(modules: Path, commands: str) -> subprocess.CompletedProcess[str]:
    """Run commands in a bash that has Lmod and *modules*."""
    script = f"source {LMOD}; module use {modules}; {commands}"
    environ = {"PATH": os.environ["PATH"], "HOME": str(modules), "LMOD_PAGER": "none"}
    return subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True, check=False, timeout=60)


def test_it_puts_our_runcommands_on_path_and_sets_nothing_else(modules: Path) -> None:
    environments = "env -0 > before; module load mpifarm; env -0 > after"
    ended = loaded(modules, f"cd {modules}; {environments}; command -v runcommands.sh; module help mpifarm")
    assert ended.stdout.splitlines()[0] == str(SCRIPTS / "runcommands.sh"), ended.stderr
    assert "list of shell commands" in ended.stderr
    before, after = (set((modules / name).read_text().split("\0")) for name in ("before", "after"))
    changed = {word.partition("=")[0] for word in before ^ after}
    assert {name for name in changed if "LM" not in name and not name.startswith("_")} == {"PATH", "LOADEDMODULES"}


def test_taskfarmers_own_is_not_loaded_beside_it(modules: Path) -> None:
    ended = loaded(modules, "module load taskfarmer; module load mpifarm; echo code $?; command -v runcommands.sh")
    assert ended.stdout == "code 1\n"
    assert "taskfarmer" in ended.stderr
