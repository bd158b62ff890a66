"""URLs and keys that people enter: one that cannot be used is refused at its field, wherever it is entered."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.test import Client

from agents.errors import AgentError
from agents.models import AdminToken, McpServer, Provider
from agents.probing import offered_models
from agents.tools.mcp.errors import McpServerUnavailable
from agents.tools.mcp.variables import Variables
from openfang_site import env
from tests.agents.admin_cast import errors, model, text
from tests.agents.command_line import command, refused
from tests.agents.test_admin_providers import PROVIDERS, provider_form
from tests.agents_api.conftest import Caller, error

UNREADABLE = [
    "http://[",
    "http://[::1",
    "http://[::1]x/v1",
    "http://[fe80]/v1",
    "http://a]b",
    "http://a:99999/v1",
    "http://a:b/v1",
    "http://a b/v1",
    "http://a\tb/v1",
    "http://a..b/v1",
    "http://.../v1",
    "http://a/v 1",
    "http://:80/v1",
    "http:///v1",
    "//a/v1",
]
LONG_FORM = " https://acme.test/v1/chat/completions/ "
BROKEN_KEYS = ["sk-one\nsk-two", "sk-one\r\nx-evil: 1", "sk one", "sk-\x7f", "sk-schlüssel"]


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path) -> None:
    settings.OPENFANG_DATA_DIR = tmp_path


@pytest.fixture
def api(db: None) -> Caller:
    owner = User.objects.create_superuser("boss")
    _, raw = AdminToken.objects.issue("all", owner, ["admin"], requests_per_minute=0)
    return Caller(raw)


@pytest.mark.parametrize("url", UNREADABLE)
def test_a_base_url_that_cannot_be_called_is_refused_at_its_field(api: Caller, admin_client: Client, url: str) -> None:
    acme = model().provider

    page = admin_client.post(f"{PROVIDERS}{acme.pk}/change/", provider_form(acme, base_url=url))
    assert errors(page) == ["Give a URL such as https://api.example.com/v1 or http://localhost:11434/v1."]
    assert error(api.post("/api/providers", {"name": "new", "base_url": url}), 400)["param"] == "base_url"
    assert error(api.patch("/api/providers/acme", {"base_url": url}), 400)["param"] == "base_url"
    assert refused("provider", "add", "new", "--base-url", url).startswith("base_url: Give a URL such as https://")
    assert not Provider.objects.filter(name="new").exists()
    assert Provider.objects.get(name="acme").base_url == acme.base_url


@pytest.mark.django_db
@pytest.mark.parametrize("url", UNREADABLE)
def test_a_row_with_such_a_url_from_before_fails_with_words(url: str) -> None:
    old = Provider.objects.create(name="old", base_url=url)
    with pytest.raises(AgentError, match="is not the URL of an API"):
        offered_models(old)


@pytest.mark.parametrize("url", UNREADABLE)
def test_an_mcp_server_needs_a_url_that_can_be_called(url: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        McpServer(name="web", url=url).clean()
    assert refusal.value.message_dict == {"url": ["Not an http or https URL."]}


@pytest.mark.parametrize(
    "url", ["https://${WEB_HOST}:${SEARCH_KEY}/mcp", "http://[::1]:8000/mcp", "https://bücher.example/mcp"]
)
def test_an_mcp_servers_url_may_name_variables_ipv6_and_any_language(url: str) -> None:
    McpServer(name="web", url=url).clean()


def test_the_url_of_the_chat_completions_becomes_the_base_url_and_that_is_said(
    api: Caller, admin_client: Client
) -> None:
    acme = model().provider
    said = "The base URL is https://acme.test/v1: OpenFang adds /chat/completions itself."

    page = admin_client.post(f"{PROVIDERS}{acme.pk}/change/", provider_form(acme, base_url=LONG_FORM), follow=True)
    assert said in text(page)
    assert (
        api.post("/api/providers", {"name": "two", "base_url": LONG_FORM}).json()["base_url"] == "https://acme.test/v1"
    )
    assert api.patch("/api/providers/two", {"base_url": LONG_FORM}).json()["base_url"] == "https://acme.test/v1"
    assert said in command("provider", "add", "three", "--base-url", LONG_FORM).err
    assert Provider.objects.filter(base_url="https://acme.test/v1").count() == 3


def test_a_base_url_that_stays_as_it_was_given_is_not_worth_a_word(admin_client: Client) -> None:
    acme = model().provider
    page = admin_client.post(
        f"{PROVIDERS}{acme.pk}/change/", provider_form(acme, base_url="http://127.0.0.1:1/v1"), follow=True
    )
    assert "OpenFang adds" not in text(page)


@pytest.mark.parametrize("key", BROKEN_KEYS)
def test_a_key_that_no_header_can_carry_is_refused_at_its_field(api: Caller, admin_client: Client, key: str) -> None:
    acme = model().provider

    found = errors(admin_client.post(f"{PROVIDERS}{acme.pk}/change/", provider_form(acme, new_key=key)))
    assert found == ["The key has a blank, a line break or a character that is not ASCII. Copy it again."]
    assert error(api.patch("/api/providers/acme", {"api_key": key}), 400)["param"] == "api_key"
    acme.refresh_from_db()
    assert not acme.encrypted_api_key


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["sk-one\nsk-two", "sk-schlüssel"])
def test_such_a_key_in_the_environment_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("ACME_API_KEY", key)
    acme = Provider.objects.create(name="acme", base_url="http://127.0.0.1:1/v1", api_key_env="ACME_API_KEY")
    with pytest.raises(AgentError) as refusal:
        offered_models(acme)
    assert str(refusal.value) == "acme's API key has a character that no header can carry. Correct ACME_API_KEY."


def test_a_variable_of_an_mcp_servers_header_is_not_quoted_when_no_header_can_carry_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WEB_TOKEN", "secret-one\nsecret-two")
    with pytest.raises(McpServerUnavailable) as refusal:
        Variables("web", "https://mcp.test").filled_in("Bearer ${WEB_TOKEN}")
    assert str(refusal.value) == "WEB_TOKEN of an MCP server has a character that no header can carry."


READERS: list[tuple[Any, list[str]]] = [
    (env.env_base_url, [*UNREADABLE, "http://me:secret@host/v1", "http://host/v1?x=1"]),
    (env.env_http_url, [*UNREADABLE, "http://me:secret@host/hook"]),
    (env.env_redis_url, ["redis://[", "redis://[::1", "redis://host:99999", "http://host"]),
    (env.env_origins, ["http://[", "http://a]b", "http://a:99999", "a.example"]),
    (env.env_trusted_origins, ["http://[", "http://a]b", "https://*.[", "a.example"]),
    (lambda name: env.env_hosts(name, []), ["[", "[::1", "a]b", "a:b", "http://a"]),
    (env.env_header_value, ["one\ntwo", "schlüssel"]),
]


@pytest.mark.parametrize(("read", "value"), [(read, value) for read, values in READERS for value in values])
def test_a_setting_that_cannot_be_used_stops_the_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch, read: Any, value: str
) -> None:
    monkeypatch.setenv("OPENFANG_SOMETHING", value)
    with pytest.raises(ImproperlyConfigured) as refusal:
        read("OPENFANG_SOMETHING")
    assert str(refusal.value).startswith("OPENFANG_SOMETHING")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (env.env_base_url, "http://model:8080/v1"),
        (env.env_http_url, "https://hooks.example.com/T1?token=x"),
        (env.env_redis_url, "unix:///run/redis.sock?db=1"),
        (env.env_redis_url, "redis://:pass@[::1]:6379/0"),
        (env.env_trusted_origins, "https://*.example.com"),
        (lambda name: env.env_hosts(name, []), "[::1]"),
        (lambda name: env.env_hosts(name, []), "*"),
        (lambda name: env.env_hosts(name, []), ".example.com"),
    ],
)
def test_what_a_setting_may_be(monkeypatch: pytest.MonkeyPatch, read: Any, value: str) -> None:
    monkeypatch.setenv("OPENFANG_SOMETHING", value)
    assert read("OPENFANG_SOMETHING") in (value, [value])
