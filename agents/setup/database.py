"""The database as the code needs it: reachable, not newer than the code, migrated, and with the catalog's rows."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from agents.private_files import make_private_dir, private
from agents.setup.catalog_rows import sync_catalog
from agents.setup.errors import SetupError
from agents.setup.roles import make_roles

ADVISORY_LOCK = 0x0FA17  # any number, the same in every process
CONNECT_SECONDS = 5


def prepare() -> None:
    """Make the database fit for this version; does nothing where it is. Raises SetupError or DatabaseError."""
    reach()
    with one_at_a_time():
        _migrate()
        sync_catalog()
        make_roles()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let no two processes set up the same database at once."""
    if connection.vendor != "postgresql":
        make_private_dir(settings.OPENFANG_DATA_DIR)
        with open(settings.OPENFANG_DATA_DIR / "setup.lock", "w", opener=private) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])


def reach() -> None:
    """Connect once without the pool, which would try for 30 s and then not say why it failed."""
    if connection.vendor == "postgresql":
        direct = connection.copy()
        options = direct.settings_dict["OPTIONS"]
        direct.settings_dict["OPTIONS"] = {**options, "pool": None, "connect_timeout": CONNECT_SECONDS}
        direct.ensure_connection()
        direct.close()


def _migrate() -> None:
    executor = MigrationExecutor(connection)
    unknown = sorted(executor.loader.applied_migrations.keys() - executor.loader.disk_migrations.keys())
    if unknown:
        migration = ".".join(unknown[0])
        raise SetupError(
            f"The database is newer than this version of OpenFang, which does not know its migration {migration}. "
            "Update OpenFang, or use another database."
        )
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", verbosity=0, interactive=False)
