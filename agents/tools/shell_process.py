"""Runs one command and outlives everything that it starts: a program of its own, started by `agents.tools.shell`.

It uses the standard library alone and never imports the project. It ends with the command's exit status, after killing
what the command left behind, or after killing all of it when a limit is reached or its standard input closes. The
server holds the other end of that input, so the end of the server is the end of the command.
"""

import os
import resource
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

MAX_TASKS = 512  # processes and threads
MAX_MEMORY = 2_000_000_000  # bytes, of each process and of all together
MAX_FILE = 100_000_000  # bytes in a file that the command writes
LOOK_SECONDS = 0.1  # between two looks at what runs
END_SECONDS = 3.0  # what can't be killed until then sits in the kernel and is left to it
PR_SET_CHILD_SUBREAPER = 36


class Process(NamedTuple):
    pid: int
    parent: int
    user: int
    tasks: int
    memory: int


def main(command: list[str]) -> int:
    ended, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _adopt_orphans()
    _set_limits()
    _go_first()
    child = os.posix_spawn(
        command[0],
        command,
        os.environ,
        setsid=True,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD],  # Python ignores the first two
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)],
    )
    os.setpriority(os.PRIO_PROCESS, child, 10)
    status, reason = _watch(child, ended)
    _kill_all(child)
    if reason:
        # The reader may be slow, or gone.
        _, writable, _ = select.select([], [1], [], 1)
        if writable:
            with suppress(BrokenPipeError):
                os.write(1, f"\n[Killed: {reason}.]\n".encode())
    return 128 + signal.SIGKILL if status is None else _exit_code(status)


def _watch(child: int, ended: int) -> tuple[int | None, str]:
    """Wait for the command's end, or for a reason to end it; return its wait status or None, and the reason."""
    while True:
        readable, _, _ = select.select([0, ended], [], [], LOOK_SECONDS)
        if ended in readable:
            os.read(ended, 4096)
        status = _reap().get(child)
        if status is not None:
            return status, ""
        if 0 in readable:
            return None, ""
        family = list(_descendants())
        if sum(process.tasks for process in family) > MAX_TASKS:
            return None, f"more than {MAX_TASKS} processes and threads"
        if sum(process.memory for process in family) > MAX_MEMORY:
            return None, f"more than {MAX_MEMORY:,} bytes of memory"


def _kill_all(child: int) -> None:
    """Kill whatever descends from this process; orphans come to it, so without children there is nobody left."""
    end = time.monotonic() + END_SECONDS
    while time.monotonic() < end:
        try:
            _reap()
        except ChildProcessError:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        for process in _descendants():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.005)


def _reap() -> dict[int, int]:
    """Take leave of children that have ended; return their wait statuses. Raises ChildProcessError if none is left."""
    statuses: dict[int, int] = {}
    while len(statuses) < MAX_TASKS:  # they may end as fast as they are reaped
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            if statuses:
                break
            raise
        if not pid:
            break
        statuses[pid] = status
    return statuses


def _adopt_orphans() -> None:
    """Become the parent of processes whose own has ended, so that none gets away by `setsid` or `nohup` (Linux)."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 (not on other systems)

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _set_limits() -> None:
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: MAX_FILE, resource.RLIMIT_DATA: MAX_MEMORY}
    if sys.platform == "linux":
        # Counted by the kernel over all of the user's processes. Root is exempt: what bounds root is _watch alone.
        limits[resource.RLIMIT_NPROC] = MAX_TASKS + sum(p.tasks for p in _processes() if p.user == os.getuid())
    for limit, value in limits.items():
        _, hard = resource.getrlimit(limit)
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (lower, lower))


def _go_first() -> None:
    """Run before what is to be killed, where root may: thousands of processes would leave this one no time."""
    if sys.platform == "linux":
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def _descendants() -> Iterator[Process]:
    children: dict[int, list[Process]] = {}
    for process in _processes():
        children.setdefault(process.parent, []).append(process)
    waiting = [os.getpid()]
    while waiting:
        for process in children.get(waiting.pop(), []):
            waiting.append(process.pid)
            yield process


def _processes() -> Iterator[Process]:
    """Yield all processes that /proc shows (none where there is no /proc)."""
    page = os.sysconf("SC_PAGE_SIZE")
    with suppress(FileNotFoundError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{name}/stat", "rb") as file:
                    user = os.fstat(file.fileno()).st_uid
                    fields = file.read().rpartition(b")")[2].split()  # what precedes is the name, which may hold spaces
                    yield Process(int(name), int(fields[1]), user, int(fields[17]), int(fields[21]) * page)


def _exit_code(status: int) -> int:
    """Return what a shell would say: 128 and the signal for a command that one has ended."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
