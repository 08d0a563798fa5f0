"""A template: text with fields, {} {1} {#}, in which the values of a row are put, quoted for the shell."""

from __future__ import annotations

import re

_PLAIN = re.compile(rb"[-_.+a-zA-Z0-9/]+")
FIELD = re.compile(rb"\{(#|-?\d+)?\}")


def quoted(value: bytes) -> bytes:
    """Return *value* as one word of sh, as GNU Parallel writes it."""
    if _PLAIN.fullmatch(value):
        return value
    return (b"'" + value.replace(b"'", b"'\"'\"'") + b"'").removeprefix(b"''").removesuffix(b"''") or b"''"
