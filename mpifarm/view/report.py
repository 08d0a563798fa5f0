"""`--report FILE`: what happened, as a page or a sheet of figures, from the files of a list alone.

The rule: nothing of the run is touched. FILE appears as a whole or not at all, and is none of the run's own files. What it
needs beside numpy is looked for before anything is read, so that who lacks it is told at once.
"""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

from mpifarm import FarmError, files
from mpifarm.site import packages
from mpifarm.view import account, findings, standing

PAGE = ".html"
SHEETS = (".png", ".svg", ".pdf")
_EXTRA = "'mpifarm[report]'"


def write(target: str, tasklist: str) -> None:
    """Write the report on the runs of *tasklist* in this directory. Raises FarmError."""
    path = Path(target)
    suffix = path.suffix.lower()
    if suffix not in (PAGE, *SHEETS):
        known = ", ".join((PAGE, *SHEETS))
        raise FarmError(f"--report {target}: the end of the name tells what to write, and is none of {known}")
    _need(suffix)
    if not path.parent.is_dir():
        raise FarmError(f"cannot write --report {target}: there is no directory {path.parent}")
    if path.is_dir():
        raise FarmError(f"cannot write --report {target}: it is a directory")
    _refuse_own(path, Path(tasklist))
    try:
        found = findings.find(account.read(Path(tasklist)))
    except OSError as error:
        raise files.unreadable(error, tasklist) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that no font here has: the page has those of its reader
        content = _content(found, suffix)

    def prove() -> None:
        _refuse_own(path, Path(tasklist))

    try:
        files.replace(files.own(path), content, prove)
    except OSError as error:
        raise FarmError(f"cannot write --report {target}: {error.strerror}") from None


def _content(found: findings.Findings, suffix: str) -> bytes:
    """Import what is needed for this kind of file only, and draw."""
    if suffix == PAGE:
        from mpifarm.view import page  # noqa: PLC0415

        return page.html(found)
    from mpifarm.view import figures  # noqa: PLC0415

    return figures.sheet(found, suffix)


def _need(suffix: str) -> None:
    """Raise FarmError if a package is missing."""
    name = "matplotlib"
    try:
        importlib.import_module("matplotlib")
        if suffix == PAGE:
            name = "jinja2"
            importlib.import_module("jinja2")
    except Exception as error:
        raise FarmError(f"--report {suffix}: {packages.lacks(name, _EXTRA, error)}") from None


def _refuse_own(path: Path, tasklist: Path) -> None:
    """Raise FarmError if *path* is the list, or a file of its runs."""
    for other in (tasklist, *standing.names_of(tasklist).all()):
        for name in (path, files.new_name(path)):
            if name.exists() and other.exists() and name.samefile(other):
                raise FarmError(f"--report {path}: {other} is the task list or a file of its runs: give another name")
