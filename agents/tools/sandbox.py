"""The sandbox of the `shell` tool: bubblewrap where the system lets it work, else Landlock, which containers allow."""

import os
import shutil
import subprocess
import sys
import tempfile
from enum import Enum
from functools import cache
from pathlib import Path

from django.conf import settings

# The commands' own PATH, not the server's: that names the server's virtual environment.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WORKSPACE = "/workspace"  # where a command finds its workspace: the server's own paths say too much
MAX_TEMPORARY = 100_000_000  # bytes in /tmp and in /dev/shm: they are in memory
# The system's programs and what they need of /etc. Nothing of /home, /root, /var and /opt, nor the server's folders.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
CONFIGURATION = (
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/pki/tls",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
)
TRY_SECONDS = 10
NETWORK = ("/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf")
LANDLOCK = Path(__file__).with_name("landlock_process.py")
DESCRIBED = (
    "Commands run in a sandbox ({kind}): they can write only to the agent's workspace and read only the system's "
    "programs, {processes}, and have {network}."
)
UNSANDBOXED = (
    "Commands run WITHOUT a sandbox ({refusal}; OPENFANG_SHELL_UNSANDBOXED is set): they have the rights of the user "
    "that the server runs as, can read and change its files (the database and keys included), and have its network. "
    "Limits hold, and what a command starts is ended with it, unless it sets out to get away."
)
REFUSED = (
    "Commands are refused: no sandbox works here ({refusal}). Install bubblewrap 0.8 or later, or use Linux 6.12 or "
    "later with Landlock. To run commands without a sandbox, with all the rights of the server's user, set "
    "OPENFANG_SHELL_UNSANDBOXED=1."
)


class Kind(Enum):
    """A sandbox: its name, and what commands in it have of other processes."""

    BUBBLEWRAP = "bubblewrap", "see no other process"
    LANDLOCK = "Landlock", "can neither look into other processes nor end them"


def kind() -> Kind | None:
    """Return the sandbox that works here, if one does; found out by trying, once."""
    if bubblewrap_refusal() is None:
        return Kind.BUBBLEWRAP
    return Kind.LANDLOCK if landlock_refusal() is None else None


def refusal() -> str | None:
    """Return why there is no sandbox here, or None if there is one."""
    return None if kind() else f"{bubblewrap_refusal()}; {landlock_refusal()}"


def are_commands_refused() -> bool:
    """Say whether commands run nowhere: there is no sandbox, and the operator does not allow them without one."""
    return kind() is None and not settings.OPENFANG_SHELL_UNSANDBOXED


def describe() -> str:
    """Say in sentences for the administrator what keeps commands in, or that nothing does and why."""
    found = kind()
    if found is None:
        return (REFUSED if are_commands_refused() else UNSANDBOXED).format(refusal=refusal())
    name, processes = found.value
    network = "the server's network" if settings.OPENFANG_SHELL_NETWORK else "no network"
    return DESCRIBED.format(kind=name, processes=processes, network=network)


@cache
def bubblewrap_refusal() -> str | None:
    """Return why bubblewrap is of no use here, or None if it works."""
    return _refusal_of(Kind.BUBBLEWRAP) if shutil.which("bwrap") else "bubblewrap is not installed"


@cache
def landlock_refusal() -> str | None:
    """Return why Landlock is of no use here, or None if it works."""
    return _refusal_of(Kind.LANDLOCK)


def _refusal_of(tried: Kind) -> str | None:
    name = tried.value[0]
    with tempfile.TemporaryDirectory(prefix="openfang-sandbox-") as folder:
        command = sandboxed(["/bin/sh", "-c", "exit 0"], Path(folder), tried)
        try:
            done = subprocess.run(command, env={"PATH": PATH}, capture_output=True, check=False, timeout=TRY_SECONDS)
        except subprocess.TimeoutExpired:
            return None  # slow is not refused: if it hangs again, so do the commands, but none runs outside of it
        except OSError as error:
            return f"{name} does not start: {error}"
    if done.returncode == 0:
        return None
    return f"{name} does not work here: {done.stderr.decode(errors='replace').strip()[:200]}"


def sandboxed(command: list[str], workspace: Path, kind: Kind) -> list[str]:
    """Return the command that runs `command` in the sandbox, with the workspace as its folder."""
    return _in_bubblewrap(command, workspace) if kind is Kind.BUBBLEWRAP else _in_landlock(command, workspace)


def enclosed(command: list[str]) -> list[str]:
    """Return the command that runs `command` so that it sees into no other process, where the kernel can do that."""
    if sys.platform != "linux" or not settings.OPENFANG_ENCLOSE_PROGRAMS:
        return command
    return [sys.executable, "-I", "-S", str(LANDLOCK), "enclose", "--", *command]


def _in_landlock(command: list[str], workspace: Path) -> list[str]:
    network = settings.OPENFANG_SHELL_NETWORK
    readable = [*SYSTEM, *CONFIGURATION, *(NETWORK if network else ())]
    words = ["confine", str(workspace.absolute()), "network" if network else "none", *readable]
    return [sys.executable, "-I", "-S", str(LANDLOCK), *words, "--", *command]


def _in_bubblewrap(command: list[str], workspace: Path) -> list[str]:
    bwrap = shutil.which("bwrap")
    assert bwrap is not None, "ask kind() first"
    network = settings.OPENFANG_SHELL_NETWORK
    return [
        bwrap,
        *("--unshare-user", "--unshare-all", "--disable-userns", "--cap-drop", "ALL"),
        *(["--share-net"] if network else []),
        *("--die-with-parent", "--new-session", "--hostname", "sandbox"),
        *_system(),
        *(part for path in CONFIGURATION + NETWORK * network for part in ("--ro-bind-try", path, path)),
        *("--proc", "/proc", "--dev", "/dev"),
        *("--size", str(MAX_TEMPORARY), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"),
        *("--size", str(MAX_TEMPORARY), "--tmpfs", "/tmp"),
        *("--bind", str(workspace.absolute()), WORKSPACE, "--chdir", WORKSPACE, "--remount-ro", "/"),
        "--",
        *command,
    ]


def _system() -> list[str]:
    """Show the system's folders, as links where they are links (/bin is usr/bin on merged systems)."""
    parts: list[str] = []
    for path in SYSTEM:
        if os.path.islink(path):
            parts += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            parts += ["--ro-bind", path, path]
    return parts
