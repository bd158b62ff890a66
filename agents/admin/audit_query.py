"""What the audit log is asked for, all of it in its URL, and the versions of rows that answer it, newest first."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db.models import Model, OuterRef, Q, QuerySet, Subquery
from django.http import QueryDict
from django.urls import reverse

from agents.models import (
    AdminToken,
    Agent,
    AgentFallback,
    AgentMcpTool,
    ApiKey,
    Budget,
    LanguageModel,
    McpServer,
    ModelPrice,
    Provider,
    changes_of,
)
from agents.models.changes import FIRST_KNOWN

NOBODY = "none"
NUMBER = re.compile(r"[0-9]{1,9}")
PER_PAGE = 50


@dataclass(frozen=True)
class Source:
    """A table whose changes are kept: the kind of thing that it is part of, and the column with that thing's key."""

    table: type[Model]
    kind: str
    named_by: tuple[str, ...] = ("name",)
    part: str = ""
    owner: str = "id"
    between: str = ", "

    @property
    def owner_column(self) -> str:
        return self.owner.removesuffix("_id")


KINDS: dict[str, tuple[str, type[Model]]] = {
    "agent": ("Agent", Agent),
    "key": ("API key", ApiKey),
    "token": ("Admin token", AdminToken),
    "budget": ("Budget", Budget),
    "mcp_server": ("MCP server", McpServer),
    "provider": ("Provider", Provider),
    "model": ("Language model", LanguageModel),
}
SOURCES = [
    Source(Agent, "agent"),
    Source(AgentFallback, "agent", ("model",), "fallback model", "agent_id"),
    Source(AgentMcpTool, "agent", ("server", "tool"), "MCP tool", "agent_id"),
    Source(ApiKey, "key"),
    Source(AdminToken, "token"),
    Source(Budget, "budget", ("api_key", "agent", "period", "unit")),
    Source(McpServer, "mcp_server"),
    Source(Provider, "provider"),
    Source(LanguageModel, "model", ("provider", "name"), between="/"),
    Source(ModelPrice, "model", (), "price", "model_id"),
]


@dataclass(frozen=True)
class Place:
    """A place in the log: the moment of a version, and what tells it from others of the same moment."""

    moment: datetime
    source: int
    version: int

    def __str__(self) -> str:
        return f"{self.moment.isoformat()},{self.source},{self.version}"

    @classmethod
    def read(cls, text: str) -> "Place":
        moment, source, version = text.split(",")
        when = datetime.fromisoformat(moment)
        return cls(when if when.tzinfo else when.replace(tzinfo=UTC), int(source), int(version))

    def later(self, source: int) -> Q:
        """Match the versions of a source that come after this place, that is the older ones."""
        same = Q(history_date=self.moment)
        if source == self.source:
            same &= Q(history_id__lt=self.version)
        return Q(history_date__lt=self.moment) | same if source >= self.source else Q(history_date__lt=self.moment)


@dataclass
class AuditQuery:
    """Kinds, a person, days and one object, as wished; what cannot be read is left out and named in `refused`."""

    kind: str = ""
    person: str = ""
    first: date | None = None
    last: date | None = None
    object: str = ""
    before: Place | None = None
    refused: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, asked: QueryDict) -> "AuditQuery":
        query = cls()
        query.kind = query._one_of("kind", asked.get("kind", ""), asked.get("kind", "") in KINDS)
        person = asked.get("person", "")
        query.person = query._one_of("person", person, person == NOBODY or NUMBER.fullmatch(person) is not None)
        query.first, query.last = query._day(asked.get("from", "")), query._day(asked.get("to", ""))
        if object_id := asked.get("object", ""):
            query.object = query._one_of("object", object_id, query._is_key(object_id))
        if place := asked.get("before", ""):
            try:
                query.before = Place.read(place)
            except ValueError:
                query.refused.append(f"There is no place {place!r} in the log.")
        return query

    def _one_of(self, what: str, text: str, known: bool) -> str:
        if text and not known:
            self.refused.append(f"There is no {what} {text!r}.")
        return text if known else ""

    def _day(self, text: str) -> date | None:
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            self.refused.append(f"A day is written as 2026-11-22, not as {text!r}.")
            return None

    def _is_key(self, text: str) -> bool:
        if not self.kind:
            return False
        key = KINDS[self.kind][1]._meta.pk
        assert key is not None
        try:
            key.to_python(text)
        except ValidationError:
            return False
        return True

    @property
    def narrowed(self) -> bool:
        return bool(self.kind or self.person or self.first or self.last)

    def url(self, **changes: Any) -> str:
        """Return the URL of the log with this query, but for the changes; None leaves something out."""
        asked = {"kind": self.kind, "person": self.person, "from": self.first, "to": self.last, "object": self.object}
        given = {name: value for name, value in (asked | changes).items() if value not in (None, "")}
        return reverse("audit_log") + (f"?{urlencode(given)}" if given else "")

    def page(self) -> tuple[list[tuple[Source, Any]], Place | None]:
        """Return a page of versions with their sources, and the place that the next one goes on from.

        Each table is read as far as one page goes, along the index of its dates: the log may be of any length.
        """
        found = [
            (Place(version.history_date, number, version.history_id), source, version)
            for number, source in enumerate(SOURCES)
            if self.kind in ("", source.kind)
            for version in self._versions(number, source)[: PER_PAGE + 1]
        ]
        found.sort(key=lambda entry: (entry[0].moment, -entry[0].source, entry[0].version), reverse=True)
        shown = found[:PER_PAGE]
        return [(source, version) for _, source, version in shown], shown[-1][0] if len(found) > PER_PAGE else None

    def _versions(self, number: int, source: Source) -> "QuerySet[Any]":
        history = changes_of(source.table)
        same = history.filter(id=OuterRef("id"), history_id__lt=OuterRef("history_id")).order_by("-history_id")
        versions: QuerySet[Any] = history.filter(*self._conditions(number, source)).select_related("history_user")
        return versions.annotate(previous_id=Subquery(same.values("history_id")[:1]))

    def _conditions(self, number: int, source: Source) -> Iterator[Q]:
        yield ~Q(history_change_reason=FIRST_KNOWN) | Q(history_change_reason=None)
        if self.person:
            yield Q(history_user=None) if self.person == NOBODY else Q(history_user=int(self.person))
        if self.first:
            yield Q(history_date__gte=datetime.combine(self.first, time(), UTC))
        if self.last:
            yield Q(history_date__lte=datetime.combine(self.last, time.max, UTC))
        if self.object:
            yield Q(**{source.owner: self.object})
        if self.before:
            yield self.before.later(number)
