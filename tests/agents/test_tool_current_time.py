"""current_time: now, in the zones that people name."""

import json
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from agents.errors import ToolFailed
from agents.tools.current_time import tool
from tests.agents.web_parts import run_context

ANSWER = re.compile(r"(\w+), (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d) \((.+), (.+)\)")


async def tell(**arguments: str) -> str:
    return await tool.call(run_context(), json.dumps(arguments))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "America/Argentina/Buenos_Aires", "Asia/Kathmandu"])
async def test_it_tells_the_moment_with_weekday_offset_and_zone(zone: str) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    answer = ANSWER.fullmatch(await tell(timezone=zone))
    after = datetime.now(UTC)
    assert answer
    weekday, moment, named, abbreviation = answer.groups()
    told = datetime.fromisoformat(moment)
    assert before <= told <= after
    assert told.utcoffset() == told.astimezone(ZoneInfo(zone)).utcoffset()
    assert (weekday, named, abbreviation) == (f"{told:%A}", zone, told.astimezone(ZoneInfo(zone)).tzname())


async def test_without_a_zone_it_is_utc() -> None:
    assert (await tell()).endswith("+00:00 (UTC, UTC)")


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("europe/paris", "Did you mean Europe/Paris?"),
        ("new york", "Did you mean America/New_York?"),
        ("Middle-earth/Shire", "Use an IANA name, such as Europe/Paris, or UTC."),
        ("../../etc/passwd", "Use an IANA name"),
        ("/etc/passwd", "Use an IANA name"),
        ("Europe", "Did you mean Europe/Amsterdam,"),
        ("a\x00b", "Use an IANA name"),
    ],
)
async def test_a_zone_that_is_none_is_named_with_a_hint(zone: str, hint: str) -> None:
    with pytest.raises(ToolFailed) as refused:
        await tell(timezone=zone)
    assert str(refused.value).startswith(f"There is no time zone {zone!r}.")
    assert hint in str(refused.value)
