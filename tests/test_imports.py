"""The layers: who may import whom. The import statements are read, and hold DESIGN's table."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mpifarm

TREES = {path.stem: ast.parse(path.read_text()) for path in Path(mpifarm.__file__).parent.glob("*.py")}

# Module -> the modules of ours that it may import. `__init__` (FarmError, the version) is for everybody.
LAYERS = {
    "__init__": "",
    "__main__": "cli",
    "affinity": "",
    "capture": "files frames",
    "entry": "",
    "ended": "",
    "environ": "",
    "files": "",
    "identity": "frames",
    "frames": "",
    "packages": "",
    "quarantine": "",
    "retries": "",
    "slurm": "",
    "suspects": "retries",
    "config": "affinity environ frames slurm",
    "lock": "files suspects",
    "outbox": "frames",
    "process": "files frames",
    "scarcity": "",
    "strays": "frames process",
    "schedule": "quarantine retries suspects",
    "quoting": "",
    "grammar": "quoting",
    "bashisms": "quoting",
    "foreign": "quoting",
    "check": "bashisms foreign grammar quoting",
    "tasklist": "files quoting",
    "wire": "ended",
    "comm": "packages wire",
    "status": "config frames lines quarantine schedule wire",
    "fastrecovery": "identity suspects",
    "progress": "fastrecovery files tasklist",
    "resume": "fastrecovery files progress suspects tasklist",
    "claim": "fastrecovery files identity journal lock resume tasklist",
    "direct": "process",
    "functions": "files process quoting",
    "why": "bashisms process quoting",
    "slots": "capture direct ended environ frames functions outbox process scarcity strays why",
    "helper": "affinity capture frames outbox process slots",
    "journal": "fastrecovery files identity lines resume suspects",
    "lines": "ended",
    "launcher": "capture frames helper process",
    "lint": "check config tasklist",
    "opening": "check claim config fastrecovery files frames identity journal lint lock resume suspects tasklist",
    "manager": "comm config ended files frames journal lines lock opening quarantine resume schedule status suspects"
    " tasklist wire",
    "worker": "comm ended files frames launcher tasklist wire",
    "farm": "comm config frames launcher manager opening schedule slurm wire worker",
    "cli": "config entry farm frames launcher packages process",
}
NUMPY = {"comm", "fastrecovery", "journal", "lines", "manager", "progress", "resume", "schedule", "tasklist"}
NUMPY |= {"packages", "wire", "worker"}
BEFORE_THE_FORK = {"__main__", "cli", "config", "entry", "environ", "launcher"}  # and what these import at module level


def imports(node: ast.AST) -> Iterator[str]:
    """Yield the dotted names of the modules that *node* imports; `from mpifarm import X` names mpifarm.X."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            yield from (alias.name for alias in inner.names)
        elif isinstance(inner, ast.ImportFrom):
            assert inner.level == 0 and inner.module, "imports are absolute"
            ours = inner.module == "mpifarm"
            yield from (f"mpifarm.{alias.name}" if ours else inner.module for alias in inner.names)
        elif isinstance(inner, ast.Call) and ast.unparse(inner.func).endswith(("import_module", "__import__")):
            assert isinstance(inner.args[0], ast.Constant), "a module is imported by a name that stands in the source"
            yield str(inner.args[0].value)


def ours(node: ast.AST) -> set[str]:
    return {name.split(".")[1] for name in imports(node) if name.startswith("mpifarm.")} & TREES.keys()


def packages(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports(TREES[module])}


def at_module_level(module: str) -> ast.Module:
    """Return the statements that run when *module* is imported: all but those in functions."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

    return ast.Module([Strip().visit(ast.parse(ast.unparse(TREES[module])))], [])


@pytest.mark.parametrize("module", sorted(TREES))
def test_a_module_imports_nobody_above_it(module: str) -> None:
    assert module in LAYERS, "a new module gets its place here, and in DESIGN.md"
    assert ours(TREES[module]) <= set(LAYERS[module].split())


def test_the_table_is_about_modules_that_exist_and_has_no_circle() -> None:
    assert LAYERS.keys() == TREES.keys()
    placed: set[str] = set()
    while len(placed) < len(LAYERS):
        free = {module for module, below in LAYERS.items() if set(below.split()) <= placed} - placed
        assert free, f"a circle in {LAYERS.keys() - placed}"
        placed |= free


@pytest.mark.parametrize("module", sorted(TREES))
def test_a_module_uses_the_standard_library_and_its_own_packages_only(module: str) -> None:
    allowed = {"mpifarm"} | ({"numpy"} if module in NUMPY else set()) | ({"mpi4py"} if module == "comm" else set())
    assert packages(module) - sys.stdlib_module_names <= allowed


def test_the_state_machine_and_the_pure_modules_reach_no_clock_no_file_and_no_process() -> None:
    edges = {"os", "io", "time", "datetime", "pathlib", "socket", "select", "signal", "subprocess", "sys", "tempfile"}
    pure = ("bashisms", "check", "ended", "environ", "foreign", "frames", "grammar", "quoting", "schedule", "wire")
    for module in pure:
        assert packages(module) & edges == set(), module


def test_nothing_imports_numpy_before_the_helpers_are_forked() -> None:
    reached: set[str] = set()
    pending = set(BEFORE_THE_FORK)
    while pending:
        reached |= pending
        pending = set().union(*(ours(at_module_level(module)) for module in pending)) - reached
    assert reached & NUMPY == set()
    seen = subprocess.run(
        [sys.executable, "-c", "import sys, mpifarm.cli; print({'numpy', 'mpi4py'} & sys.modules.keys())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout == "set()\n"


@pytest.mark.parametrize("module", sorted(TREES.keys() - {"config"}))
def test_only_config_reads_the_environment(module: str) -> None:
    readers = {"environ", "environb", "getenv", "getenvb"}
    touched = [
        ast.unparse(node)
        for node in ast.walk(TREES[module])
        if (isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and node.attr in readers)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and readers & {alias.name for alias in node.names})
    ]
    assert touched == []
