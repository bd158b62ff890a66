"""Processes under measurement, and what the system says that they use."""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 120  # LiteLLM imports for half a minute on a busy machine
TICKS = os.sysconf("SC_CLK_TCK")


class NotReady(Exception):
    """A process did not come up; the message has the end of what it said."""


class Process(Struct, frozen=True):
    """A program and its children, by the id of its first process."""

    pid: int

    def pids(self) -> Iterator[int]:
        yield self.pid
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from Process(int(child)).pids()

    @property
    def cpu_seconds(self) -> float:
        """CPU time so far, user and system, as the system accounts for it."""
        return sum(_schedstat(pid) for pid in self.pids())

    @property
    def rss_mb(self) -> float:
        return sum(self._status(pid, "VmRSS") for pid in self.pids()) / 1024

    @property
    def threads(self) -> int:
        return sum(self._status(pid, "Threads") for pid in self.pids())

    def _status(self, pid: int, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)
        return int(found[1]) if found else 0

    @property
    def sockets(self) -> int:
        return sum(opened.startswith("socket:") for opened in self._opened())

    def open_files(self, path: Path) -> int:
        """How often the program has a file open."""
        return self._opened().count(str(path.resolve()))

    def _opened(self) -> list[str]:
        opened = []
        try:
            entries = list(Path(f"/proc/{self.pid}/fd").iterdir())
        except PermissionError:
            raise NotReady("Only root can count what the server has open: it is closed to its own user.") from None
        for entry in entries:
            with suppress(FileNotFoundError):  # closed meanwhile
                opened.append(os.readlink(entry))
        return opened


def _schedstat(pid: int) -> float:
    """Sum the nanoseconds of all threads: /proc/PID/stat counts in hundredths of a second."""
    total = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # the thread has ended
            total += int((task / "schedstat").read_text().split()[0]) / 1e9
    return total


@contextmanager
def running(
    command: Sequence[str],
    ready: Callable[[str], str | None],
    *,
    env: dict[str, str] | None = None,
    cwd: Path = ROOT,
) -> Iterator[tuple[Process, str]]:
    """Run a program while the block lasts.

    `ready` gets what the program has said so far and returns its base URL once it serves.
    """
    process = subprocess.Popen(
        command, env=environment(env or {}), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said: list[str] = []

    def listen() -> None:
        assert process.stdout is not None
        said.extend(iter(process.stdout.readline, ""))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        deadline = time.monotonic() + READY_SECONDS
        while (url := ready("".join(said))) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotReady(f"{' '.join(command[:4])} is not ready: {''.join(said[-20:])}")
            time.sleep(0.05)
        yield Process(process.pid), url
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.wait()
        listener.join()
        if process.stdout is not None:
            process.stdout.close()


def environment(changes: dict[str, str]) -> dict[str, str]:
    """Return this process's environment with changes; an empty value takes a name out."""
    return {name: value for name, value in {**os.environ, **changes}.items() if value or name not in changes}


def printed_url(said: str) -> str | None:
    """Read the base URL that a program prints when it is ready."""
    found = re.search(r"^http://\S+/v1$", said, re.M)
    return found[0] if found else None
