"""Whether a server runs on this data directory, and where: a lock held while it lives, and a note it leaves."""

import fcntl
import json
import logging
import os
import shlex
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.utils import timezone

from agents.management.base import program
from agents.private_files import close_to_others, make_private_dir, private
from agents.setup import SetupError

logger = logging.getLogger(__name__)

TRIES = 5  # a command that looks whether the lock is held holds it itself for a moment
PAUSE = 0.05


@dataclass(frozen=True)
class ServerNote:
    """Where a ready server is found."""

    pid: int
    url: str
    started: str

    @property
    def uptime_seconds(self) -> int:
        return int((timezone.now() - datetime.fromisoformat(self.started)).total_seconds())


@contextmanager
def holding_data_dir() -> Iterator[None]:
    """Be the server of this data directory; with SQLite the only one. Raises SetupError.

    The system gives the lock up with the process, however that ends, so a note without a lock is a dead server's.
    """
    sharing = fcntl.LOCK_EX if connection.vendor == "sqlite" else fcntl.LOCK_SH
    try:
        make_private_dir(settings.OPENFANG_DATA_DIR)
        # Closed by the `with` below; only the opening is tried.
        file = open(_lock_path(), "a", opener=private)  # noqa: SIM115
    except OSError as error:
        raise SetupError(
            f"The data directory {settings.OPENFANG_DATA_DIR} cannot be written ({error.strerror})."
        ) from None
    with file:
        if not _locked(file.fileno(), sharing):
            note = read_note()
            where = f" on {note.url} (process {note.pid})" if note else ", and is still starting"
            raise SetupError(f"OpenFang is running already{where}.")
        _note_path().unlink(missing_ok=True)
        _close_data_dir()
        try:
            yield
        finally:
            note = read_note()
            if note and note.pid == os.getpid():
                _note_path().unlink(missing_ok=True)


def database_files() -> list[Path]:
    """Return the files of an SQLite, which DATABASE_URL may have put outside the data directory."""
    if connection.vendor != "sqlite":
        return []
    database = Path(connection.settings_dict["NAME"])
    return [database.with_name(database.name + suffix) for suffix in ("", "-wal", "-shm", "-journal")]


def closing_command(paths: Iterable[Path]) -> str:
    """Return the command that takes these paths away from every other user of the machine."""
    return f"chmod -R go= {' '.join(shlex.quote(str(path)) for path in paths)}"


def _close_data_dir() -> None:
    """Close what an older version, or an administrator, left open to other users, and say so."""
    directory = settings.OPENFANG_DATA_DIR
    closed = close_to_others(directory, *database_files())
    if directory not in closed.refused and closed.was_open:
        logger.warning(
            "Closed the data directory %s to other users of this machine: its mode was %04o and is %04o now. "
            "Run commands as the server's user.",
            directory,
            closed.mode,
            stat.S_IMODE(directory.stat().st_mode),
        )
    if closed.refused:
        logger.warning(
            "Other users of this machine can open %s, which belongs to another user than the server's. "
            "As that user or root: %s",
            closed.refused[0],
            closing_command(closed.refused[:1]),
        )


def is_running() -> bool:
    """Say whether a server lives on this data directory, ready or still starting."""
    try:
        file = open(_lock_path())  # noqa: SIM115 -- closed by the `with` below
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def write_note(url: str) -> None:
    """Tell the other commands that this process is ready."""
    note = ServerNote(os.getpid(), url, timezone.now().isoformat(timespec="seconds"))
    draft = _note_path().with_suffix(".draft")
    with open(draft, "w", opener=private) as file:
        file.write(json.dumps(asdict(note)) + "\n")
    draft.replace(_note_path())


def read_note() -> ServerNote | None:
    """Return the note of the last server that was ready; only `is_running` tells whether it lives."""
    try:
        return ServerNote(**json.loads(_note_path().read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def running_server() -> ServerNote | None:
    """Return the note of the server that is ready now."""
    return read_note() if is_running() else None


def running_url() -> str:
    """Return where the server is that is ready now. Raises SetupError."""
    note = running_server()
    if note is None:
        raise SetupError(f"No server runs here. Start one with {program()} start, or name one with --url.")
    return note.url


def base_url() -> str:
    """Return where the server is, or would be if it were started."""
    if note := running_server():
        return note.url
    return url_of(settings.OPENFANG_HOST, settings.OPENFANG_PORT)


def url_of(host: str, port: int) -> str:
    """Return the address for this machine's user; a server on every address is found on loopback too."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host) or (f"[{host}]" if ":" in host else host)
    return f"http://{reachable}:{port}{settings.OPENFANG_ROOT_PATH}"


def _locked(descriptor: int, sharing: int) -> bool:
    for _ in range(TRIES):
        try:
            fcntl.flock(descriptor, sharing | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PAUSE)
        else:
            return True
    return False


def _lock_path() -> Path:
    return settings.OPENFANG_DATA_DIR / "server.lock"


def _note_path() -> Path:
    return settings.OPENFANG_DATA_DIR / "server.json"
