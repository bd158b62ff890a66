"""Users without rights, for tests that run as root: root reads everything, and so would prove nothing.

Where the tests run as a user without rights, that user is both the server's and the attacker's.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
IS_ROOT = os.geteuid() == 0
SERVER_USER, OTHER_USER = 64_001, 64_002
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can look into a server: it is closed to its own user")
# Shows the interpreter to every user where it is in a folder of root's own: in a mount namespace of the program alone.
SHOW_INTERPRETER = """
set -e
closed=$1 base=$2 user=$3; shift 3
mount --bind "$base" /mnt
mount -t tmpfs -o mode=755 none "$closed"
mkdir -p "$base"
mount --bind /mnt "$base"
exec setpriv --reuid "$user" --regid "$user" --clear-groups "$@"
"""


def python_as(user: int, *words: str) -> tuple[list[str], dict[str, Any]]:
    """Return the command that runs Python as this user, and the options of `subprocess` that it needs.

    Its environment needs PYTHONDONTWRITEBYTECODE, and PATH. Skips the test where no user but root can run this Python.
    """
    way = _way_to_interpreter()
    if way is None:
        pytest.skip("no user but root can start this Python")
    command = [*way, str(user), sys.executable, *words] if way else [sys.executable, *words]
    return command, {} if way else as_user(user)


def as_user(user: int = SERVER_USER) -> dict[str, Any]:
    """Return the options of `subprocess` that start a program as this user."""
    return {"user": user, "group": user, "extra_groups": []} if IS_ROOT else {}


@contextmanager
def folder_of(user: int = SERVER_USER) -> Iterator[Path]:
    """Make a folder of this user's. Not `tmp_path`: pytest closes what is above that to other users, at any moment."""
    with TemporaryDirectory(prefix="openfang-tests-", ignore_cleanup_errors=True) as name:
        if IS_ROOT:
            os.chown(name, user, user)
        yield Path(name)


def need_other_users() -> None:
    """Skip a test that needs two users."""
    if not IS_ROOT:
        pytest.skip("only root can start programs as other users")


@cache
def _way_to_interpreter() -> tuple[str, ...] | None:
    """Return what goes before the user and the command: nothing where the interpreter can be reached as it is."""
    base = Path(sys.base_prefix)
    closed = next((folder for folder in reversed(base.parents) if not folder.stat().st_mode & 0o001), None)
    if not IS_ROOT or closed is None:
        return ()
    way = ("unshare", "--mount", "--propagation", "private", "sh", "-c", SHOW_INTERPRETER, "sh", str(closed), str(base))
    command = [*way, str(SERVER_USER), sys.executable, "-c", "import django"]
    try:
        tried = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
    except OSError:
        return None
    return way if tried.returncode == 0 else None
