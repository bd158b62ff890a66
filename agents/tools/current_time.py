import asyncio
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from msgspec import Meta

from agents.errors import ToolFailed
from agents.tools.context import RunContext
from agents.tools.function import FunctionTool


async def current_time(
    context: RunContext,
    timezone: Annotated[
        str, Meta(description="An IANA time zone, such as Europe/Paris or UTC.", min_length=1, max_length=100)
    ] = "UTC",
) -> str:
    """Tell the current date, time and day of the week in a time zone."""
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder, such as "Europe"
        raise ToolFailed(await asyncio.to_thread(_unknown, timezone)) from None
    now = datetime.now(zone)
    return f"{now:%A}, {now.isoformat(sep=' ', timespec='seconds')} ({zone.key}, {now:%Z})"


def _unknown(timezone: str) -> str:
    """Say that there is no such zone, and which were perhaps meant."""
    place = timezone.replace(" ", "_").lower()
    meant = sorted(name for name in available_timezones() if place in name.lower())[:5]
    hint = f" Did you mean {', '.join(meant)}?" if meant else " Use an IANA name, such as Europe/Paris, or UTC."
    return f"There is no time zone {timezone!r}.{hint}"


tool = FunctionTool(current_time, timeout=5)
