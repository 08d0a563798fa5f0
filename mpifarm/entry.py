"""What a process inherits from whoever started it, made what the farm takes for granted. Before anything else is done.

The rule: one place, in this order.

1. `sys.path`. `python -m` puts the working directory first, so that a `random.py` or `json.py` beside the task list would
   be run instead of Python's own: by a farm of root in somebody else's directory, too. It goes before any other import:
   so that stands at the top of `mpifarm/__init__`. mpifarm may lie there itself: its modules are found through the
   package. What runpy imports comes before us: a `types.py` there is run by Python itself, whatever module is wanted, and
   mostly ends it. Where it does not, `strangers` finds it. Only `python -P`, 3.11, or the script `mpifarm` keeps it out.
2. Descriptors 0, 1 and 2. One that is closed (`>&-`, daemons) would be the number of the next thing that is opened, a
   socket to a helper, say, and what is printed would go there. So /dev/null is opened on it, as glibc does for setuid
   programs.
3. Signals: a SIGCHLD that is ignored makes wait(2) fail, and a blocked one, or a blocked TERM, never comes. Those that a
   user has ignored on purpose (nohup) are looked at by `farm.Signals`.
4. Then only the environment is read: `config`.
"""

from __future__ import annotations

import os
import signal
import sys

from mpifarm import FarmError, dropped_directory


def normalise() -> None:
    """Make descriptors and signals what the farm takes for granted."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
    if sys.stdout is None:  # since it was closed when Python started; argparse and others print there
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  a descriptor, for as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def strangers() -> None:
    """Raise FarmError if a file of the working directory stands in for one of Python's own modules."""
    if dropped_directory is None or dropped_directory in sys.path:  # in PYTHONPATH, too: so it is wanted
        return
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None) or ""
        if os.path.dirname(path) == dropped_directory and name.partition(".")[0] != "mpifarm":
            raise FarmError(f"{path} was run as Python's module {name}: rename it, or start with python -P -m mpifarm")
