"""Who changed what: each change of a row that an administrator makes is kept, whoever made it and by whatever way.

django-simple-history writes a copy of the row into a table beside it when the row is saved or deleted. Secrets, and
what the server itself notes in a row, are not in the copies.
"""

from collections.abc import Iterator, Set
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import simple_history
from django.db.models import BinaryField, Field, Model
from django.db.models.signals import pre_save
from simple_history.models import HistoricalRecords

from agents.models.admin_token import AdminToken
from agents.models.agent import Agent, AgentFallback
from agents.models.api_key import ApiKey
from agents.models.budget import Budget
from agents.models.mcp import AgentMcpTool, McpServer
from agents.models.price import ModelPrice
from agents.models.provider import LanguageModel, Provider

# What proves a key, like all that is encrypted: that it was changed is kept, not what it is.
SECRET = frozenset({"digest", "previous_prefix", "previous_digest", "previous_until"})
# What changes without anybody deciding it; more of it below.
NOTED_BY_SERVERS = frozenset({"last_used_at", "updated_at", "tools_read_at", "tools_stale"})
WATCHED: dict[type[Model], dict[str, Any]] = {
    AdminToken: {"noted_by_servers": {"owner"}},  # who never changes
    Agent: {},
    AgentFallback: {},
    AgentMcpTool: {},
    ApiKey: {"m2m_fields": ["agents"]},
    Budget: {},
    LanguageModel: {"noted_by_servers": {"token_correction"}},
    McpServer: {"noted_by_servers": {"tools", "tools_left_out"}},
    ModelPrice: {"noted_by_servers": {"applied"}},
    Provider: {},
}
FIRST_KNOWN = "As it was before the first change that was kept."
SECRET_CHANGED = "The secret that is kept here was changed."
_command: ContextVar[str] = ContextVar("command", default="")


@contextmanager
def by_command(name: str) -> Iterator[None]:
    """Note, with the changes that are made meanwhile and by nobody who is logged in, the command that makes them."""
    token = _command.set(name)
    try:
        yield
    finally:
        _command.reset(token)


class Changes(HistoricalRecords):  # type: ignore[misc]  # it has no types
    """Keeps a copy of each change, of what was there before the first one, and none of a save that changes nothing."""

    def __init__(self, noted_by_servers: Set[str], secret: Set[str], **options: Any) -> None:
        super().__init__(excluded_fields=[*noted_by_servers, *secret], **options)
        self._noted_by_servers, self._secret = noted_by_servers, secret

    def finalize(self, sender: Any, **options: Any) -> None:
        super().finalize(sender, **options)
        pre_save.connect(self.pre_save, sender=sender, weak=False)

    def pre_save(self, instance: Any, update_fields: Any = None, **_: Any) -> None:
        """Find out what is changed; keep what was there if nothing is kept yet, as of rows that came in bulk."""
        before = None if instance._state.adding else type(instance)._base_manager.filter(pk=instance.pk).first()
        if before is None:
            return
        instance._columns_changed = changed = self._changed(before, instance, update_fields)
        if changed and not changes_of(type(instance)).filter(**{instance._meta.pk.attname: instance.pk}).exists():
            before._history_user, before._change_reason = None, FIRST_KNOWN
            self.create_historical_record(before, "+")

    def _changed(self, before: Any, instance: Any, update_fields: Any) -> set[str]:
        saved = [
            column
            for column in instance._meta.concrete_fields
            if column.attname not in instance.get_deferred_fields()
            and (update_fields is None or {column.name, column.attname} & set(update_fields))
        ]
        changed = {column.name for column in saved if _of(before, column) != _of(instance, column)}
        return changed - self._noted_by_servers

    def post_save(self, instance: Any, created: bool, using: Any = None, **options: Any) -> None:
        changed = instance.__dict__.pop("_columns_changed", None)
        if created or changed is None or changed:
            instance._secret_changed = not self._secret.isdisjoint(changed or ())
            super().post_save(instance, created, using=using, **options)
            del instance._secret_changed

    def get_change_reason_for_object(self, instance: Any, history_type: str, using: Any) -> str | None:
        """Return the reason that was given, or the command, if it is one, and what the copies do not show."""
        reason: str | None = super().get_change_reason_for_object(instance, history_type, using)
        command = _command.get() if self.get_history_user(instance) is None else ""
        secret = SECRET_CHANGED if getattr(instance, "_secret_changed", False) else ""
        return reason or ": ".join(filter(None, [command, secret])) or None


def _of(row: Any, column: "Field[Any, Any]") -> Any:
    value = getattr(row, column.attname)
    return bytes(value) if isinstance(column, BinaryField) else value


def _watch(table: type[Model], *, noted_by_servers: Set[str] = frozenset(), **options: Any) -> None:
    columns = {column.name: column for column in table._meta.concrete_fields}
    secret = {name for name, column in columns.items() if name in SECRET or isinstance(column, BinaryField)}
    noted = columns.keys() & NOTED_BY_SERVERS | noted_by_servers
    simple_history.register(table, records_class=Changes, noted_by_servers=noted, secret=secret, **options)


for _table, _options in WATCHED.items():
    _watch(_table, **_options)


def changes_of(table: type[Model]) -> Any:
    """Return the manager of the copies of a table's rows, newest first."""
    history: Any = getattr(table, "history")  # noqa: B009 -- mypy knows no such attribute
    return history
