"""The transport of one rank; real ranks are in tests/mpi."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from mpifarm.ranks import comm, wire
from mpifarm.ranks.comm import Loopback
from mpifarm.ranks.wire import Tag
from mpifarm.site.offer import Offer


def test_a_rank_alone_gets_what_it_sends_in_order() -> None:
    loopback = Loopback()
    loopback.send(0, Tag.HELLO, wire.pack_hello(Offer(1, 1, 1, "a")))
    loopback.send(0, Tag.BEAT, wire.pack_beat())
    assert [(message.source, message.tag) for message in loopback.poll()] == [(0, Tag.HELLO), (0, Tag.BEAT)]
    assert not list(loopback.poll())


def test_what_is_sent_while_polling_arrives_as_well() -> None:
    loopback = Loopback()
    loopback.send(0, Tag.BEAT, wire.pack_beat())
    tags = []
    for message in loopback.poll():
        tags.append(message.tag)
        if message.tag is Tag.BEAT:
            loopback.send(0, Tag.STOP, np.zeros(1, dtype=np.uint8))
    assert tags == [Tag.BEAT, Tag.STOP]


def test_alone_there_is_one_rank() -> None:
    transport = Loopback()
    assert (transport.rank, transport.size, transport.remote) == (0, 1, False)
    assert transport.node_mates("n1", "n1.rack", works=True) == (0, 1, "n1")


@pytest.mark.parametrize("code", [0, 3])
def test_leaving_ends_the_process_with_its_code(code: int) -> None:
    with pytest.raises(SystemExit) as left:
        Loopback().leave(code, complete=True)
    assert left.value.code == code


BLOCKED = "import sys; sys.modules['mpi4py.MPI'] = None\nfrom mpifarm.ranks import comm\n"


def test_where_mpi_cannot_be_loaded_one_process_runs_alone() -> None:
    script = BLOCKED + "print(comm.connect(1, lambda *_: None, '').size)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b"1\n"


def test_where_mpi_cannot_be_loaded_and_several_were_started_it_is_refused() -> None:
    attempt = "try: comm.connect(3, lambda *_: None, 'do this')\nexcept FarmError as error: print(error)"
    script = f"{BLOCKED}from mpifarm import FarmError\n{attempt}"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout
    assert "mpi4py cannot be loaded" in said
    assert f"{sys.executable} -m pip install" in said
    assert "do this" in said


class BrokenMpi:
    """An MPI of three ranks: receiving fails while *failing* says so, with an error that names nobody."""

    BYTE, ERRORS_RETURN = "byte", "return"

    class Exception(RuntimeError):
        pass

    class Status:
        def Get_source(self) -> int:
            return 2

        def Get_tag(self) -> Tag:
            return Tag.BEAT

        def Get_count(self, _datatype: str) -> int:
            return 1

    class Group:
        Translate_ranks = staticmethod(lambda *_: [])

    def __init__(self) -> None:
        self.COMM_WORLD = self.COMM_SELF = self
        self.failing = True
        self.waiting = 1
        self.handlers: list[str] = []
        self.size, self.group = 0, None

    def Dup(self) -> BrokenMpi:
        return self

    def Set_errhandler(self, handler: str) -> None:
        self.handlers.append(handler)

    def Get_rank(self) -> int:
        return 0

    def Get_size(self) -> int:
        return 3

    def Iprobe(self, status: object) -> bool:
        if self.failing:
            raise self.Exception("OFI poll failed\n(ofi_events.c:1)")
        return self.waiting > 0

    def Recv(self, _message: object, source: int, tag: int) -> None:
        self.waiting -= 1

    def Get_failed(self) -> BrokenMpi:
        return self

    def Ack_failed(self) -> None:
        return None


def test_an_error_of_receiving_that_names_nobody_is_told_once_and_receiving_tried_again(
    capfd: pytest.CaptureFixture[str],
) -> None:
    mpi = BrokenMpi()
    transport = comm.MpiComm(mpi)
    for _ in range(3):
        assert list(transport.poll()) == []
    assert transport.take_lost() == set()
    (said,) = capfd.readouterr().err.splitlines()
    assert "MPI cannot receive: OFI poll failed (ofi_events.c:1)" in said
    mpi.failing = False
    assert [(message.source, message.tag) for message in transport.poll()] == [(2, Tag.BEAT)]
    assert mpi.handlers == [mpi.ERRORS_RETURN] * 3
