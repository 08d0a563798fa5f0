"""Which program a line calls first, and whether it can be: it is there, and may be executed.

Why: a name that is written wrong, or a script without its x, fails in every attempt of every task that has it.

The rule: only a first word that is plain is looked at, as the shell that runs it would: what has a slash from the working
directory, all else in PATH. Each word is looked for once. What may be done on the way to it (`PATH=...` in the line, a
module that only the job loads) nobody knows here, so this is a remark, never a refusal.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection

# Keywords and builtins of dash 0.5 and bash 5: their manuals, and `compgen -bk`.
BY_THE_SHELL = frozenset(
    b"""
    case coproc do done elif else esac fi for function if in select then time until while
    . : [ alias bg bind break builtin caller cd chdir command compgen complete compopt continue declare dirs disown echo
    enable eval exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile popd printf pushd
    pwd read readarray readonly return set shift shopt source suspend test times trap true type typeset ulimit umask unalias
    unset wait
    """.split()
)

_FIRST = re.compile(rb"[ \t]*(?:[A-Za-z_]\w*=[\w./:,+@%-]*[ \t]+)*([\w./][\w./+-]*)(?=[ \t;&|<>]|$)")
_FUNCTION = re.compile(r"BASH_FUNC_(.*?)(?:%%|\(\))")  # as bash exports one
_MOST_KEPT = 100_000  # words


def first_word(text: bytes) -> bytes | None:
    """Return the program that the line *text* calls first, if it is plain to see, as it is written."""
    found = _FIRST.match(text)
    return None if found is None or b"PATH=" in text else found[1]


class Calls:
    """Looks for the programs of a list."""

    def __init__(self, path: str, variables: Collection[str], by_the_shell: bool) -> None:
        """*path* and *variables* are the tasks' PATH and the names of all that is set for them.

        *by_the_shell*: what a shell does by itself is known of this one; else only words with a slash are looked for.
        """
        self._path = path
        self._named = by_the_shell
        functions = (_FUNCTION.fullmatch(name) for name in variables)
        self._functions = {os.fsencode(found[1]) for found in functions if found}
        self.seen: set[bytes] = set()  # words

    def missing(self, word: bytes) -> str | None:
        """Return why *word*, the first of a line, cannot be called, the first time that it is asked about."""
        if word in self.seen:
            return None
        if len(self.seen) < _MOST_KEPT:
            self.seen.add(word)
        if b"/" in word:
            return _why_not(word)
        if not self._named or word in BY_THE_SHELL or word in self._functions or b"=" in word:
            return None
        return None if shutil.which(os.fsdecode(word), path=self._path) else "is not in PATH"


def _why_not(path: bytes) -> str | None:
    if os.path.isdir(path):
        return "is a directory"
    if not os.path.exists(path):
        return "does not exist" if path.startswith(b"/") else "does not exist, seen from the working directory"
    return None if os.access(path, os.X_OK) else "may not be executed"
