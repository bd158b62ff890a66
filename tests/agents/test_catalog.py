"""The catalog is data: these tests hold what the server and its administrators rely on when they read it."""

import dataclasses
import re
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agents.catalog import CatalogModel, CatalogProvider, load_catalog, read_catalog

PROVIDERS = load_catalog().providers
MODELS = [(provider, model) for provider in PROVIDERS for model in provider.models]
WELL_KNOWN = {"openai", "groq", "anthropic", "gemini", "mistral", "deepseek", "openrouter", "together", "fireworks"}
WELL_KNOWN |= {"xai", "cerebras", "ollama", "lmstudio", "vllm", "embedded"}

every_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
every_model = pytest.mark.parametrize(
    "model", [model for _, model in MODELS], ids=[f"{provider.name}/{model.name}" for provider, model in MODELS]
)

A_CATALOG = """
date = "2026-11"

[[providers]]
name = "acme"
label = "Acme"
base_url = "https://llm.example/v1"
api_key_env = "ACME_API_KEY"
default_model = "big"

[[providers.models]]
name = "big"
context_window = 1_000
prompt_price = "0.10"
completion_price = "0"
tools = true
vision = false
reasoning = false
"""


@pytest.fixture
def read(tmp_path: Path):
    """Reads a catalog from its text."""

    def from_text(text: str):
        path = tmp_path / "acme.toml"
        path.write_text(text)
        return read_catalog(path)

    return from_text


def is_local(provider: CatalogProvider) -> bool:
    return not provider.api_key_env


# What the server's own catalog says


def test_its_facts_have_a_month():
    assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", load_catalog().date)


def test_the_well_known_providers_are_there():
    assert {provider.name for provider in PROVIDERS} >= WELL_KNOWN


def test_provider_names_and_key_variables_are_unique():
    for values in (
        [p.name for p in PROVIDERS],
        [p.label for p in PROVIDERS],
        [p.api_key_env for p in PROVIDERS if p.api_key_env],
    ):
        assert sorted(set(values)) == sorted(values)


def test_a_provider_with_a_key_is_preferred_to_a_local_one_and_the_embedded_one_comes_last():
    assert [is_local(provider) for provider in PROVIDERS] == sorted(is_local(provider) for provider in PROVIDERS)
    assert PROVIDERS[-1].name == "embedded"


def test_the_embedded_model_is_free_and_its_limits_are_known():
    embedded = PROVIDERS[-1]
    assert (embedded.label, embedded.base_url, embedded.api_key_env) == ("Embedded (SmolLM2-135M)", "", "")
    assert embedded.models == (
        CatalogModel(
            name="smollm2-135m-instruct",
            context_window=8192,
            max_output_tokens=None,
            prompt_price=Decimal(0),
            cached_price=Decimal(0),
            completion_price=Decimal(0),
            tools=False,
            vision=False,
            reasoning=False,
        ),
    )


@every_provider
def test_a_name_can_stand_in_a_command_and_a_variable_in_a_shell(provider: CatalogProvider):
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", provider.name)
    assert re.fullmatch(r"([A-Z][A-Z0-9_]*_API_KEY)?", provider.api_key_env)
    assert provider.label


@every_provider
def test_a_key_never_travels_unencrypted(provider: CatalogProvider):
    if provider.name == "embedded":
        return
    url = urlsplit(provider.base_url)
    if is_local(provider):
        assert url.scheme == "http" and url.hostname and ip_address(url.hostname).is_loopback and url.port
    else:
        assert url.scheme == "https" and url.hostname and "." in url.hostname
    assert not url.query and not url.fragment and not provider.base_url.endswith("/")


@every_provider
def test_the_default_model_is_one_of_its_models_and_the_first(provider: CatalogProvider):
    if provider.name != "embedded" and is_local(provider):
        assert provider.default_model is None and provider.models == ()  # Nobody knows what is installed there.
    else:
        assert provider.models and provider.default_model == provider.models[0].name


@every_provider
def test_model_names_are_unique(provider: CatalogProvider):
    names = [model.name for model in provider.models]
    assert sorted(set(names)) == sorted(names)


def test_the_default_of_every_provider_with_a_key_can_call_tools():
    without = [p.name for p, m in MODELS if p.api_key_env and m.name == p.default_model and not m.tools]
    assert without == []


@every_model
def test_prices_are_plausible_and_complete(model: CatalogModel):
    known = [price for price in (model.prompt_price, model.cached_price, model.completion_price) if price is not None]
    assert all(isinstance(price, Decimal) and Decimal(0) <= price < Decimal(1000) for price in known)
    assert all(price == round(price, 6) for price in known), "finer than the database keeps"
    assert (model.prompt_price is None) == (model.completion_price is None), "half a price is no price"
    if model.cached_price is not None:
        assert model.prompt_price is not None and model.cached_price <= model.prompt_price


@every_model
def test_limits_are_plausible(model: CatalogModel):
    assert model.context_window is not None and 4_096 <= model.context_window <= 10_000_000
    assert model.max_output_tokens is None or 0 < model.max_output_tokens <= model.context_window


# How a catalog is read


def test_the_catalog_is_read_once_and_cannot_be_changed():
    assert load_catalog() is load_catalog()
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_catalog().date = "1999-01"  # type: ignore[misc]


def test_a_price_left_out_is_unknown_and_a_price_of_nought_is_free(read):
    (provider,) = read(A_CATALOG).providers
    (model,) = provider.models
    assert (model.prompt_price, model.cached_price, model.completion_price) == (Decimal("0.10"), None, Decimal(0))
    assert (model.context_window, model.max_output_tokens) == (1000, None)
    assert (provider.default_model, model.tools, model.vision) == ("big", True, False)


@pytest.mark.parametrize(
    ("right", "wrong", "place"),
    [
        ("date =", "dates =", "acme.toml: unknown key 'dates'"),
        ("label =", "lable =", "acme.toml, provider 1: unknown key 'lable'"),
        ("prompt_price =", "prompt_prize =", "acme.toml, provider 1, model 1: unknown key 'prompt_prize'"),
        ('label = "Acme"', "", "acme.toml, provider 1: label missing"),
        ("tools = true", "", "acme.toml, provider 1, model 1: tools missing"),
        ('"0.10"', "0.10", "acme.toml, provider 1, model 1: prompt_price must be of type str, not float"),
        ("tools = true", "tools = 1", "acme.toml, provider 1, model 1: tools must be of type bool, not int"),
        ("1_000", "true", "acme.toml, provider 1, model 1: context_window must be of type int, not bool"),
        ('"0.10"', '"cheap"', "acme.toml, provider 1, model 1: prompt_price is no number: 'cheap'"),
        ("tools = true", "tools = yes", "acme.toml: Invalid value"),
    ],
)
def test_a_mistake_in_the_file_is_refused_with_its_place(read, right: str, wrong: str, place: str):
    assert right in A_CATALOG
    with pytest.raises(ValueError, match=re.escape(place)):
        read(A_CATALOG.replace(right, wrong))
