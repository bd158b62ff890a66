"""Runs one command and outlives everything that it starts. A separate program, started by `agents.tools.shell`.

It uses the standard library alone and never imports the project. It ends with the command's exit status, after killing
what the command left behind, or after killing all of it when a limit is reached or its standard input closes. The
server holds the other end of that input, so the end of the server is the end of the command.

Arguments: the bytes and the files that the workspace, which is the current directory, may hold; then the command.
"""

import os
import resource
import select
import signal
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

MAX_TASKS = 512  # processes and threads
MAX_MEMORY = 2_000_000_000  # bytes, of each process and of all together
MAX_DEPTH = 100  # folders below each other: each is an open descriptor while the workspace is measured
LEAST_FREE = 100_000_000  # bytes that commands leave on the disk, where the server's database may be
LOOK_SECONDS = 0.1  # between two looks at what runs
DISK_SECONDS = 0.03  # between two looks at the disk
END_SECONDS = 3.0  # what can't be killed until then sits in the kernel and is left to it
PR_SET_CHILD_SUBREAPER = 36


class Process(NamedTuple):
    pid: int
    parent: int
    user: int
    tasks: int
    memory: int


class Measure(NamedTuple):
    """What a workspace takes of the disk. `closed` counts the folders that can't be looked into."""

    bytes: int
    files: int
    depth: int = MAX_DEPTH
    closed: int = 0


def main(quota: Measure, command: list[str]) -> int:
    ended, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _adopt_orphans()
    _set_limits(quota.bytes)
    _go_first()
    disk = Disk(quota)
    child = os.posix_spawn(
        command[0],
        command,
        os.environ,
        setsid=True,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD],  # Python ignores the first two
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)],
    )
    os.setpriority(os.PRIO_PROCESS, child, 10)
    status, reason = _watch(child, ended, disk)
    _kill_all(child)
    if reason:
        # The reader may be slow, or gone.
        _, writable, _ = select.select([], [1], [], 1)
        if writable:
            with suppress(BrokenPipeError):
                os.write(1, f"\n[Killed: {reason}.]\n".encode())
    return 128 + signal.SIGKILL if status is None else _exit_code(status)


def _watch(child: int, ended: int, disk: "Disk") -> tuple[int | None, str]:
    """Wait for the command's end, or for a reason to end it; return its wait status or None, and the reason."""
    look = time.monotonic() + LOOK_SECONDS
    while True:
        rest = min(look, disk.next_look) - time.monotonic()
        readable, _, _ = select.select([0, ended], [], [], max(rest, 0))
        if ended in readable:
            os.read(ended, 4096)
        status = _reap().get(child)
        if status is not None:
            return status, ""
        if 0 in readable:
            return None, ""
        if reason := disk.reason_to_stop():
            return None, reason
        if time.monotonic() < look:
            continue
        look = time.monotonic() + LOOK_SECONDS
        family = list(_descendants())
        if sum(process.tasks for process in family) > MAX_TASKS:
            return None, f"more than {MAX_TASKS} processes and threads"
        if sum(process.memory for process in family) > MAX_MEMORY:
            return None, f"more than {MAX_MEMORY:,} bytes of memory"


class Disk:
    """The workspace's quota: what a command may add to it, and when to measure again.

    Measuring a workspace of many files takes a while. It is done a sixth of the time, and half of the time while the
    disk loses as much room as the workspace has left.
    """

    def __init__(self, quota: Measure) -> None:
        self._root = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        found = self._measured(most_files=sys.maxsize)
        # A workspace that is full already may be tidied up, but not grow.
        self._most = Measure(*map(max, quota, found))
        self._quota = quota
        self._room, self._free = self._most.bytes - found.bytes, self._free_bytes()
        self._may_measure = self._must_measure = self.next_look = 0.0

    def reason_to_stop(self) -> str:
        """Look at the disk and the workspace, if it is time to; return what is wrong, or nothing."""
        began = time.monotonic()
        if began < self.next_look:
            return ""
        self.next_look = began + DISK_SECONDS
        free = self._free_bytes()
        fills = self._free - free >= self._room
        if free < LEAST_FREE:
            return f"the disk has less than {LEAST_FREE:,} bytes left"
        if began < (self._may_measure if fills else self._must_measure):
            return ""
        found = self._measured(most_files=self._most.files)
        ended = time.monotonic()
        self._may_measure, self._must_measure = 2 * ended - began, 6 * ended - 5 * began
        self._room, self._free = self._most.bytes - found.bytes, free
        return self._problem(found)

    def _free_bytes(self) -> int:
        disk = os.fstatvfs(self._root)
        return disk.f_bavail * disk.f_frsize

    def _problem(self, found: Measure) -> str:
        quota, most = self._quota, self._most
        problems = (
            (found.bytes > most.bytes, f"the workspace holds more than its {quota.bytes:,} bytes; delete some files"),
            (found.files > most.files, f"the workspace holds more than its {quota.files:,} files; delete some"),
            (found.depth > most.depth, f"the workspace has folders more than {quota.depth} deep"),
            (found.closed > most.closed, "the workspace has a folder that can't be read, and so can't be measured"),
        )
        return next((reason for wrong, reason in problems if wrong), "")

    def _measured(self, most_files: int) -> Measure:
        tally = [*_unlinked(os.fstat(self._root).st_dev), 0, 0]
        _count(self._root, 1, tally, most_files)
        return Measure(*tally)


def _count(folder: int, depth: int, tally: list[int], most_files: int) -> None:
    """Add what is below a folder. Through descriptors: a folder that is swapped for a link leads nowhere else."""
    tally[2] = max(tally[2], depth)
    if depth > MAX_DEPTH:
        return
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError, NotADirectoryError):  # changed meanwhile
                status = entry.stat(follow_symlinks=False)
                tally[0] += status.st_blocks * 512
                tally[1] += 1
                if tally[1] > most_files:
                    return
                if stat.S_ISDIR(status.st_mode):
                    _enter(folder, entry.name, depth, tally, most_files)


def _enter(folder: int, name: str, depth: int, tally: list[int], most_files: int) -> None:
    try:
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except PermissionError:
        tally[3] += 1
        return
    try:
        _count(below, depth + 1, tally, most_files)
    finally:
        os.close(below)


def _unlinked(device: int) -> tuple[int, int]:
    """Return the bytes and the number of the files that the command has deleted and holds open: they take room, too."""
    held = {}
    for process in _descendants():
        with suppress(OSError):  # it has ended, or is another user's
            for name in os.listdir(f"/proc/{process.pid}/fd"):
                with suppress(OSError):
                    status = os.stat(f"/proc/{process.pid}/fd/{name}")
                    if status.st_nlink == 0 and status.st_dev == device and stat.S_ISREG(status.st_mode):
                        held[status.st_ino] = status.st_blocks * 512
    return sum(held.values()), len(held)


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


def _set_limits(file_bytes: int) -> None:
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: file_bytes, resource.RLIMIT_DATA: MAX_MEMORY}
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
                    user = os.stat(f"/proc/{name}").st_uid  # the files of a process that is not dumpable are root's
                    fields = file.read().rpartition(b")")[2].split()  # what precedes is the name, which may hold spaces
                    yield Process(int(name), int(fields[1]), user, int(fields[17]), int(fields[21]) * page)


def _exit_code(status: int) -> int:
    """Return what a shell would say: 128 and the signal for a command that one has ended."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(Measure(int(sys.argv[1]), int(sys.argv[2])), sys.argv[3:]))
