"""How versions of a row differ, in words: of a long text the lines, of all else what it was and what it is."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from difflib import SequenceMatcher
from typing import Any
from uuid import UUID

from django.db.models import Field, Model
from django.utils.text import capfirst

from agents.admin.formats import NOTHING, minute, usd
from agents.models import Agent, ApiKey, Budget, LanguageModel, Unit, changes_of
from agents.models.changes import WATCHED

VERBS = {"+": "created", "~": "changed", "-": "deleted"}
UNKNOWN = "unknown"  # a script of somebody's own, or a user who is deleted
CONTEXT = 2  # unchanged lines that are shown around a change
# What follows from other columns, or says nothing to people.
NOT_TOLD = frozenset({"id", "created_at", "limited"})
NEITHER = (None, "")


@dataclass
class Difference:
    """What a change did to one field; of a long text the lines, each with `same`, `added`, `removed` or `gap`."""

    label: str
    before: str = ""
    after: str = ""
    lines: list[tuple[str, str]] = field(default_factory=list)

    @property
    def counted(self) -> str:
        """Say how many lines were added and removed."""
        counts = [(sum(kind == wanted for kind, _ in self.lines), wanted) for wanted in ("added", "removed")]
        return ", ".join(f"{count} line{'' if count == 1 else 's'} {what}" for count, what in counts if count)


def line_differences(before: str, after: str) -> Iterator[tuple[str, str]]:
    """Yield the lines of two texts as they differ, with a few of those around."""
    old, new = before.splitlines(), after.splitlines()
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT):
        if group[0][1] or group[0][3]:
            yield "gap", "…"
        for kind, start, end, new_start, new_end in group:
            if kind == "equal":
                yield from (("same", line) for line in old[start:end])
                continue
            yield from (("removed", line) for line in old[start:end])
            yield from (("added", line) for line in new[new_start:new_end])


def who(version: Any) -> str:
    """Return who made a version: somebody who was logged in to the admin, or a command."""
    if version.history_user is not None:
        return str(version.history_user.get_username())
    return _command(version) or UNKNOWN


def why(version: Any) -> str:
    """Return what is noted of a version besides who made it."""
    return (version.history_change_reason or "").removeprefix(_command(version)).removeprefix(": ")


def _command(version: Any) -> str:
    command = (version.history_change_reason or "").partition(": ")[0]
    return command if command.startswith("openfang ") else ""


class Comparison:
    """Compares versions of rows; the names of the rows that they point to are looked up once, for all of them."""

    def __init__(self, versions: Iterable[Any]) -> None:
        found = [version for version in versions if version is not None]
        self._agents = _agents_of_keys(found)
        self._names = dict(_names(found, set().union(*self._agents.values())))

    def of(self, before: Any, after: Any, *, named_by: Collection[str] = ()) -> list[Difference]:
        """Return what differs; of a new row, with nothing before it, what is neither its name nor as by default."""
        found = []
        for column in after.tracked_fields:
            if column.name in NOT_TOLD or (before is None and column.name in named_by):
                continue
            old = column.get_default() if before is None else getattr(before, column.attname)
            new = getattr(after, column.attname)
            if old != new and not (old in NEITHER and new in NEITHER):
                found.append(self._difference(column, before, old, after, new))
        if isinstance(after, changes_of(ApiKey).model):
            old_agents, new_agents = self._opened(before), self._opened(after)
            if old_agents != new_agents:
                found.append(Difference("Agents", "" if before is None else old_agents, new_agents))
        return found

    def _difference(self, column: "Field[Any, Any]", before: Any, old: Any, after: Any, new: Any) -> Difference:
        label = capfirst(str(column.verbose_name))
        if column.get_internal_type() == "TextField":
            return Difference(label, lines=list(line_differences(old or "", new or "")))
        if isinstance(old, list) and isinstance(new, list):
            # Tools are ticked, not ordered: what was unticked, and what was ticked.
            old, new = [item for item in old if item not in new], [item for item in new if item not in old]
        return Difference(
            label,
            "" if before is None else self.shown(column, old, before),
            self.shown(column, new, after),
        )

    def shown(self, column: Any, value: Any, version: Any) -> str:
        """Return a value of a version as people read it."""
        if column.related_model is not None and value is not None:
            return self._names[column.related_model, value]
        if value in (None, "", [], {}):
            return NOTHING
        if isinstance(version, changes_of(Budget).model) and column.name == "limit":
            unit = Unit(version.unit)
            return usd(unit.shown(value)) if unit is Unit.USD else f"{value:,} tokens"
        return _written(dict(column.flatchoices).get(value, value) if column.flatchoices else value)

    def name(self, version: Any, columns: Iterable[str], between: str = ", ") -> str:
        """Return the name of a row by those of some columns that say something."""
        told = [version._meta.get_field(name) for name in columns]
        texts = [self.shown(column, getattr(version, column.attname), version) for column in told]
        return between.join(text for text in texts if text != NOTHING)

    def _opened(self, version: Any) -> str:
        agents = self._agents.get(version.history_id, set()) if version is not None else set()
        if agents:
            return ", ".join(sorted(self._names[Agent, pk] for pk in agents))
        return "none any more" if version is not None and version.limited else "all"


def _written(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case datetime():
            return minute(value)
        case Decimal():
            return usd(value)
        case list():
            return ", ".join(map(str, value))
        case dict():
            return ", ".join(f"{name}: {text}" for name, text in value.items())
    return str(value)


def _agents_of_keys(versions: list[Any]) -> dict[int, set[UUID]]:
    """Return the agents that each version of a key was for."""
    of_keys = changes_of(ApiKey).model
    ids = [version.history_id for version in versions if isinstance(version, of_keys)]
    found: dict[int, set[UUID]] = defaultdict(set)
    if ids:
        for version, agent in of_keys.agents.model.objects.filter(history__in=ids).values_list("history", "agent"):
            found[version].add(agent)
    return found


def _names(versions: list[Any], agents: set[UUID]) -> Iterator[tuple[tuple[type[Model], Any], str]]:
    """Yield the names of all that versions point to; of what is deleted the last name that it had."""
    wanted: dict[type[Model], set[Any]] = defaultdict(set)
    wanted[Agent] |= agents
    for version in versions:
        for column in version.tracked_fields:
            if column.related_model is not None and (pk := getattr(version, column.attname)) is not None:
                wanted[column.related_model].add(pk)
    for table, pks in wanted.items():
        if not pks:
            continue
        gone = set(pks)
        for row in table._default_manager.select_related().filter(pk__in=pks):
            gone.discard(row.pk)
            yield (table, row.pk), str(row) if isinstance(row, LanguageModel) else getattr(row, "name", str(row))
        kept = changes_of(table).filter(id__in=gone).order_by("history_id") if gone and table in WATCHED else None
        names = dict(kept.values_list("id", "name")) if kept is not None else {}
        yield from (((table, pk), f"{names.get(pk, pk)} (deleted)") for pk in gone)
