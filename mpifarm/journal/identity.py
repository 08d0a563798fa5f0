"""What a run was told that its files depend on: the list, the directory, the file given as --output, the shell.

It is recorded with each checkpoint and in the done file, as words of their first line, so that a later start can tell
whether it is the same run; the rules are in `claim`:

    from=/home/ada/sweep/tasks.txt in=/scratch/ada/run%201 out=/scratch/ada/run%201/all.out shell=/bin/sh

Paths are real ones, absolute, with blanks and the like as in a URL; `out=-` is none. Of a list of arguments it tells, too,
how they become commands; what was not given has no word:

    each=./run%20{1}%20{2} colsep=, header=1        each=./element.sh%20{} range=1-1000

A path means the same file as then if it is the same name, if it is the same file (one directory may have two names, on two
nodes, say), or if it is the same name seen from the working directory: a directory that was moved or copied as a whole
holds a run that can go on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mpifarm.launcher.frames import SHELL
from mpifarm.settings import Each

WORDS = ("from", "in", "out", "shell")
EACH_WORDS = ("each", "colsep", "header", "range")  # of a list of arguments

_FIRST_LINE = b"# max: "  # of what is recorded: see `fastrecovery`
_LONGEST_LINE = 1024 * 1024
_NO_OUTPUT = "-"  # a real path begins with a slash


@dataclass(frozen=True, slots=True)
class Identity:
    """The facts, with real paths."""

    tasklist: str
    directory: str
    output: str | None
    shell: str = SHELL
    each: Each | None = None

    def words(self) -> dict[str, str]:
        """Return the words that tell it."""
        output = _NO_OUTPUT if self.output is None else _quoted(self.output)
        values = (_quoted(self.tasklist), _quoted(self.directory), output, _quoted(self.shell))
        return dict(zip(WORDS, values, strict=True)) | (_each_words(self.each) if self.each else {})

    def same_list(self, other: Identity) -> bool:
        """Return whether both are about one task list."""
        return _same(self.tasklist, self.directory, other.tasklist, other.directory)

    def same_output(self, other: Identity) -> bool:
        """Return whether both write to one file given as --output, or both to none."""
        if self.output is None or other.output is None:
            return self.output is other.output
        return _same(self.output, self.directory, other.output, other.directory)


def of_this_run(tasklist: str, output: str | None, shell: str | None, each: Each | None = None) -> Identity:
    """Return the identity of a run that was given these. Raises OSError if the working directory is gone."""
    real_output = None if output is None else os.path.realpath(output)
    return Identity(os.path.realpath(tasklist), os.path.realpath(os.getcwd()), real_output, shell or SHELL, each)


def of_words(words: Mapping[str, str]) -> Identity | None:
    """Return the identity that *words* tell; None if they do not: an earlier version wrote none."""
    if not words.keys() >= set(WORDS):
        return None
    tasklist, directory, output, shell = (words[name] for name in WORDS)
    real_output = None if output == _NO_OUTPUT else _unquoted(output)
    return Identity(_unquoted(tasklist), _unquoted(directory), real_output, _unquoted(shell), each_of(words))


def each_of(words: Mapping[str, str]) -> Each | None:
    """Return how arguments become commands, as *words* tell; None if the list is of commands."""
    template, colsep, header, elements = (words.get(name) for name in EACH_WORDS)
    if template is None:
        return None
    return Each(
        _unquoted(template),
        None if colsep is None else _unquoted(colsep),
        header is not None,
        None if elements is None else _unquoted(elements),
    )


def recorded(*paths: Path) -> Identity | None:
    """Return the identity that the first of these files tells, of which one is there; None if it tells none.

    They are fastrecovery and the done file. Nothing else of them is read, and not whether they are whole.
    """
    for path in paths:
        with suppress(FileNotFoundError), path.open("rb") as file:
            for line in (file.readline(_LONGEST_LINE), file.readline(_LONGEST_LINE)):
                if line.startswith(_FIRST_LINE):
                    words = (word.partition("=") for word in line.decode(errors="replace").split())
                    return of_words({name: value for name, assigned, value in words if assigned})
            return None
    return None


def _each_words(each: Each) -> dict[str, str]:
    given = (each.template, each.colsep, "1" if each.header else None, each.elements)
    return {name: _quoted(value) for name, value in zip(EACH_WORDS, given, strict=True) if value is not None}


def _same(then: str, then_in: str, now: str, now_in: str) -> bool:
    if then == now or os.path.relpath(then, then_in) == os.path.relpath(now, now_in):
        return True
    try:
        return os.path.samefile(then, now)
    except (OSError, ValueError):
        return False


def _quoted(path: str) -> str:
    return re.sub(rb"[^!-$&-~]", lambda found: b"%%%02X" % ord(found[0]), os.fsencode(path)).decode()


def _unquoted(word: str) -> str:
    return os.fsdecode(re.sub(rb"%([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), word.encode()))
