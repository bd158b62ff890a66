"""PostgreSQL's part of a backup: `pg_dump` and `pg_restore`, which are called with what DATABASE_URL says."""

import os
import shutil
import subprocess
from glob import glob
from pathlib import Path

from django.contrib.sessions.models import Session
from django.core.management import CommandError
from django.db import connection, connections

from agents.management.backups.progress import Progress
from agents.private_process import scrubbed

NAME = "database.pgdump"


def dump(path: Path, progress: Progress) -> None:
    progress.step("Dumping the database with pg_dump")
    sessions = f"--exclude-table-data={Session._meta.db_table}"
    _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", sessions, f"--file={path}")


def load(path: Path, progress: Progress) -> None:
    progress.step("Restoring the database with pg_restore")
    connections.close_all()
    database = connection.settings_dict["NAME"]
    # All or nothing: a database that is half there would be taken for a whole one.
    _run("pg_restore", "--no-owner", "--no-privileges", "--single-transaction", f"--dbname={database}", str(path))


def move_away(schema: str) -> None:
    """Rename the schema that holds every table, and make an empty one."""
    _rename("public", schema)
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA public")


def move_back(schema: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE")
    _rename(schema, "public")


def _rename(schema: str, to: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER SCHEMA {connection.ops.quote_name(schema)} RENAME TO {connection.ops.quote_name(to)}")


def _run(program: str, *arguments: str) -> None:
    path = shutil.which(program) or max(glob(f"/usr/lib/postgresql/*/bin/{program}"), default=None)
    if path is None:
        raise CommandError(f"{program} is not installed. On Debian and Ubuntu: sudo apt install postgresql-client")
    done = subprocess.run(
        [path, *arguments], env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CommandError(f"{program} failed: {' '.join(done.stderr.split())[:500]}")


def _environment() -> dict[str, str]:
    """Return the variables that tell PostgreSQL's programs where the database is; arguments would show the password."""
    settings = connection.settings_dict
    options = settings.get("OPTIONS", {})
    variables = {
        "PGHOST": settings["HOST"],
        "PGPORT": settings["PORT"],
        "PGUSER": settings["USER"],
        "PGPASSWORD": settings["PASSWORD"],
        "PGDATABASE": settings["NAME"],
        "PGSSLMODE": options.get("sslmode"),
        "PGSSLROOTCERT": options.get("sslrootcert"),
    }
    given = {name: value for name, value in os.environ.items() if name.startswith("PG")}
    return {**scrubbed(os.environ), **given, **{name: str(value) for name, value in variables.items() if value}}
