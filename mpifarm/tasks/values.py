"""What a field makes of a value: a part of a path, as one word of a shell's.

The rule: byte for byte what GNU Parallel 20221122 writes for sh, whatever bytes the value has. It quotes what has any
character but letters, digits and -_.+/ in single quotes, a single quote itself in double ones, and leaves out an empty pair
of quotes at either end: `it's` is 'it'"'"'s', and `'` is "'". Both dash and bash read that back as it was.
Example: of `runs/a.tar.gz`, {.} is `runs/a.tar`, {/} is `a.tar.gz`, {//} is `runs` and {/.} is `a.tar`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence

Change = Callable[[bytes], bytes]

_PLAIN = f"{string.ascii_letters}{string.digits}-_.+/".encode()
_EXTENSION = re.compile(rb"\.[^/.]*\Z")


def are_plain(values: Sequence[bytes]) -> bool:
    """Return whether none of *values* has to be quoted."""
    return all(values) and not b"".join(values).translate(None, _PLAIN)


def quoted(value: bytes) -> bytes:
    """Return *value* as one word of a shell's."""
    if value and not value.translate(None, _PLAIN):
        return value
    return (b"'%b'" % value.replace(b"'", b"'\"'\"'")).removeprefix(b"''").removesuffix(b"''") or b"''"


def _without_extension(value: bytes) -> bytes:
    return _EXTENSION.sub(b"", value)


def _base(value: bytes) -> bytes:
    return value.rpartition(b"/")[2]


def _base_without_extension(value: bytes) -> bytes:
    return _EXTENSION.sub(b"", _base(value))


def _directory(value: bytes) -> bytes:
    """As Perl's File::Basename has it: `a/b/` is in `a`."""
    if not value.strip(b"/"):
        return b"/" if value else b"."
    directory, slash, _ = value.rstrip(b"/").rpartition(b"/")
    return (directory.rstrip(b"/") or b"/") if slash else b"."


CHANGES: dict[str, Change | None] = {  # by what stands at the end of a field
    "": None,
    ".": _without_extension,
    "/": _base,
    "//": _directory,
    "/.": _base_without_extension,
}
