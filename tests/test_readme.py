"""The README's map is what the wings say of themselves."""

from __future__ import annotations

import ast
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
