"""The catalog in the database: a row for each of its providers and models, until an administrator edits it."""

from collections.abc import Hashable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from django.db import transaction

from agents.catalog import load_catalog
from agents.models import LanguageModel, Provider, ProviderKind

Row = TypeVar("Row", Provider, LanguageModel)


@transaction.atomic
def sync_catalog() -> None:
    """Create the rows that are missing and renew those that nobody has edited; touches nothing else."""
    entries = load_catalog().providers
    _sync(
        Provider,
        {provider.name: provider for provider in Provider.objects.all()},
        {
            entry.name: {
                "name": entry.name,
                "label": entry.label,
                "kind": ProviderKind.OPENAI if entry.base_url else ProviderKind.EMBEDDED,
                "base_url": entry.base_url,
                "api_key_env": entry.api_key_env,
            }
            for entry in entries
        },
    )
    ids = dict(Provider.objects.values_list("name", "pk"))
    _sync(
        LanguageModel,
        {(model.provider_id, model.name): model for model in LanguageModel.objects.all()},
        {
            (ids[entry.name], model.name): {"provider_id": ids[entry.name], **asdict(model)}
            for entry in entries
            for model in entry.models
        },
    )


def _sync(table: type[Row], rows: Mapping[Any, Row], wanted: Mapping[Hashable, dict[str, Any]]) -> None:
    missing = [table(**fields, from_catalog=True) for key, fields in wanted.items() if key not in rows]
    if missing:
        table.objects.bulk_create(missing)
    for key in wanted.keys() & rows.keys():
        row = rows[key]
        changed = {name: value for name, value in wanted[key].items() if getattr(row, name) != value}
        if row.from_catalog and changed:
            for name, value in changed.items():
                setattr(row, name, value)
            row.save(update_fields=list(changed))
