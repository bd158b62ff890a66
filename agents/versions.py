"""The versions of a row that the history keeps, and bringing one of an agent's back."""

from typing import Any

from django.db.models import Model, QuerySet

from agents.models import Agent, changes_of

KEPT = frozenset({"id", "enabled", "created_at", "updated_at"})  # what restoring an agent does not touch


def versions_of(table: type[Model], pk: Any) -> "QuerySet[Any]":
    """Return the versions of a row, the newest first."""
    key = table._meta.pk
    assert key is not None
    versions: QuerySet[Any] = changes_of(table).filter(**{key.attname: pk}).select_related("history_user")
    return versions.order_by("-history_date", "-history_id")


def take_back(agent: Agent, earlier: Any, *, only_prompt: bool = False) -> str:
    """Give an agent what it had in an earlier version, or its prompt alone, and return the reason for its history.

    Saves nothing: whether somebody may do that, and whether the version still fits, is to be found out before.
    """
    for column in Agent._meta.concrete_fields:
        if column.attname == "system_prompt" or not (only_prompt or column.name in KEPT):
            setattr(agent, column.attname, getattr(earlier, column.attname))
    what = "prompt" if only_prompt else "version"
    reason = f"The {what} of {earlier.history_date:%Y-%m-%d %H:%M:%S} UTC restored"
    agent._change_reason = reason  # type: ignore[attr-defined]
    return reason
