"""The catalog: LLM providers that people are likely to have, with their current models, limits and prices."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

PROVIDERS_FILE = Path(__file__).with_name("providers.toml")


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """A model as its provider describes it; None is unknown, and a price of 0 is free."""

    name: str
    tools: bool
    vision: bool
    reasoning: bool
    context_window: int | None = None
    max_output_tokens: int | None = None
    prompt_price: Decimal | None = None
    cached_price: Decimal | None = None
    completion_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CatalogProvider:
    """An LLM API; one without a key variable is on this machine, and one without a URL in this server."""

    name: str
    label: str
    base_url: str
    api_key_env: str
    default_model: str | None = None
    models: tuple[CatalogModel, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """What the server knows of providers before anyone adds one; `date` is the month its facts were taken."""

    date: str
    providers: tuple[CatalogProvider, ...]


@cache
def load_catalog() -> Catalog:
    """The catalog that comes with the server, its providers in the order in which they are preferred."""
    return read_catalog(PROVIDERS_FILE)


def read_catalog(path: Path) -> Catalog:
    """Read a catalog file; whatever is wrong in it is a ValueError that names the file, the table and the key."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from None
    fields = _checked(data, str(path), {"date": str, "providers": list})
    providers = (_provider(table, f"{path}, provider {i}") for i, table in enumerate(fields["providers"], 1))
    return Catalog(date=fields["date"], providers=tuple(providers))


def _provider(table: dict[str, Any], where: str) -> CatalogProvider:
    required = dict.fromkeys(["name", "label", "base_url", "api_key_env"], str)
    fields = _checked(table, where, required, {"default_model": str, "models": list})
    models = (_model(model, f"{where}, model {i}") for i, model in enumerate(fields.pop("models", []), 1))
    return CatalogProvider(**fields, models=tuple(models))


def _model(table: dict[str, Any], where: str) -> CatalogModel:
    required = {"name": str, "tools": bool, "vision": bool, "reasoning": bool}
    prices = dict.fromkeys(["prompt_price", "cached_price", "completion_price"], str)
    fields = _checked(table, where, required, {"context_window": int, "max_output_tokens": int, **prices})
    for key in prices.keys() & fields.keys():
        try:
            fields[key] = Decimal(fields[key])
        except InvalidOperation:
            raise ValueError(f"{where}: {key} is no number: {fields[key]!r}") from None
    return CatalogModel(**fields)


def _checked(
    table: dict[str, Any], where: str, required: Mapping[str, type], optional: Mapping[str, type] | None = None
) -> dict[str, Any]:
    """A copy of the table once it has no unknown key (a typo must not pass for an unknown price) and no wrong type."""
    kinds = {**required, **(optional or {})}
    for key, value in table.items():
        if key not in kinds:
            raise ValueError(f"{where}: unknown key {key!r}. Known: {', '.join(kinds)}.")
        if type(value) is not kinds[key]:
            raise ValueError(f"{where}: {key} must be of type {kinds[key].__name__}, not {type(value).__name__}.")
    if missing := [key for key in required if key not in table]:
        raise ValueError(f"{where}: {', '.join(missing)} missing.")
    return dict(table)
