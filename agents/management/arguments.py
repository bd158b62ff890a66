"""What several commands read from their command lines. Each raises ArgumentTypeError, which argparse explains."""

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from django.utils import timezone

from agents.models import Unit

SPAN = re.compile(r"(\d{1,4})([hdw])")
UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def moment(text: str) -> datetime:
    """Read a span from now or a date, of which the first moment counts."""
    if SPAN.fullmatch(text):
        expires = timezone.now() + span(text)
    else:
        try:
            expires = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is neither a span such as 30d nor a date such as 2027-01-01") from None
    if expires <= timezone.now():
        raise ArgumentTypeError(f"{text} is not in the future")
    return expires


def span(text: str) -> timedelta:
    """Read a span of time such as 24h, 30d or 4w."""
    found = SPAN.fullmatch(text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is not a span such as 24h, 30d or 4w")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 2**31 - 1):
        raise ArgumentTypeError(f"{text!r} is not a whole number; 0 is no limit")
    return int(text)


def amount(text: str, unit: Unit) -> int:
    """Read an amount as the database counts it."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not 0 <= unit.stored(number) <= unit.stored(unit.most):
        raise ArgumentTypeError(f"{text!r} is not an amount of {unit.label}, from 0 to {unit.most}")
    return unit.stored(number)
