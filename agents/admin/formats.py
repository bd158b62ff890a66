"""Numbers and times as people read them."""

from datetime import datetime
from decimal import Decimal

from django.utils import timezone

NOTHING = "—"
NBSP = "\N{NO-BREAK SPACE}"


def usd(amount: Decimal | None) -> str:
    """Return an amount of dollars; small ones keep three digits that say something."""
    if amount is None:
        return "unknown"
    if amount == 0:
        return "$0"
    if abs(amount) >= 1:
        return f"${amount:,.2f}"
    whole, _, fraction = f"{amount:.{2 - amount.adjusted()}f}".partition(".")
    return f"${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def duration(milliseconds: int | None) -> str:
    if milliseconds is None:
        return NOTHING
    if milliseconds < 1000:
        return f"{milliseconds}{NBSP}ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.1f}{NBSP}s"
    minutes, seconds = divmod(milliseconds // 1000, 60)
    return f"{minutes}{NBSP}min{NBSP}{seconds:02}{NBSP}s"


def moment(when: datetime | None, *, empty: str = NOTHING) -> str:
    return _written(when, "%H:%M:%S", empty)


def minute(when: datetime | None, *, empty: str = NOTHING) -> str:
    return _written(when, "%H:%M", empty)


def _written(when: datetime | None, clock: str, empty: str) -> str:
    """Return a date and a time with its zone; a line may break between the two and nowhere else."""
    if when is None:
        return empty
    local = timezone.localtime(when)
    date, time = f"{local.day} {local:%b %Y},", f"{local:{clock} %Z}"
    return f"{date.replace(' ', NBSP)} {time.replace(' ', NBSP)}"


def count(number: int | None) -> str:
    return NOTHING if number is None else f"{number:,}"


def size(tokens: int | None) -> str:
    """Return a context window or a limit, rounded: 128k, 1M."""
    if tokens is None:
        return NOTHING
    if tokens >= 1_000_000:
        return f"{tokens / 1_000_000:.3g}M"
    return f"{tokens / 1000:.3g}k" if tokens >= 1000 else str(tokens)
