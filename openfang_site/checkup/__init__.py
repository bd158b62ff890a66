"""What `openfang doctor` looks at: each check says what is right, or what is wrong and what to do about it."""

from collections.abc import Iterator

from django.db import DatabaseError, connection

from agents.setup import reach
from openfang_site.checkup.data import data_directory, database, disk, encrypted_rows, lacks_migrations, quarantine
from openfang_site.checkup.finding import Finding, State, problem
from openfang_site.checkup.mcp import left_out_tools
from openfang_site.checkup.models import agents_models, providers
from openfang_site.checkup.serving import keys, redis, server
from openfang_site.checkup.shell import shell
from openfang_site.checkup.upgrade import sessions, stopped_rows, withheld_variables

__all__ = ["Finding", "State", "checkup", "stopped_rows"]


def checkup(*, offline: bool) -> Iterator[Finding]:
    """Yield what is found, in the order in which one would look. `offline` asks no provider."""
    yield from data_directory()
    yield from disk()
    yield from server()
    yield from redis()
    try:
        reach()
        yield from database()
        if connection.introspection.table_names() and lacks_migrations():
            yield from stopped_rows()
            yield from sessions()
            return  # the rest reads the tables as this version has them
        yield from keys()
        if not connection.introspection.table_names():
            return  # the first start makes them, and what the rest looks at
        yield from encrypted_rows()
        yield from quarantine()
        yield from agents_models()
        yield from withheld_variables()
        yield from left_out_tools()
        yield from shell()
        if not offline:
            yield from providers()
    except DatabaseError as error:
        yield problem(
            "database",
            f"The database cannot be used: {' '.join(str(error).split())}",
            "Check DATABASE_URL, and whether its server runs.",
        )
