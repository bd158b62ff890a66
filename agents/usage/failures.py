"""Failures of the usage writer: counted for /metrics, and logged without what was to be written."""

import logging
import sqlite3
from collections import Counter

from django.db import Error, InterfaceError, OperationalError

logger = logging.getLogger(__name__)

AWAY = (OperationalError, InterfaceError)  # what Django raises when the database does not answer

# Errors of the machine, such as a full disk: no entry is to blame for them, though the database answers questions.
SQLITE_MACHINE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
POSTGRESQL_MACHINE = ("53", "57", "58")  # classes of SQLSTATE: resources, operator intervention, system errors

# Of this process, by kind: "entry" (a usage row), "work" (something else to do with the database), "lease", "round"
# (a bug in the writer itself).
failures: Counter[str] = Counter()


def note(kind: str, what: str, error: BaseException) -> None:
    """Count and log a failure that costs only what failed; a bug with its traceback."""
    failures[kind] += 1
    logger.error("%s: %s", what, words(error), exc_info=None if isinstance(error, Error) else error)


def is_machine(error: BaseException) -> bool:
    """Say whether the database failed for want of disk, memory or connections, whatever it was given."""
    cause = error.__cause__
    primary = (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF  # the rest of an extended code is a detail
    return primary in SQLITE_MACHINE or (getattr(cause, "sqlstate", None) or "").startswith(POSTGRESQL_MACHINE)


def words(error: BaseException) -> str:
    """Return an error's type and first line; PostgreSQL repeats the refused row, texts and all, in the lines below."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
