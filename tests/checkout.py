"""An environment that this checkout is installed in, without an installation: for what starts `python -I`.

A test finds mpifarm by PYTHONPATH or by the working directory, and `-I` takes neither.
"""

from __future__ import annotations

import site
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def python(directory: Path) -> Path:
    """Make the environment in *directory*; return its interpreter, which has all that this one has, and the checkout."""
    binaries, library = directory / "bin", directory / "lib"
    packages = library / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    binaries.mkdir(parents=True)
    packages.mkdir(parents=True)
    real = Path(getattr(sys, "_base_executable", sys.executable))
    (directory / "pyvenv.cfg").write_text(f"home = {real.parent}\n")
    (binaries / "python").symlink_to(real)
    (packages / "checkout.pth").write_text("".join(f"{path}\n" for path in (ROOT, *site.getsitepackages())))
    if sys.prefix != sys.base_prefix:  # mpi4py looks for the library of a wheel in the environment's lib
        for path in Path(sys.prefix, "lib").iterdir():
            if not path.name.startswith("python"):
                (library / path.name).symlink_to(path)
    return binaries / "python"
