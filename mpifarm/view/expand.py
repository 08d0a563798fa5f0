"""`--expand`: the task list that a template makes of values, printed.

Why: values that stand on a command line, and combinations of several lists, have no name that a run could go by. Printed
into a file they have; and whoever writes --each sees before what would be run.

The rule: what is printed is, byte for byte, the list whose .tfin file --each leaves. It is a stream, and starts with the
first command; what makes no command is an error, and so is what turns out wrong on the way: then what is there is not all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from mpifarm import FarmError, say
from mpifarm.settings import Each
from mpifarm.tasks import check
from mpifarm.tasks.check import Kind
from mpifarm.tasks.combinations import OPERATORS, Combinations
from mpifarm.tasks.expansion import Expansion
from mpifarm.tasks.rows import Lines
from mpifarm.tasks.tasklist import expansion_of
from mpifarm.texts import shown
from mpifarm.view import stdout

_OPTION = "--expand"


def write(each: Each, values: Sequence[str], params: str | None, tasklist: str | None, quiet: bool) -> int:
    """Print what *each* makes of the words *values*, of the file *params* or of *tasklist*; return the exit code.

    Raises FarmError.
    """
    _refuse_unfinished(each.template)
    read = [Path(name) for name in (params, tasklist if each.elements is None else None, *_files(values)) if name]
    stdout.refuse_own(_OPTION, read)
    if tasklist is not None:
        expansion, name = expansion_of(Path(tasklist), each), tasklist
    elif params is not None:
        rows = Lines(params)
        rows.csv = True
        expansion, name = Expansion(each, rows), params
    else:
        expansion, name = Expansion(each, Combinations(values)), " ".join(values)
    code = stdout.put(_OPTION, _parts(expansion, shown(name)))
    if expansion.hash_at is not None and len(read) == 1 and code == 0 and not quiet:
        where = f"{shown(str(read[0]))}:{expansion.hash_at}"
        say(f"{where} begins with #: of arguments none is a comment, so it has become a task like any other")
    return code


def _files(values: Sequence[str]) -> Iterator[str]:
    """Yield the files among *values*."""
    operator = ""
    for word in values:
        if word in OPERATORS:
            operator = word
        elif operator.startswith("::::"):
            yield word


def _refuse_unfinished(template: str) -> None:
    """Raise FarmError if each task would be a part of something, whichever shell runs it."""
    text = os.fsencode(template)
    whys = [dict(check.judge(text, dash, ())).get(Kind.NO_TASK) for dash in (True, False)]
    if whys[0] and whys[1]:
        why = whys[0].removesuffix(f": {check.ADVICE_ONE_LINE}")
        raise FarmError(f"{_OPTION}: {why}: a template is a whole command, and each line of the list one of its own")


def _parts(expansion: Expansion, name: str) -> Iterator[bytes]:
    """Yield the list. Raises FarmError, also if there is no command in it."""
    before: list[bytes] = []  # the first command
    is_begun = False
    try:
        for part in expansion.chunks():
            if not is_begun and not expansion.commands:
                before.append(part)
                continue
            yield b"".join([*before, part])
            is_begun, before = True, []
    except FarmError as error:
        raise FarmError(f"{error}{'; what was printed before that is not all' if is_begun else ''}") from None
    if not is_begun:
        raise FarmError(f"{_OPTION}: {name} has no values: that would be a list without a task")
