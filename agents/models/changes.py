"""Who changed what: each change of a row that an administrator makes is kept, whoever made it and by whatever way.

django-simple-history writes a copy of the row into a table beside it when the row is saved or deleted. Secrets, and
what the server itself notes in a row, are not in the copies.
"""

from collections.abc import Sequence
from typing import Any

import simple_history
from django.db.models import BinaryField, Model
from simple_history.models import HistoricalRecords

from agents.models.agent import Agent, AgentFallback
from agents.models.api_key import ApiKey
from agents.models.budget import Budget
from agents.models.mcp import AgentMcpTool, McpServer
from agents.models.provider import LanguageModel, Provider

# Never copied: what proves a key, what is encrypted, and what changes without anybody deciding it.
LEFT_OUT = frozenset(
    {
        "digest",
        "previous_prefix",
        "previous_digest",
        "previous_until",
        "encrypted_key",
        "last_used_at",
        "updated_at",
        "tools_read_at",
        "tools_stale",
    }
)
WATCHED: dict[type[Model], dict[str, Any]] = {
    Agent: {},
    AgentFallback: {},
    AgentMcpTool: {},
    ApiKey: {"m2m_fields": ["agents"]},
    Budget: {},
    LanguageModel: {},
    McpServer: {"excluded_fields": ["tools"]},
    Provider: {},
}


class Changes(HistoricalRecords):  # type: ignore[misc]  # it has no types
    """Keeps no copy of a save that wrote only what is left out."""

    def post_save(
        self, instance: Any, created: bool, using: Any = None, update_fields: Any = None, **options: Any
    ) -> None:
        if update_fields is None or not set(update_fields) <= set(self.excluded_fields):
            super().post_save(instance, created, using=using, update_fields=update_fields, **options)


def _watch(table: type[Model], *, excluded_fields: Sequence[str] = (), **options: Any) -> None:
    left_out = (f.name for f in table._meta.concrete_fields if f.name in LEFT_OUT or isinstance(f, BinaryField))
    simple_history.register(table, records_class=Changes, excluded_fields=[*left_out, *excluded_fields], **options)


for _table, _options in WATCHED.items():
    _watch(_table, **_options)


def changes_of(table: type[Model]) -> Any:
    """Return the manager of the copies of a table's rows, newest first."""
    history: Any = getattr(table, "history")  # noqa: B009 -- mypy knows no such attribute
    return history
