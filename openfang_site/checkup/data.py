"""Where the data is kept, and whether this version can use it."""

import os
import shutil
from collections.abc import Iterator

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from agents.management.base import program
from agents.management.commands.secrets import ENCRYPTED
from agents.management.server_state import closing_command, database_files
from agents.models import QuarantinedEntry
from agents.models.encryption import InvalidToken, decrypt
from agents.private_files import is_open_to_others
from openfang_site.checkup.finding import Finding, ok, problem, warning

LEAST_FREE, LITTLE_FREE = 200 * 1024**2, 1024**3
LOOKED_AT = 50  # encrypted rows of a table: one key closed them all, or the newest of two


def data_directory() -> Iterator[Finding]:
    path = settings.OPENFANG_DATA_DIR
    if not os.access(path, os.W_OK | os.X_OK):
        yield problem(
            "data directory", f"{path} cannot be written by this user.", "Give it to the server's user: chown."
        )
        return
    # The modes of files behind a closed directory do not matter.
    elsewhere = [file for file in database_files() if path not in file.parents and is_open_to_others(file.parent)]
    reachable = [found for found in (path, *elsewhere) if is_open_to_others(found)]
    if reachable:
        text = f"Other users of this machine can read {', '.join(map(str, reachable))}."
        yield problem("data directory", text, closing_command(reachable))
    else:
        yield ok("data directory", str(path))


def disk() -> Iterator[Finding]:
    try:
        free = shutil.disk_usage(settings.OPENFANG_DATA_DIR).free
    except OSError:
        return  # there is no data directory, which has been said
    text = f"{free / 1024**3:,.1f} GB are free for {settings.OPENFANG_DATA_DIR}."
    advice = f"Make room: {program()} prune --days 90, older backups, or a larger disk."
    if free < LEAST_FREE:
        yield problem("disk", text, advice)
    elif free < LITTLE_FREE:
        yield warning("disk", text, advice)
    else:
        yield ok("disk", text)


def database() -> Iterator[Finding]:
    """Say whether the tables are those of this version. Raises DatabaseError."""
    executor = MigrationExecutor(connection)
    unknown = sorted(executor.loader.applied_migrations.keys() - executor.loader.disk_migrations.keys())
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(connection.vendor, connection.vendor)
    if unknown:
        text = f"The database is newer than this version, which does not know its migration {'.'.join(unknown[0])}."
        yield problem("database", text, "Update OpenFang, or restore a backup from before.")
    elif not executor.loader.applied_migrations:
        yield ok("database", f"{name}, still empty: the first start makes its tables.")
    elif plan := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        text = f"{name} lacks {len(plan)} migration{'s' if len(plan) > 1 else ''} of this version."
        yield warning("database", text, f"{program()} backup, then {program()} start, which brings it up to date.")
    else:
        yield ok("database", f"{name}, with every migration of this version.")


def lacks_migrations() -> bool:
    """Say whether a start would bring the database up to date first."""
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def encrypted_rows() -> Iterator[Finding]:
    existing = set(connection.introspection.table_names())
    lost = []
    for table, column, words in ENCRYPTED:
        if table._meta.db_table in existing:
            rows = table._default_manager.exclude(**{column: b""}).order_by("-pk")
            tokens = [bytes(token) for token in rows.values_list(column, flat=True)[:LOOKED_AT]]
            if unreadable := sum(not _opens(token) for token in tokens):
                lost.append(f"{unreadable} of {len(tokens)} {words}")
    if lost:
        yield problem(
            "secret key",
            f"The secret key does not open what is encrypted in the database: {', '.join(lost)}.",
            "Set OPENFANG_SECRET_KEY (or the file secret_key) to the key of before, or name it in "
            "OPENFANG_SECRET_KEY_FALLBACKS. Without it, enter the providers' keys again.",
        )
    else:
        yield ok("secret key", "It opens what is encrypted in the database.")


def quarantine() -> Iterator[Finding]:
    """Warn of requests whose texts the database refused."""
    if QuarantinedEntry._meta.db_table not in connection.introspection.table_names():
        return  # a database of an older version, which the first start brings up to date
    if count := QuarantinedEntry.objects.count():
        whose = "1 request" if count == 1 else f"{count:,} requests"
        yield warning(
            "quarantine",
            f"The database refused texts of {whose}; the usage rows were written without them.",
            f"{program()} quarantine list says why; quarantine retry writes them again, quarantine drop deletes them.",
        )
    else:
        yield ok("quarantine", "The database has taken every usage row whole.")


def _opens(token: bytes) -> bool:
    try:
        decrypt(token)
    except InvalidToken:
        return False
    return True
