"""Two gears. `pytest` tells within three minutes whether mpifarm works here; `pytest --all` is everything.

The short one has what runs in one process, a hundred seeds of the simulation, and one real farm for each thing that a farm
does: of the directories of real farms, `mpi` and `slurm`, it takes what is marked `short`, and anywhere leaves out what is
marked `long`. Of what Hypothesis makes up it tries a quarter. Both say in the end, a line for each reason, what was left
out and what was skipped.
"""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir

import fuzz
import hypothesis
import pytest

_REAL = {"mpi", "slurm"}  # directories of real farms
_FEW = 25  # examples of Hypothesis, whose own default is 100
_MANY = 300  # descriptors
_OPEN = Path("/proc/self/fd")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="every test: all real farms, a real Slurm, thousands of seeds")


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.register_profile("all", deadline=None)  # this machine may be busy with other things
    hypothesis.settings.register_profile("short", deadline=None, max_examples=_FEW)
    hypothesis.settings.load_profile("all" if config.getoption("--all") else "short")
    config.addinivalue_line("markers", "short: a real farm that the short gear has, too")
    config.addinivalue_line("markers", "long: left out of the short gear")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # by a shell that has put us in its background; others inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests out, unless all are asked for, or some by their names."""
    if config.getoption("--all") or any("::" in argument for argument in config.args):
        return
    left_out = [item for item in items if _is_long(item)]
    items[:] = [item for item in items if not _is_long(item)]
    config.hook.pytest_deselected(items=left_out)


def _is_long(item: pytest.Item) -> bool:
    return item.get_closest_marker("long") is not None or (_is_real(item) and item.get_closest_marker("short") is None)


def _is_real(item: pytest.Item) -> bool:
    return item.path.parent.name in _REAL


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = Counter(
        "real farms" if _REAL & set(item.path.parts) else "long ones" for item in _deselected(terminalreporter)
    )
    if left_out:
        counts = ", ".join(f"{count} {what}" for what, count in sorted(left_out.items()))
        terminalreporter.write_line(f"left out of the short gear: {counts} (pytest --all runs everything)")
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", []))
    for reason, count in reasons.items():
        terminalreporter.write_line(f"skipped {count}: {reason}")


def _deselected(terminalreporter: pytest.TerminalReporter) -> list[pytest.Item]:
    found: list[pytest.Item] = terminalreporter.stats.get("deselected", [])
    return found


@pytest.fixture(autouse=True)
def descriptors_are_closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Close what tests have left open, when it has become much: the files of lists that were opened and not run.

    And no others: pytest, and multiprocessing, have some of their own.
    """
    yield
    if not _OPEN.is_dir() or len(os.listdir(_OPEN)) < _MANY:
        return
    gc.collect()
    ours = (str(tmp_path_factory.getbasetemp()), *(f"{place}/{fuzz.PREFIX}" for place in ("/dev/shm", gettempdir())))
    for entry in list(_OPEN.iterdir()):
        with suppress(OSError):  # the one that this has opened itself
            if os.readlink(entry).startswith(ours):
                os.close(int(entry.name))
