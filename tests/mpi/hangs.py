"""A file system that hangs. As a program: HANGS.py DIRECTORY COMMAND... mounts it over DIRECTORY, and runs COMMAND.

It is FUSE, served by a process that answers to the mount alone, as if it had been stopped since. Whatever touches a file
there sleeps in the kernel: with `--deaf` nobody even takes its request, so that it can be killed; else it cannot. To be
started in a mount namespace of its own (unshare(1)), with which it goes.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import sys

_INIT = 26  # an opcode: linux/fuse.h
_IN, _OUT, _INIT_OUT = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ"), struct.Struct("<IIIIHHII36x")


def serve(device: int, farm: int, deaf: bool) -> None:
    """Answer to the mount, and then to nobody, until *farm* has ended."""
    ended = os.pidfd_open(farm)
    while True:
        ready, _, _ = select.select([device, ended], [], [])
        if ended in ready:
            return
        request = os.read(device, 1 << 18)
        _, opcode, unique, *_ = _IN.unpack_from(request)
        if opcode != _INIT:
            continue
        answer = _INIT_OUT.pack(7, 31, 0, 0, 16, 12, 1 << 17, 1)
        os.write(device, _OUT.pack(_OUT.size + len(answer), 0, unique) + answer)
        if deaf:
            select.select([ended], [], [])
            return


def main() -> None:
    """Mount, leave a server behind, and become the command."""
    _, *arguments = sys.argv
    deaf = arguments[0] == "--deaf"
    directory, *command = arguments[deaf:]
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % device
    if libc.mount(b"hangs", os.fsencode(directory), b"fuse.hangs", 0, options):
        raise OSError(ctypes.get_errno(), "mount")
    farm = os.getpid()
    if not os.fork():
        os.setsid()
        serve(device, farm, deaf)
        os._exit(0)
    os.close(device)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
