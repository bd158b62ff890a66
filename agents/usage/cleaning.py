"""Rows made to fit their columns, so that nothing a client, a model or a provider invents is refused by the database.

PostgreSQL takes no NUL, no lone surrogate, no text longer than its column and no integer out of its range; SQLite
takes some of these and raises OverflowError for others. Rows are cleaned alike for both.
"""

import logging
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import models
from django.db.backends.base.operations import BaseDatabaseOperations

from agents.models.money import MOST_INTEGER, PICO, UsdField

logger = logging.getLogger(__name__)

LONGEST_TEXT = 100_000  # characters in a column without a length
MOST_USD = MOST_INTEGER / PICO
NUL = "\x00"


def clean_text(text: object, longest: int = LONGEST_TEXT) -> str:
    """Return a text that both databases take: without NUL, without lone surrogates, not too long."""
    whole = text if isinstance(text, str) else "" if text is None else str(text)
    return whole.replace(NUL, "").encode(errors="replace").decode()[:longest]


def clean_integer(value: Any, low: int, high: int) -> int | None:
    """Return the nearest integer from `low` to `high`, or None for what is no number."""
    try:
        return min(max(int(value), low), high)
    except (TypeError, ValueError, OverflowError):
        return None


def clean_usd(value: Any) -> Decimal | None:
    """Return an amount of dollars that its column can hold, or None for what is no amount."""
    try:
        amount = Decimal(value)
    except (TypeError, ValueError, InvalidOperation):
        return None
    return min(max(amount, Decimal(0)), MOST_USD) if amount.is_finite() else None


class Cleaner:
    """Makes the rows of a model fit their columns. A row that fits already costs a few microseconds."""

    def __init__(self, fields: Iterable["models.Field[Any, Any]"]) -> None:
        self._texts: list[tuple[str, int]] = []
        self._integers: list[tuple[str, int, int, int | None]] = []
        self._amounts: list[str] = []
        ranges = BaseDatabaseOperations.integer_field_ranges
        for field in fields:
            if isinstance(field, UsdField):
                self._amounts.append(field.attname)
            elif isinstance(field, models.CharField | models.TextField):
                self._texts.append((field.attname, field.max_length or LONGEST_TEXT))
            elif isinstance(field, models.IntegerField) and not isinstance(field, models.AutoField):
                low, high = ranges[field.get_internal_type()]
                self._integers.append((field.attname, low, high, None if field.null else 0))

    def __call__(self, row: models.Model) -> None:
        values = vars(row)
        for name, longest in self._texts:
            text = values[name]
            if text == "":
                continue
            if not (isinstance(text, str) and text.isascii() and len(text) <= longest and NUL not in text):
                values[name] = clean_text(text, longest)
        for name, low, high, absent in self._integers:
            value = values[name]
            if value is None and absent is None:
                continue
            if type(value) is not int or not low <= value <= high:
                found = clean_integer(value, low, high)
                self._replace(row, name, absent if found is None else found)
        for name in self._amounts:
            value = values[name]
            if value is not None and not (type(value) is Decimal and value.is_finite() and 0 <= value <= MOST_USD):
                self._replace(row, name, clean_usd(value))

    def _replace(self, row: models.Model, name: str, value: int | Decimal | None) -> None:
        """Put a number in the place of one that does not fit, and say so: numbers are what the row is kept for."""
        before = vars(row)[name]
        vars(row)[name] = value
        if before != value:
            where = f"{name} of request {getattr(row, 'record_id', row.pk)}"
            logger.warning("%s was %.40r, which its column cannot hold; kept as %s.", where, before, value)
