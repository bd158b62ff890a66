"""Files that only the server's user can read, whatever the umask: the data directory and everything in it."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

OTHERS = stat.S_IRWXG | stat.S_IRWXO  # the group too: no other account needs to read a server's secrets
WORKSPACES = "workspaces"


def make_private_dir(path: Path) -> None:
    """Make a directory, and the parents it lacks, for the server's user alone; leave an existing one as it is."""
    if not path.parent.exists():
        make_private_dir(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def private(path: str, flags: int) -> int:
    """Open a file that only the server's user can read if it is made now; an `opener` for `open`."""
    return os.open(path, flags, 0o600)


def make_private_file(path: Path) -> None:
    """Create an empty file if it is missing, before a library creates it readable to others."""
    with suppress(OSError):  # the library says better what is wrong with the path
        os.close(private(str(path), os.O_WRONLY | os.O_CREAT))


@dataclass(frozen=True)
class Closed:
    """What `close_to_others` did: the mode the directory had, and the paths that belong to another user."""

    mode: int
    refused: list[Path] = field(default_factory=list)

    @property
    def was_open(self) -> bool:
        return bool(self.mode & OTHERS)


def close_to_others(directory: Path, *more: Path) -> Closed:
    """Take a data directory, and files of it that lie elsewhere, away from every other user of the machine.

    These paths are the operator's and may be symbolic links; links inside the directory are left alone.
    """
    closed = Closed(stat.S_IMODE(directory.stat().st_mode))
    # The directory comes first: afterwards no other user can exchange a path in it.
    for path, mode in open_to_others(*(named.resolve() for named in (directory, *more))):
        try:
            path.chmod(mode & ~OTHERS)
        except FileNotFoundError:
            continue
        except OSError:
            closed.refused.append(path)
    return closed


def is_open_to_others(path: Path) -> bool:
    """Say whether another user may do anything with a path; False for one that does not exist."""
    try:
        return bool(path.lstat().st_mode & OTHERS)
    except OSError:
        return False


def open_to_others(*paths: Path) -> Iterator[tuple[Path, int]]:
    """Yield what another user may read or write, with its mode: files, and directories before what they hold.

    An agent's workspace is left alone: its files have the modes that the agent's programs give them, below a directory
    that only the server's user can enter.
    """
    for path in paths:
        try:
            status = path.lstat()
        except OSError:
            continue
        if stat.S_ISLNK(status.st_mode):
            continue
        mode = stat.S_IMODE(status.st_mode)
        if mode & OTHERS:
            yield path, mode
        if stat.S_ISDIR(status.st_mode) and path.parent.name != WORKSPACES:
            with suppress(OSError):
                yield from open_to_others(*sorted(path.iterdir()))
