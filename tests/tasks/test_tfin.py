"""The .tfin file against a model and against TaskFarmer's own commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from lists import CHUNKS, CONTENTS, TFIN, scanned, tasks_of, tfin_of

from mpifarm.tasks import tfin


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@given(CONTENTS, CHUNKS)
def test_the_tfin_file_is_what_the_model_makes(content: bytes, chunk_bytes: int) -> None:
    _, scan = scanned(content, chunk_bytes)
    assert TFIN.read_bytes() == tfin_of(content)
    assert (scan.size, scan.tasks) == (len(tfin_of(content)), len(tasks_of(content)))
    assert scan.carriage_returns == (b"\r\n" in tfin_of(content))
    assert not Path("tasks.txt.tfin.new").exists()


@pytest.mark.skipif(not (shutil.which("egrep") and shutil.which("awk")), reason="no egrep or awk here")
@pytest.mark.parametrize("chunk_bytes", [1, 9, tfin.CHUNK_BYTES])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"#\n",
        b"# only",
        b"echo 1",
        b"echo 1\n# a comment",
        b"# first\necho 1\n\n   \n  # indented\n#\n#x\necho '#'\n\n",
        b"echo 1\r\n\r\n# c\r\necho 2\r\n",
        b"caf\xe9 \xff\xfe\n\xc3\xa9\n",
        b"echo " + b"x" * 2**20 + b"\n# " + b"y" * 2**20 + b"\necho 2",
        b"\\t %s $0 \\\n> echo\n",
    ],
    ids=lambda case: repr(case[:20]) if isinstance(case, bytes) else str(case),
)
def test_the_tfin_file_is_what_egrep_and_awk_make(content: bytes, chunk_bytes: int) -> None:
    scanned(content, chunk_bytes)
    command = """egrep -v '^#' tasks.txt | awk '{print "> "$0}'"""
    made = subprocess.run(command, shell=True, capture_output=True, env={**os.environ, "LC_ALL": "C"}, check=True)
    assert TFIN.read_bytes() == made.stdout


@pytest.mark.parametrize(
    ("record", "command"),
    [
        (b"> a\r\n", b"a"),
        (b"> a\r\r\n", b"a\r"),
        (b">   a \n", b"  a "),
        (b"> > a\n", b"> a"),
        (b"> \xef\xbb\xbfa\r\n", b"a"),
        (b"> a\xef\xbb\xbf\n", b"a\xef\xbb\xbf"),
    ],
)
def test_a_command_loses_its_mark_and_one_carriage_return_and_a_byte_order_mark(record: bytes, command: bytes) -> None:
    assert tfin.command_of(record) == command


def test_a_checksum_goes_on_from_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfin, "CHUNK_BYTES", 4)
    _, scan = scanned(b"echo 1\necho 2\n")
    first = tfin.checksum(scan.descriptor, 0, 9)
    assert first == zlib.crc32(b"> echo 1\n")
    assert tfin.checksum(scan.descriptor, 9, scan.size, first) == zlib.crc32(TFIN.read_bytes())
