"""What must be installed beside Python: where it is not, that is one line with the command that mends it, not a traceback.

A package may be there and broken: built for another Python, for a newer processor, without a library that it needs. What
is raised then can be anything, over many lines.
"""

from __future__ import annotations

import importlib
import sys

from mpifarm import NodeError


def need_numpy() -> None:
    """Raise NodeError if numpy cannot be imported."""
    try:
        importlib.import_module("numpy")
    except Exception as error:
        raise NodeError(lacks("numpy", "numpy", error)) from None


def lacks(package: str, wanted: str, error: Exception) -> str:
    """Return what to say of an *error* in the import of *package*: one line, with the command that installs *wanted*."""
    if isinstance(error, ModuleNotFoundError) and error.name == package:
        return f"there is no {package} for {sys.executable}: {sys.executable} -m pip install {wanted}"
    told = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return f"{package} cannot be loaded: {told}: {sys.executable} -m pip install --force-reinstall {wanted}"
