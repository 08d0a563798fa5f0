"""Nobody cuts, removes, renames or replaces a file but by the functions of `files` that ask for a proof at that moment.

The calls are read in the sources. What else may be destroyed stands here by name: the lock's own names, which are what a
proof looks at, and files that have no name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from test_imports import TREES

DESTROYERS = {
    *("ftruncate", "truncate", "unlink", "remove", "rename", "renames", "replace", "link", "symlink", "rmdir", "rmtree"),
    *("removedirs", "move", "copy", "copyfile", "copy2", "symlink_to", "hardlink_to", "write_text", "write_bytes"),
}
PROVEN = {
    "create": 1,
    "put_in_place": 2,
    "rename": 2,
    "replace": 2,
    "refresh": 2,
    "remove": 1,
    "cut": 2,
}  # of `files`: where the proof stands
MAY = {
    "ground/files": {
        "path.unlink(missing_ok=True)",
        "new_name(path).replace(path)",
        "source.replace(path)",
        "os.ftruncate(descriptor, size)",
    },
    "journal/acquisition": {
        "aside.unlink(missing_ok=True)",
        "mine.unlink(missing_ok=True)",
        "path.unlink()",
        "os.link(mine, self._path)",
        "os.link(aside, self._path)",
        "mine.rename(self._path)",
        "self._path.rename(aside)",
    },
    "journal/lock": {"self._path.unlink(missing_ok=True)"},
    "launcher/capture": {"os.ftruncate(self._file, 0)"},
}
NO_FILES = {"dataclasses", "self._workers", "self._queue.retries", "self"}  # that have methods of these names


def calls(name: str) -> Iterator[tuple[str, str, ast.Call]]:
    """Yield the calls of methods and functions of modules in a file: of what, which, and the call."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func.value), node.func.attr, node


def is_of_text(node: ast.Call) -> bool:
    """Return whether this is a replace() of a string, which has two arguments: that of a path has one."""
    called = ast.unparse(node.func)
    return called.endswith(".replace") and not called.startswith("os.") and len(node.args) >= 2


def opens_afresh(node: ast.Call) -> bool:
    """Return whether this opens a file so that what is there is lost."""
    told = [*node.args, *(keyword.value for keyword in node.keywords)]
    flags = any("O_TRUNC" in ast.unparse(argument) for argument in told)
    modes = [argument.value for argument in told if isinstance(argument, ast.Constant) and isinstance(argument.value, str)]
    opener = ast.unparse(node.func).endswith("open")
    return flags or (opener and any(set(mode) <= set("rwabx+t") and mode[:1] in ("w", "x") for mode in modes))


@pytest.mark.parametrize("name", sorted(TREES))
def test_nobody_destroys_a_file_by_himself(name: str) -> None:
    found = {
        ast.unparse(node)
        for owner, called, node in calls(name)
        if called in DESTROYERS and owner not in {"files", "warrant", *NO_FILES} and not is_of_text(node)
    }
    assert found == MAY.get(name, set())


@pytest.mark.parametrize("name", sorted(TREES))
def test_whoever_destroys_a_file_hands_in_a_proof(name: str) -> None:
    handed = [
        ast.unparse(node.args[PROVEN[called]])
        for owner, called, node in calls(name)
        if owner == "files" and called in PROVEN
    ]
    assert set(handed) <= {"prove", "warrant.prove", "self.prove", "self._warrant.prove"}


@pytest.mark.parametrize("name", sorted(TREES))
def test_nobody_opens_a_file_of_a_list_afresh(name: str) -> None:
    opened = {ast.unparse(node) for node in ast.walk(TREES[name]) if isinstance(node, ast.Call) and opens_afresh(node)}
    by_descriptor = {call for call in opened if "closefd=False" in call or "os.fdopen(" in call}
    assert opened == by_descriptor, "a descriptor was opened before, and nothing was lost by that"


def test_the_proofs_of_files_come_right_before_the_deed() -> None:
    """In `files` the statement before each of them is the proof."""
    for function in (node for node in TREES["ground/files"].body if isinstance(node, ast.FunctionDef)):
        for before, deed in zip(function.body, function.body[1:], strict=False):
            if isinstance(deed, ast.Expr) and ast.unparse(deed) in MAY["ground/files"]:
                assert ast.unparse(before) == "prove()", function.name
