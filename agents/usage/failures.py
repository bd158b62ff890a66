"""Failures of the usage writer: counted for /metrics, and logged without what was to be written."""

import logging
from collections import Counter

from django.db import Error, InterfaceError, OperationalError

logger = logging.getLogger(__name__)

AWAY = (OperationalError, InterfaceError)  # what Django raises when the database does not answer

# Of this process, by kind: "entry" (a usage row), "work" (something else to do with the database), "lease", "round"
# (a bug in the writer itself).
failures: Counter[str] = Counter()


def note(kind: str, what: str, error: BaseException) -> None:
    """Count and log a failure that costs only what failed; a bug with its traceback."""
    failures[kind] += 1
    logger.error("%s: %s", what, words(error), exc_info=None if isinstance(error, Error) else error)


def words(error: BaseException) -> str:
    """Return an error's type and first line; PostgreSQL repeats the refused row, texts and all, in the lines below."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
