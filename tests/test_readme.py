"""The README's map is what the wings say of themselves, and its example of a template what a run leaves."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WINGS = sorted(path.parent for path in (ROOT / "mpifarm").glob("*/__init__.py"))


@pytest.mark.parametrize("wing", WINGS, ids=lambda wing: wing.name)
def test_the_map_says_of_a_wing_what_the_wing_says(wing: Path) -> None:
    docstring = ast.get_docstring(ast.parse((wing / "__init__.py").read_text()))
    assert docstring
    _, _, places = (ROOT / "README.md").read_text().partition("\n## Where what lives\n")
    assert f"| `{wing.name}/` | {docstring.splitlines()[0]} |" in places.splitlines()


def test_the_map_names_no_wing_that_is_not_there() -> None:
    _, _, places = (ROOT / "README.md").read_text().partition("\n## Where what lives\n")
    named = {line.split("`")[1].rstrip("/") for line in places.splitlines() if line.startswith("| `")}
    assert named == {wing.name for wing in WINGS}


def test_the_example_of_a_template_is_what_it_says(tmp_path: Path) -> None:
    _, _, section = (ROOT / "README.md").read_text().partition("\n## Arguments and a template\n")
    _, _, block = section.partition("```sh\n$ cat runs.csv\n")
    arguments, _, rest = block.partition("$ python ")
    line, _, told = rest.partition("\n$ cat runs.csv.tfin\n")
    (tmp_path / "runs.csv").write_text(arguments)
    (tmp_path / "fit").write_text("#!/bin/sh\necho $#\n")
    (tmp_path / "fit").chmod(0o755)
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        ["sh", "-c", f"{sys.executable} {line}"], cwd=tmp_path, env=environ, check=True, capture_output=True, timeout=60
    )
    assert (tmp_path / "runs.csv.tfin").read_text() == told.partition("```")[0]
    assert (tmp_path / "first run.out").read_text() == (tmp_path / "b.out").read_text() == "3\n"
