"""What the start page is asked for, all of it in its URL, and the URLs of the requests behind its figures."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict
from django.urls import reverse

from agents.usage.periods import Lately, Period, Stretch, days

NO_KEY = "none"
WITHOUT_KEY = {"api_key_name__exact": ""}


@dataclass
class DashboardQuery:
    """A period and, if wished, one agent, key or model; what cannot be read is left out and named in `refused`."""

    now: datetime
    lately: Lately = Lately.A_DAY
    first: date | None = None
    last: date | None = None
    agent: UUID | None = None
    key: UUID | str | None = None
    model: str = ""
    refused: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, asked: QueryDict, now: datetime) -> "DashboardQuery":
        query = cls(now)
        codes = {lately.code: lately for lately in Lately}
        if (code := asked.get("period", "day")) in codes:
            query.lately = codes[code]
        elif code != "custom":
            query.refused.append(f"There is no period {code!r}.")
        if asked.get("from") or asked.get("to"):
            query._read_days(asked.get("from", ""), asked.get("to", ""))
        query.agent = query._read_uuid("agent", asked.get("agent", ""))
        key = asked.get("key", "")
        query.key = NO_KEY if key == NO_KEY else query._read_uuid("key", key)
        query.model = asked.get("model", "")
        return query

    def _read_days(self, first: str, last: str) -> None:
        try:
            start, end = (date.fromisoformat(text) if text else None for text in (first, last))
        except ValueError:
            self.refused.append("A day is written as 2026-11-22.")
            return
        try:
            self.first, self.last = days(start, end, self.now.date())
        except ValueError as error:
            self.refused.append(str(error))

    def _read_uuid(self, what: str, text: str) -> UUID | None:
        try:
            return UUID(text) if text else None
        except ValueError:
            self.refused.append(f"There is no {what} {text!r}.")
            return None

    @property
    def period(self) -> Period:
        if self.first and self.last:
            return Period.between(self.first, self.last, self.now)
        return Period.lately(self.lately, self.now)

    @property
    def scope(self) -> dict[str, Any]:
        scope: dict[str, Any] = {}
        if self.agent:
            scope["agent_id"] = self.agent
        if self.key:
            scope |= {"api_key_id": None} if self.key == NO_KEY else {"api_key_id": self.key}
        if self.model:
            scope["model"] = self.model
        return scope

    def url(self, **changes: Any) -> str:
        """Return the URL of the start page with this query, but for the changes; None leaves something out."""
        asked: dict[str, Any] = {"agent": self.agent, "key": self.key, "model": self.model}
        if self.first and self.last:
            asked |= {"from": self.first, "to": self.last}
        else:
            asked["period"] = self.lately.code
        if "period" in changes:
            asked |= {"from": None, "to": None}
        given = {name: value for name, value in (asked | changes).items() if value not in (None, "")}
        return f"{reverse('admin:index')}?{urlencode(given)}"

    def requests_url(self, stretch: Stretch | None = None, **lookups: Any) -> str:
        """Return the URL of the list of the requests of a stretch of time, within this query."""
        asked = dict(self._times(stretch or self.period.stretch))
        if self.agent:
            asked["agent__id__exact"] = str(self.agent)
        if self.key:
            asked |= WITHOUT_KEY if self.key == NO_KEY else {"api_key__id__exact": str(self.key)}
        if self.model:
            asked["model"] = self.model
        given = {name: value for name, value in (asked | lookups).items() if value is not None}
        return f"{reverse('admin:agents_usagerecord_changelist')}?{urlencode(given, doseq=True)}"

    def _times(self, stretch: Stretch) -> Iterator[tuple[str, Any]]:
        yield "started_at_from_0", f"{stretch.start:%Y-%m-%d}"
        yield "started_at_from_1", f"{stretch.start:%H:%M}"
        if stretch.end <= self.now:
            last = stretch.end - timedelta(minutes=1)
            yield "started_at_to_0", f"{last:%Y-%m-%d}"
            yield "started_at_to_1", f"{last:%H:%M}"
