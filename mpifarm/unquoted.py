"""A line of shell without what is quoted: what is left are the words in which operators and keywords mean something.

Not a parser: a look at the line, cheap, for hints and for finding calls. What stands in quotes becomes one plain word, but
the commands in a double-quoted `$(...)` or backquotes stay. Here-documents are taken for lines of their own.
"""

from __future__ import annotations

import re

_QUOTED = re.compile(
    rb"""
      \\.                                      # an escaped character
    | '[^']*'
    | "(?P<double>(?:[^"\\]|\\.)*)"
    | (?:(?<=[\s;&|()])|^)(?P<comment>\#[^\n]*)
    """,
    re.VERBOSE | re.DOTALL,
)
_SUBSTITUTION = re.compile(rb"\$\(|`")

# Where a command begins: at the start or behind an operator; then keywords and assignments. What follows is its first word.
COMMAND = rb"(?:^|[;&|(`\n])\s*(?:(?:if|then|elif|else|while|until|do|time|!|\{)\s+)*(?:[A-Za-z_]\w*=\S*\s+)*"


def unquoted(line: bytes) -> bytes:
    """Return *line* without its quoted parts and its comments."""
    return _QUOTED.sub(_replacement, line)


def _replacement(match: re.Match[bytes]) -> bytes:
    if match["comment"]:
        return b""
    inner = match["double"] or b""
    begin = _SUBSTITUTION.search(inner)
    return inner[begin.start() :] if begin else b"_"
