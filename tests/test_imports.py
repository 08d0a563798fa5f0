"""Who may import whom, wing by wing and file by file. The import statements are read, and hold DESIGN's table."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mpifarm

ROOT = Path(mpifarm.__file__).parent

# From top to bottom: a wing may import those below it, never one above. Hall and ground are the files beside the wings.
WINGS = ("hall", "ranks", "view", "journal", "launcher", "tasks", "schedule", "site", "ground")
HALL = {"__main__", "arguments", "cli", "config", "entry", "foreign_options", "options", "sources", "typed"}

# Wing -> file -> what it may import: files of its own wing | other wings. `mpifarm` itself (FarmError, say) is for all.
TABLE = {
    "hall": {
        "__main__": "cli|",
        "arguments": "foreign_options sources|",
        "cli": "arguments config entry options sources|ranks view launcher site ground",
        "config": "typed|launcher tasks site ground",
        "entry": "|",
        "foreign_options": "|",
        "options": "config|launcher ground",
        "sources": "|tasks",
        "typed": "|ground",
    },
    "ranks": {
        "alarm": "custody notices|view journal schedule",
        "backoff": "|",
        "comm": "wire|site",
        "credit": "|",
        "custody": "|journal tasks schedule ground",
        "deadline": "|journal schedule ground",
        "doubt": "wire|launcher ground",
        "ending": "custody deadline notices patience wire witness|view schedule ground",
        "farm": "comm deadline leaving loop manager parting signals worker|view journal launcher schedule site ground",
        "interruptions": "deadline|journal ground",
        "leaving": "comm wire|launcher",
        "loop": "backoff comm manager signals wire worker|schedule",
        "manager": "comm custody deadline ending notices pace reports wire witness"
        "|view journal launcher schedule site ground",
        "notices": "deadline pace suspicions|view journal schedule site ground",
        "pace": "custody deadline seniors wire|view journal schedule ground",
        "parting": "signals|launcher schedule ground",
        "patience": "|schedule",
        "reports": "alarm custody deadline interruptions notices pace wire witness|journal schedule ground",
        "seniors": "|view schedule ground",
        "signals": "|schedule",
        "suspicions": "|schedule",
        "unread": "wire|tasks",
        "wire": "|site ground",
        "witness": "custody deadline pace seniors wire|view journal schedule site ground",
        "worker": "comm credit doubt unread wire|launcher site ground",
    },
    "view": {
        "account": "attempts logbook standing|journal",
        "advice": "facts hindsight live|tasks",
        "board": "advice crowd facts situation snapshot units|ground",
        "facts": "|",
        "hindsight": "allocation facts units|ground",
        "live": "allocation facts units|launcher ground",
        "allocation": "units|",
        "crowd": "snapshot|",
        "hand": "|journal",
        "inquiry": "board lines situation|journal ground",
        "kinds": "failures snapshot|journal ground",
        "lines": "|ground",
        "situation": "account hand snapshot|journal site ground",
        "slowness": "|",
        "snapshot": "|",
        "tally": "|",
        "attempts": "|journal ground",
        "bar": "advice estimate facts|ground",
        "checked": "advice attempts hand plan standing units|journal tasks ground",
        "earlier": "attempts estimate|",
        "estimate": "|",
        "expand": "stdout|tasks ground",
        "failed": "hand original standing stdout|journal tasks ground",
        "failures": "advice facts|journal ground",
        "figures": "findings series slottime units|",
        "findings": "account advice facts headline logbook nodes reasons series slottime standing units|tasks ground",
        "headline": "account hand logbook reasons series slottime units|ground",
        "joblog": "account attempts original standing stdout|journal tasks ground",
        "logbook": "|journal ground",
        "nodes": "account logbook slowness|",
        "original": "|journal tasks ground",
        "page": "figures findings series slottime units|ground",
        "placement": "advice facts|site ground",
        "printed": "logbook|",
        "reasons": "account|journal ground",
        "plan": "allocation|tasks schedule",
        "report": "account figures findings page standing|site ground",
        "series": "account|",
        "show": "attempts hand logbook original printed standing stdout units|journal launcher tasks ground",
        "slottime": "account logbook|",
        "standing": "hand|journal tasks ground",
        "stdout": "|",
        "status": "advice facts units|journal launcher schedule ground",
        "units": "|ground",
    },
    "journal": {
        "acquisition": "holder watch|schedule ground",
        "appender": "tails warrant|ground",
        "blocks": "lines spool|",
        "carrying": "fastrecovery identity lock names resume rewriting step warrant|tasks ground",
        "claim": "fastrecovery identity lock names progress resume tails|tasks ground",
        "fastrecovery": "identity|schedule",
        "found": "carrying claim fastrecovery identity lock names repeating resume standing warrant"
        "|launcher tasks schedule ground",
        "holder": "|schedule",
        "identity": "|launcher ground",
        "journal": "appender fastrecovery identity lines names output resume retraction spool tails warrant"
        "|schedule ground",
        "digits": "|",
        "lines": "table|ground",
        "lock": "acquisition holder watch|schedule",
        "names": "acquisition tails|ground",
        "opening": "claim fastrecovery found holder journal lock names resume retraction standing step watch"
        "|tasks schedule ground",
        "output": "appender blocks lines spool warrant|ground",
        "progress": "digits fastrecovery tails|tasks ground",
        "resume": "fastrecovery progress tails|tasks schedule",
        "repeating": "carrying claim resume|tasks ground",
        "retraction": "lines|tasks",
        "rewriting": "fastrecovery identity names progress resume step tails|schedule tasks",
        "spool": "|ground",
        "standing": "names|tasks ground",
        "step": "names tails|tasks ground",
        "table": "|",
        "tails": "|",
        "warrant": "lock tails|ground",
        "watch": "holder|",
    },
    "launcher": {
        "capture": "frames|ground",
        "deadlines": "slot|",
        "direct": "programs spawn|tasks site",
        "frames": "|",
        "functions": "spawn|tasks site ground",
        "guardian": "frames helper patience processes spawn|ground",
        "helper": "capture frames outbox processes slots spawn|site ground",
        "launcher": "capture frames guardian patience processes|ground",
        "on_end": "processes spawn|",
        "outbox": "capture frames|",
        "outcome": "capture direct frames outbox slot space spawn why|ground",
        "patience": "|",
        "processes": "|",
        "programs": "|site",
        "scarcity": "|",
        "scout": "|",
        "slot": "capture frames strays|",
        "slots": "capture deadlines direct frames functions outbox outcome processes scarcity slot space spawn strays"
        " termination|site ground",
        "space": "spawn|site",
        "spawn": "frames|ground",
        "strays": "frames processes|",
        "termination": "capture deadlines slot strays|ground",
        "why": "scout spawn|tasks",
    },
    "tasks": {
        "bashisms": "quoting|",
        "calls": "|",
        "columns": "|ground",
        "combinations": "columns rows|ground",
        "expansion": "columns rows template values|ground",
        "ranges": "|ground",
        "rows": "columns quoting|ground",
        "template": "quoting values|ground",
        "values": "|",
        "changes": "kept tasklist tfin|",
        "check": "bashisms foreign grammar quoting span|",
        "edits": "kept matching sides tfin|",
        "expanded": "|",
        "faults": "check|",
        "foreign": "quoting|",
        "grammar": "quoting|",
        "kept": "|",
        "label": "|",
        "lint": "check grammar numbering quoting scan span starters tasklist|ground",
        "looks": "check faults lint|ground",
        "matching": "offsets|",
        "numbering": "tfin|ground",
        "offsets": "|",
        "quoting": "|",
        "reader": "|",
        "repeats": "quoting|",
        "scan": "offsets tfin|",
        "sides": "tfin|",
        "span": "grammar quoting|",
        "starters": "|",
        "survey": "calls check faults lint looks quoting repeats span syntax tasklist tfin|ground",
        "syntax": "check|",
        "tasklist": "expanded expansion numbering ranges rows scan tfin|ground",
        "tfin": "quoting|",
        "walk": "offsets tfin|",
        "which": "quoting scan tfin|ground",
        "wording": "changes check|ground",
    },
    "schedule": {
        "answers": "quarantine|",
        "dealing": "answers history queue workers|",
        "history": "retries suspects workers|",
        "judgement": "answers history quarantine queue retries workers|",
        "quarantine": "|",
        "queue": "history retries suspects workers|",
        "retries": "|",
        "schedule": "answers dealing history judgement quarantine queue retries silence suspects workers|",
        "silence": "workers|ground",
        "suspects": "retries|",
        "workers": "answers quarantine retries|",
    },
    "site": {
        "affinity": "|",
        "cgroups": "mounts|",
        "environ": "|",
        "hosts": "|",
        "memory": "cgroups slurm|",
        "mounts": "|",
        "offer": "|",
        "packages": "|",
        "quota": "cgroups|",
        "slurm": "|ground",
        "steps": "|",
        "terminal": "|",
    },
    "ground": {
        "awake": "|",
        "ended": "|",
        "files": "|",
        "outlet": "|",
        "settings": "|",
        "texts": "|",
        "voice": "outlet words|",
        "words": "|",
    },
}
NUMPY = {
    "journal/digits", "journal/fastrecovery", "journal/journal", "journal/lines", "journal/output", "journal/progress",
    "journal/resume", "journal/retraction", "journal/rewriting", "journal/table",
    "ranks/comm", "ranks/credit", "ranks/custody", "ranks/doubt", "ranks/pace", "ranks/reports",
    "ranks/unread", "ranks/wire", "ranks/worker", "schedule/queue", "site/packages",
    "tasks/changes", "tasks/edits", "tasks/kept", "tasks/matching", "tasks/numbering", "tasks/offsets", "tasks/sides",
    "tasks/scan", "tasks/tasklist", "tasks/tfin", "tasks/walk", "tasks/which",
    "view/account", "view/attempts", "view/estimate", "view/figures", "view/findings", "view/headline", "view/joblog",
    "view/nodes", "view/original", "view/series", "view/show", "view/slottime", "view/standing",
    "tasks/repeats", "view/checked", "view/plan", "view/tally",
}  # fmt: skip
# Of the extra [report]; who imports one of these is imported when it is known to be there.
DRAWERS = {"view/figures": {"matplotlib"}, "view/page": {"jinja2", "markupsafe"}}
# What runs before the helpers are forked: these, and what they import at module level.
BEFORE_THE_FORK = {
    *(f"hall/{file}" for file in TABLE["hall"]), "site/environ", "launcher/launcher",
}  # fmt: skip
PURE = {
    *(f"schedule/{file}" for file in TABLE["schedule"]),
    *(
        "ranks/backoff",
        "ranks/patience",
        "ranks/wire",
        "launcher/frames",
        "site/environ",
        "ground/awake",
        "ground/ended",
        "ground/texts",
    ),
    *("journal/digits", "journal/table"),
    "hall/foreign_options",
    *("tasks/bashisms", "tasks/check", "tasks/faults", "tasks/foreign", "tasks/grammar", "tasks/quoting"),
    *(
        "view/advice",
        "view/estimate",
        "view/facts",
        "view/hindsight",
        "view/live",
        "view/allocation",
        "view/nodes",
        "view/plan",
        "view/series",
        "view/slottime",
    ),
    *("view/crowd", "view/slowness", "view/snapshot"),
}


def place(path: Path) -> str:
    """Return wing/file of a file of the package."""
    if path.parent != ROOT:
        return f"{path.parent.name}/{path.stem}"
    return f"{'hall' if path.stem in HALL else 'ground'}/{path.stem}"


TREES = {place(path): ast.parse(path.read_text()) for path in ROOT.rglob("*.py")}
FILES = sorted(name for name in TREES if not name.endswith("/__init__"))


def imports(node: ast.AST) -> Iterator[str]:
    """Yield the dotted names of the modules that *node* imports; `from mpifarm.tasks import X` names mpifarm.tasks.X."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            yield from (alias.name for alias in inner.names)
        elif isinstance(inner, ast.ImportFrom):
            assert inner.level == 0 and inner.module, "imports are absolute"
            package = inner.module == "mpifarm" or inner.module.removeprefix("mpifarm.") in WINGS
            yield from (f"{inner.module}.{alias.name}" if package else inner.module for alias in inner.names)
        elif isinstance(inner, ast.Call) and ast.unparse(inner.func).endswith(("import_module", "__import__")):
            assert isinstance(inner.args[0], ast.Constant), "a module is imported by a name that stands in the source"
            yield str(inner.args[0].value)


def ours(node: ast.AST) -> set[str]:
    """Return the files of ours that *node* imports."""
    found: set[str] = set()
    for name in imports(node):
        _, _, inner = name.partition("mpifarm.")
        wing, _, file = inner.partition(".")
        beside = f"{'hall' if wing in HALL else 'ground'}/{wing}"
        found |= {f"{wing}/{file}"} & TREES.keys() if wing in WINGS else {beside} & TREES.keys()
    return found


def packages(name: str) -> set[str]:
    return {imported.split(".")[0] for imported in imports(TREES[name])}


def at_module_level(name: str) -> ast.Module:
    """Return the statements that run when a file is imported: all but those in functions."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

    return ast.Module([Strip().visit(ast.parse(ast.unparse(TREES[name])))], [])


def wrong_arrows(name: str, imported: set[str]) -> list[str]:
    """Return what is wrong with a file that imports these, each with where the thing belongs."""
    wing, file = name.split("/")
    own, _, wings = TABLE[wing][file].partition("|")
    wrong = []
    for target in sorted(imported):
        there, what = target.split("/")
        if there == wing and what not in own.split():
            wrong.append(f"{name} imports {target}: not in the table; does what it needs stand in the right file?")
        elif WINGS.index(there) < WINGS.index(wing):
            rule = f"{there} stands above {wing}: what it needs belongs in {wing} or below"
            wrong.append(f"{name} imports {target}, and {rule}")
        elif there != wing and there not in wings.split():
            wrong.append(f"{name} imports {target}: {there} is below, but that is new: see the table")
    return wrong


@pytest.mark.parametrize("name", FILES)
def test_a_file_imports_nobody_above_it(name: str) -> None:
    wing, file = name.split("/")
    assert file in TABLE.get(wing, {}), f"{name} is new: it gets its line in the table, and a word in its wing's docstring"
    assert wrong_arrows(name, ours(TREES[name])) == []


def test_a_wrong_arrow_is_told_with_where_the_thing_belongs() -> None:
    (said,) = wrong_arrows("tasks/lint", {"hall/config", "tasks/check"})
    assert said == "tasks/lint imports hall/config, and hall stands above tasks: what it needs belongs in tasks or below"
    (said,) = wrong_arrows("tasks/quoting", {"tasks/tasklist"})
    assert said.startswith("tasks/quoting imports tasks/tasklist: not in the table")


def test_the_table_is_about_files_that_exist_and_has_no_circle() -> None:
    assert {f"{wing}/{file}" for wing, files in TABLE.items() for file in files} == set(FILES)
    assert tuple(TABLE) == WINGS
    for wing, files in TABLE.items():
        placed: set[str] = set()
        while len(placed) < len(files):
            free = {file for file, line in files.items() if set(line.partition("|")[0].split()) <= placed} - placed
            assert free, f"a circle in {wing}: {files.keys() - placed}"
            placed |= free


@pytest.mark.parametrize("wing", WINGS[1:-1])
def test_a_wing_is_its_docstring_and_names_every_file(wing: str) -> None:
    (docstring,) = TREES[f"{wing}/__init__"].body
    assert isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)
    told = str(docstring.value.value)
    assert "Its rule: " in told
    assert [file for file in TABLE[wing] if f"`{file}`" not in told] == []


@pytest.mark.parametrize("name", sorted(TREES))
def test_a_file_uses_the_standard_library_and_its_own_packages_only(name: str) -> None:
    allowed = {"mpifarm"} | ({"numpy"} if name in NUMPY else set()) | ({"mpi4py"} if name == "ranks/comm" else set())
    assert packages(name) - sys.stdlib_module_names <= allowed | DRAWERS.get(name, set()) | told_by_name(name)


def told_by_name(name: str) -> set[str]:
    """Return what a file imports only to see whether it is there."""
    return {"matplotlib", "jinja2"} if name == "view/report" else set()


def test_who_draws_is_imported_by_nobody_at_module_level() -> None:
    for name in FILES:
        if name not in DRAWERS:
            assert ours(at_module_level(name)) & DRAWERS.keys() == set()


@pytest.mark.parametrize("name", sorted(PURE))
def test_the_state_machine_and_the_pure_files_reach_no_clock_no_file_and_no_process(name: str) -> None:
    edges = {"os", "io", "time", "datetime", "pathlib", "socket", "select", "signal", "subprocess", "sys", "tempfile"}
    assert packages(name) & edges == set()


def test_nothing_imports_numpy_before_the_helpers_are_forked() -> None:
    reached: set[str] = set()
    pending = set(BEFORE_THE_FORK)
    while pending:
        reached |= pending
        pending = set().union(*(ours(at_module_level(name)) for name in pending)) - reached
    assert reached & NUMPY == set()
    seen = subprocess.run(
        [sys.executable, "-c", "import sys, mpifarm.cli; print({'numpy', 'mpi4py'} & sys.modules.keys())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout == "set()\n"


@pytest.mark.parametrize("name", sorted(TREES.keys() - {"hall/config"}))
def test_only_config_reads_the_environment(name: str) -> None:
    readers = {"environ", "environb", "getenv", "getenvb"}
    touched = [
        ast.unparse(node)
        for node in ast.walk(TREES[name])
        if (isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and node.attr in readers)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and readers & {alias.name for alias in node.names})
    ]
    assert touched == []
