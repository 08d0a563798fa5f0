"""How a process was started, as somebody would type it once more: the words in front of the options, and all of the line.

The rule: what is printed runs as it is printed, or is not printed. `python -m mpifarm` may be no program that a shell here
finds; what this process was started by is. The whole line is known only where no launcher stands in front of it, and what
is meant for one start (--rerun, --again) is left out of it: to go on with it would run again what has been done since.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence

from mpifarm.settings import Typed

_ONCE = {"--rerun": 1, "--again": 2}  # words of each


def typed(original: Sequence[str], count: int, threads: str, is_alone: bool) -> Typed:
    """Return it, from the words that the interpreter was started with, *original*, of which the last *count* are options.

    *threads*: what the environment says of THREADS, if that counts. *is_alone*: no launcher has started other processes.
    """
    program = _program(list(original[: len(original) - count]))
    arguments = list(original[len(original) - count :])
    left, once = _without_once(arguments)
    words = shlex.join([*program, *left])
    line = f"THREADS={shlex.quote(threads)} {words}" if threads else words
    return Typed(shlex.join(program), line if is_alone and line.isprintable() else "", " and ".join(once))


def _program(words: list[str]) -> list[str]:
    """Return how a shell finds the program: a script by its name, if that is enough."""
    script = words[1] if len(words) == 2 else ""
    if not os.path.isfile(script) or not os.access(script, os.X_OK):
        return words if words and all(map(str.isprintable, words)) else ["python", "-m", "mpifarm"]
    name = os.path.basename(script)
    found = shutil.which(name)
    return [name] if found and os.path.samefile(found, script) else [script]


def _without_once(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return *arguments* without what is meant for one start, and what that was."""
    left, once, at = list[str](), list[str](), 0
    end = arguments.index("--") if "--" in arguments else len(arguments)
    while at < end:
        name, assigned, _ = arguments[at].partition("=")
        if name in _ONCE:
            once += [name] if name not in once else []
            at += 1 if assigned else _ONCE[name]
        else:
            left.append(arguments[at])
            at += 1
    return left + arguments[at:], once
