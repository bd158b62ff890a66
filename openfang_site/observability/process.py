"""What this process takes of its machine, as Linux tells it in /proc; what a system does not tell is left out."""

import os
import resource
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from openfang_site.observability.figures import Labels, Reading

PROC = Path("/proc/self")
STARTED = time.time()


def _resident() -> float:
    return int((PROC / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _threads() -> float:
    return len(os.listdir(PROC / "task"))


def _open_files() -> float:
    return len(os.listdir(PROC / "fd"))


def _open_sockets() -> float:
    sockets = 0
    for name in os.listdir(PROC / "fd"):
        with suppress(OSError):  # closed meanwhile
            sockets += os.readlink(PROC / "fd" / name).startswith("socket:")
    return sockets


def _reading(name: str, what: str, read: Callable[[], float], kind: str = "gauge") -> Reading:
    def look() -> Mapping[Labels, float]:
        with suppress(OSError):
            return {(): read()}
        return {}

    return Reading(name, what, read=look, kind=kind)


PROCESS = (
    _reading("process_cpu_seconds_total", "CPU time of the process.", time.process_time, "counter"),
    _reading("process_resident_memory_bytes", "Memory that the process has.", _resident),
    _reading("process_threads", "Threads of the process.", _threads),
    _reading("process_open_fds", "Files and sockets that the process has open.", _open_files),
    _reading("process_max_fds", "How many it may have.", lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    _reading("process_start_time_seconds", "When the process began, in Unix time.", lambda: STARTED),
    _reading(
        "openfang_open_sockets", "Connections of the process: clients, providers, database, Redis.", _open_sockets
    ),
)
