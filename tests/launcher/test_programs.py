"""Which programs start at once: what the kernel opens to start them has to lie on the node as well."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

import pytest

from mpifarm.launcher.programs import Programs, _interpreter
from mpifarm.site.mounts import Mounts


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """In a directory where `far` is a file system of somebody else's."""
    monkeypatch.chdir(tmp_path)
    Path("far").mkdir()
    root = "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
    Path("table").write_text(f"{root}50 27 0:50 / {tmp_path.resolve()}/far rw - lustre a@o2ib:/b rw\n")
    return Programs(Mounts(b"/bin/sh", Path("table")))


def script(path: str, first_line: str) -> bytes:
    Path(path).write_text(f"{first_line}\nexit 0\n")
    Path(path).chmod(0o755)
    return os.fsencode(path)


@pytest.mark.parametrize(
    ("first_line", "at_once"),
    [
        ("#!/bin/sh", True),
        ("#! /bin/sh -e", True),
        ("#!/usr/bin/env python3", True),
        ("#!near", True),
        ("#!{here}/near", True),
        ("#!{here}/far/python", False),
        ("#!far/python", False),
        ("#!to_far", False),
        ("#!around", False),
        ("#!endless", False),
        ("#!no/such/file", False),
        ("#!", False),
        ("no first line of a script", False),
        ("", False),
    ],
)
def test_a_script_starts_at_once_if_its_interpreter_does(programs: Programs, first_line: str, at_once: bool) -> None:
    script("near", "#!/bin/sh")
    script("far/python", "#!/bin/sh")
    script("around", "#!far/python")
    script("endless", "#!endless")
    Path("to_far").symlink_to("far/python")
    path = script("script", first_line.format(here=Path.cwd()))
    assert programs.start_at_once(path) is at_once


def elf(interpreter: bytes | None, order: str = "<", bits: int = 2, at: int = 1000) -> bytes:
    """Return the head of an ELF file, of *bits* 1: 32, 2: 64."""
    head = bytearray(4096)
    head[:6] = b"\x7fELF" + bytes([bits, 1 if order == "<" else 2])
    struct.pack_into(order + "Q", head, 32, 64)
    struct.pack_into(order + "HH", head, 54, 56, 2)
    struct.pack_into(order + "I", head, 64, 1)
    if interpreter is not None:
        struct.pack_into(order + "IIQQQQ", head, 120, 3, 4, at, 0, 0, len(interpreter) + 1)
        head[at : at + len(interpreter) + 1] = interpreter + b"\0"
    return bytes(head)


@pytest.mark.parametrize(
    ("head", "interpreter"),
    [
        (elf(b"/lib64/ld.so"), b"/lib64/ld.so"),
        (elf(b"/lib64/ld.so", ">"), b"/lib64/ld.so"),
        (elf(None), b""),
        (elf(b"/lib/ld.so", bits=1), None),
        (elf(b"/lib64/ld.so", at=5000), None),
        (elf(b"/lib64/ld.so")[:100], None),
        (b"\x7fELF\x02", None),
        (b"MZ", None),
        (b"#!/bin/sh", b"/bin/sh"),
        (b"#!/bin/sh\0x", b"/bin/sh"),
        (b" #!/bin/sh", None),
    ],
)
def test_what_a_file_says_that_it_is_started_by(head: bytes, interpreter: bytes | None) -> None:
    assert _interpreter(head) == interpreter


def test_a_program_starts_at_once_if_it_and_its_loader_do(programs: Programs) -> None:
    sleep = shutil.which("sleep") or ""
    shutil.copy(sleep, "far/sleep")
    Path("other").write_bytes(elf(b"%s/far/ld.so" % os.fsencode(Path.cwd())))
    assert programs.start_at_once(os.fsencode(sleep))
    assert not programs.start_at_once(b"far/sleep")
    assert not programs.start_at_once(b"./other")


def test_a_program_that_was_replaced_is_looked_at_anew(programs: Programs) -> None:
    assert programs.start_at_once(script("script", "#!/bin/sh"))
    assert not programs.start_at_once(script("script", "#!far/interpreter"))
