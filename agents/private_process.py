"""Keeping the secrets of this server's processes from other programs of the same user (Linux).

Programs of the same user, such as MCP servers over stdio, may read /proc/<pid>/environ and /proc/<pid>/mem, unless the
process is not dumpable. Starting a program makes it dumpable again. So a process of ours that holds secrets is started
with a scrubbed environment, and is sent the rest over a socket once it has closed itself. Other systems have no such
files; there the environment is inherited.
"""

import ctypes
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

PR_SET_DUMPABLE = 4
HAND_OVER = "OPENFANG_HAND_OVER"  # names the descriptor over which a process of ours is sent its environment
# What Python, the C library and the loader read before a process can close itself, and what programs of others need.
PLAIN = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
PLAIN_PREFIXES = ("LC_", "LD_", "DYLD_", "PYTHON", "MALLOC_", "GLIBC_")
CLOSED = b"closed"


def begin_private() -> None:
    """Close this process and, if another of ours started it, take over its environment."""
    make_private()
    if descriptor := os.environ.pop(HAND_OVER, ""):
        with socket.socket(fileno=int(descriptor)) as channel, channel.makefile("rb") as sent:
            channel.sendall(CLOSED)
            os.environ.update(json.loads(sent.read() or "{}"))


def make_private() -> None:
    """Close this process's memory and environment to programs of the same user, debuggers included."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


@contextmanager
def handing_over() -> Iterator[tuple[dict[str, str], list[int]]]:
    """Yield the environment and the descriptors with which to start a process that calls `begin_private`.

    What it gets besides is sent by a thread, when the block has ended and the process has closed itself.
    """
    if sys.platform != "linux":
        yield dict(os.environ), []
        return
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            yield {**scrubbed(os.environ), HAND_OVER: str(theirs.fileno())}, [theirs.fileno()]
        except BaseException:
            ours.close()
            raise
    environment = json.dumps(dict(os.environ)).encode()
    threading.Thread(target=_send, args=[ours, environment], name="hand-over", daemon=True).start()


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what any program needs of an environment, and no secret."""
    return {name: value for name, value in environment.items() if name in PLAIN or name.startswith(PLAIN_PREFIXES)}


def _send(channel: socket.socket, environment: bytes) -> None:
    with channel, suppress(OSError):  # the process may have ended
        if channel.recv(len(CLOSED), socket.MSG_WAITALL) == CLOSED:
            channel.sendall(environment)
