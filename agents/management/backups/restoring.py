import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError
from django.db import connection, connections
from django.utils import timezone

from agents.management.backups import postgresql, sqlite
from agents.management.backups.making import SECRET_KEY
from agents.management.backups.progress import Progress
from agents.management.backups.stamp import NAME, Stamp
from agents.management.base import program
from agents.management.server_state import holding_data_dir, is_running, running_server
from agents.models import Agent, UsageRecord, Worker
from agents.private_files import WORKSPACES, close_to_others, make_private_dir
from agents.setup import prepare


def restore_backup(path: Path, progress: Progress, *, force: bool) -> Path | None:
    """Put a backup in the place of this server's data, and return where the old data is now. Raises CommandError.

    Nothing is changed before all that can be checked has been.
    """
    with _opened(path) as archive, _without_server():
        stamp = Stamp.read(_first(archive))
        stamp.check()
        _refuse_served_database()
        if not force and _has_data():
            raise CommandError(
                "This server has data already. With --force the backup takes its place, and the old data is moved away."
            )
        data_dir = settings.OPENFANG_DATA_DIR
        with tempfile.TemporaryDirectory(dir=data_dir, prefix=".openfang-restore-") as name:
            unpacked = Path(name)
            progress.step(f"Unpacking the backup of {stamp.made_at}")
            _unpack(archive, unpacked)
            close_to_others(unpacked)  # an archive has the modes of the server that made it
            _check_secret_key((unpacked / SECRET_KEY).read_text(), data_dir / SECRET_KEY)
            aside = _put_in_place(unpacked, data_dir, progress)
        progress.step("Bringing the database to this version")
        prepare()
        return aside


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:gz") as archive:
            yield archive
    except (tarfile.TarError, EOFError) as error:
        raise CommandError(f"{path} is no backup, or a damaged one ({error}); nothing was changed.") from None
    except OSError as error:
        raise CommandError(f"{path} cannot be read ({error.strerror or error}).") from None


@contextmanager
def _without_server() -> Iterator[None]:
    """Keep servers from starting on this data directory; refuse if one runs there."""
    if is_running():
        note = running_server()
        where = f" on {note.url}" if note else ""
        raise CommandError(f"OpenFang is running{where}. Stop it first: {program()} stop")
    with holding_data_dir():
        yield


def _first(archive: tarfile.TarFile) -> bytes:
    member = archive.next()
    file = archive.extractfile(member) if member is not None and member.name == NAME else None
    return file.read() if file is not None else b""


def _unpack(archive: tarfile.TarFile, directory: Path) -> None:
    engine = sqlite if connection.vendor == "sqlite" else postgresql
    for member in archive:
        if member.name == NAME:
            continue
        belongs = member.name in (engine.NAME, SECRET_KEY) or member.name.startswith(f"{WORKSPACES}/")
        if not (belongs and member.isfile()):
            raise CommandError(f"The backup has a file {member.name!r} that does not belong there.")
        archive.extract(member, directory, filter="data")  # refuses paths and links that lead out
    if missing := [name for name in (engine.NAME, SECRET_KEY) if not (directory / name).is_file()]:
        raise CommandError(f"The backup lacks {' and '.join(missing)}.")


def _check_secret_key(key: str, kept: Path) -> None:
    """Refuse where another key would be used than the one that opens what is encrypted in the database."""
    from_file = kept.is_file() and kept.read_text().strip() == settings.SECRET_KEY
    if not from_file and key not in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        raise CommandError(
            "OPENFANG_SECRET_KEY is not the key of this backup, whose encrypted rows it could not read. Set it to what "
            f"the file {SECRET_KEY} in the backup says, or unset it."
        )


def _refuse_served_database() -> None:
    if connection.vendor != "postgresql" or Worker._meta.db_table not in connection.introspection.table_names():
        return  # SQLite's one server holds the data directory
    if working := Worker.objects.filter(lease_expires_at__gt=timezone.now()).count():
        raise CommandError(f"Workers serve this database: {working}. Stop them first; a killed one counts for 20 s.")


def _has_data() -> bool:
    tables = set(connection.introspection.table_names())
    return any(
        table._meta.db_table in tables and table._default_manager.exists() for table in (User, Agent, UsageRecord)
    )


def _put_in_place(unpacked: Path, data_dir: Path, progress: Progress) -> Path | None:
    aside: Path = data_dir / f"before-restore-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    tables = bool(connection.introspection.table_names())
    old = tables or _has_files(data_dir)
    if connection.vendor == "sqlite":
        sqlite.check(unpacked / sqlite.NAME, progress)
        if old:
            make_private_dir(aside)
            sqlite.move_away(aside)
        sqlite.load(unpacked / sqlite.NAME)
    else:
        _load_postgresql(unpacked / postgresql.NAME, schema_of(aside) if tables else None, progress)
    connections.close_all()
    for part in (SECRET_KEY, WORKSPACES):
        if old and (data_dir / part).exists():
            make_private_dir(aside)
            (data_dir / part).rename(aside / part)
        if (unpacked / part).exists():
            (unpacked / part).replace(data_dir / part)
    return aside if old else None


def _has_files(data_dir: Path) -> bool:
    """Say whether a data directory was in use; a key that was just made for it opens nothing."""
    database = Path(connection.settings_dict["NAME"]).name  # that SQLite opens just to look, with files beside it
    made_by_looking = (SECRET_KEY, "server.lock", "setup.lock", ".openfang-", database)
    return any(not path.name.startswith(made_by_looking) for path in data_dir.iterdir())


def schema_of(aside: Path) -> str:
    """Return the schema that holds PostgreSQL's old data while the other old data is in that directory."""
    return aside.name.replace("-", "_")


def _load_postgresql(dump: Path, schema: str | None, progress: Progress) -> None:
    if schema is not None:
        progress.step(f"Renaming the schema of the old data to {schema}")
        postgresql.move_away(schema)
    try:
        postgresql.load(dump, progress)
    except CommandError:
        if schema is not None:
            postgresql.move_back(schema)
        raise
