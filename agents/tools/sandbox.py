"""The sandbox of the `shell` tool: bubblewrap, where it is installed and the system lets it work."""

import os
import shutil
import subprocess
import tempfile
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
DESCRIBED = (
    "Commands run in a sandbox (bubblewrap): they can write only to the agent's workspace and read only the system's "
    "programs, see no other process, and have {network}."
)
UNSANDBOXED = (
    "Commands run WITHOUT a sandbox ({refusal}; OPENFANG_SHELL_UNSANDBOXED is set): they have the rights of the user "
    "that the server runs as, can read and change its files (the database and keys included), and have its network. "
    "Limits hold, and what a command starts is ended with it, unless it sets out to get away."
)
REFUSED = (
    "Commands are refused: no sandbox works here ({refusal}). Install bubblewrap 0.8 or later. To run commands without "
    "a sandbox, with all the rights of the server's user, set OPENFANG_SHELL_UNSANDBOXED=1."
)


def available() -> bool:
    """Say whether commands can run in the sandbox here; found out by trying, once."""
    return refusal() is None


def are_commands_refused() -> bool:
    """Say whether commands run nowhere: there is no sandbox, and the operator does not allow them without one."""
    return not available() and not settings.OPENFANG_SHELL_UNSANDBOXED


def describe() -> str:
    """Say in sentences for the administrator what keeps commands in, or that nothing does and why."""
    if reason := refusal():
        return (REFUSED if are_commands_refused() else UNSANDBOXED).format(refusal=reason)
    return DESCRIBED.format(network="the server's network" if settings.OPENFANG_SHELL_NETWORK else "no network")


@cache
def refusal() -> str | None:
    """Return why there is no sandbox here, or None if there is one."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    with tempfile.TemporaryDirectory(prefix="openfang-sandbox-") as folder:
        command = sandboxed(["/bin/sh", "-c", "exit 0"], Path(folder))
        try:
            tried = subprocess.run(command, env={"PATH": PATH}, capture_output=True, check=False, timeout=TRY_SECONDS)
        except subprocess.TimeoutExpired:
            return None  # slow is not refused: if it hangs again, so do the commands, but none runs outside of it
        except OSError as error:
            return f"bubblewrap does not start: {error}"
    if tried.returncode == 0:
        return None
    return f"bubblewrap does not work here: {tried.stderr.decode(errors='replace').strip()[:200]}"


def sandboxed(command: list[str], workspace: Path) -> list[str]:
    """Return the command that runs `command` in the sandbox, with the workspace as its folder."""
    bwrap = shutil.which("bwrap")
    assert bwrap is not None, "ask available() first"
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
