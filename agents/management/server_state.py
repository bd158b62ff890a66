"""Whether a server runs on this data directory, and where: a lock held while it lives, and a note it leaves."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.utils import timezone

from agents.management.base import program
from agents.setup import SetupError

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
        settings.OPENFANG_DATA_DIR.mkdir(parents=True, exist_ok=True)
        file = open(_lock_path(), "a")  # noqa: SIM115 -- closed by the `with` below; only the opening is tried
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
        try:
            yield
        finally:
            note = read_note()
            if note and note.pid == os.getpid():
                _note_path().unlink(missing_ok=True)


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
    draft.write_text(json.dumps(asdict(note)) + "\n")
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
    return f"http://{reachable}:{port}"


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
