"""Rows of providers and MCP servers send an environment variable only where the catalog or the operator says so."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.test import Client

from agents.exposed_variables import entry_for, exposed_value, read_exposed_variables, why_withheld
from agents.models import McpServer, Provider
from agents.models.provider import KeySource
from agents.snapshot import read_models
from openfang_site.env import env_exposed_variables
from tests.agents.admin_cast import errors, text
from tests.agents.command_line import command, refused
from tests.upstream import Upstream

SECRET = "very-secret-0123456789"
EVIL = "https://evil.test/v1"
RULE = (
    "The environment variable GROQ_API_KEY may not be sent to https://evil.test. Allowed are a catalog provider's key "
    "at that provider's own host, and what the setting OPENFANG_EXPOSED_VARIABLES lists. To allow this, add "
    "GROQ_API_KEY@evil.test to that setting."
)


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.OPENFANG_EXPOSED_VARIABLES = ()
    for name in ("GROQ_API_KEY", "POSTGRES_PASSWORD", "LAB_KEY", "OPENFANG_SECRET_KEY"):
        monkeypatch.setenv(name, SECRET)


class TestTheRule:
    @pytest.mark.parametrize(
        "url",
        [
            "https://api.groq.com/openai/v1",
            "https://api.groq.com",
            "https://API.groq.com:443/other",
            "https://api.groq.com?region=eu",
        ],
    )
    def test_a_catalog_providers_key_goes_to_its_own_host(self, url: str) -> None:
        assert why_withheld("GROQ_API_KEY", url) == ""
        assert exposed_value("GROQ_API_KEY", url) == SECRET

    @pytest.mark.parametrize(
        "url",
        [
            EVIL,
            "http://api.groq.com/openai/v1",
            "https://api.groq.com:8443/openai/v1",
            "https://api.groq.com.evil.test/v1",
            "https://api.groq.com@evil.test/v1",
            "https://evil.test\\@api.groq.com/v1",
            "https://api.groq.com\\@evil.test/v1",
            "https://evil.test#@api.groq.com/v1",
            "https://api.groq.com\t.evil.test/v1",
            "https://api.groq.com\n.evil.test/v1",
            " https://api.groq.com/v1",
            "https://api.groq.com${SUFFIX}/v1",
            "https://${HOST}@api.groq.com/v1",
            "https://api.groq.com./v1",
            "https://api.groq.com%2e/v1",
            "https://api.groq.com%2eevil.test/v1",
            "https://api.groq.com:443.evil.test/v1",
            "https://api.groq.com;evil.test/v1",
            "https://api.groq\u3002com/v1",
            "https:///api.groq.com/v1",
            "//api.groq.com/v1",
            "https://api.openai.com/v1",
            "https://[/v1",
            "",
        ],
    )
    def test_and_nowhere_else(self, url: str) -> None:
        assert "GROQ_API_KEY may not be" in why_withheld("GROQ_API_KEY", url)
        assert exposed_value("GROQ_API_KEY", url) is None

    @pytest.mark.parametrize("name", ["POSTGRES_PASSWORD", "LAB_KEY", "HOME", "DATABASE_URL", "OPENFANG_API_KEY"])
    def test_no_other_variable_goes_anywhere(self, name: str) -> None:
        assert why_withheld(name, "https://api.groq.com/openai/v1")
        assert why_withheld(name)

    def test_what_the_operator_lists_goes_where_the_list_says(self, settings: Any) -> None:
        settings.OPENFANG_EXPOSED_VARIABLES = read_exposed_variables(
            ["GROQ_API_KEY", "LAB_KEY@http://lab:8000", "POSTGRES_PASSWORD@db.test"]
        )
        assert not why_withheld("GROQ_API_KEY", EVIL)
        assert not why_withheld("GROQ_API_KEY")
        assert not why_withheld("LAB_KEY", "http://lab:8000/v1")
        assert not why_withheld("POSTGRES_PASSWORD", "https://db.test/mcp")
        for name, url in [
            ("LAB_KEY", "http://lab/v1"),
            ("LAB_KEY", "https://lab:8000/v1"),
            ("LAB_KEY", ""),
            ("POSTGRES_PASSWORD", "http://db.test/mcp"),
        ]:
            assert why_withheld(name, url)

    def test_the_servers_secret_key_goes_nowhere_even_if_it_is_listed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "never sent" in why_withheld("OPENFANG_SECRET_KEY", EVIL)
        monkeypatch.setenv("OPENFANG_EXPOSED_VARIABLES", "LAB_KEY, OPENFANG_SECRET_KEY")
        with pytest.raises(ImproperlyConfigured, match=r"OPENFANG_SECRET_KEY is never sent, so it can't be listed"):
            env_exposed_variables("OPENFANG_EXPOSED_VARIABLES")

    @pytest.mark.parametrize("entry", ["A-B", "@host", "LAB_KEY@", "LAB_KEY@ftp://host", "LAB_KEY@host/path", "A B"])
    def test_a_list_that_cannot_be_right_stops_the_start(self, monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
        monkeypatch.setenv("OPENFANG_EXPOSED_VARIABLES", entry)
        with pytest.raises(ImproperlyConfigured, match=r"^OPENFANG_EXPOSED_VARIABLES: "):
            env_exposed_variables("OPENFANG_EXPOSED_VARIABLES")

    @pytest.mark.parametrize("url", [EVIL, "http://lab:8000/v1", "https://lab:8443", "", "https://me:${X}@host"])
    def test_the_entry_that_a_refusal_names_allows_what_was_refused(self, url: str, settings: Any) -> None:
        settings.OPENFANG_EXPOSED_VARIABLES = read_exposed_variables([entry_for("LAB_KEY", url)])
        assert why_withheld("LAB_KEY", url) == ""


@pytest.mark.django_db
class TestRowsThatAreWritten:
    def test_the_admin_refuses_a_provider(self, admin_client: Client) -> None:
        form = {"name": "mine", "kind": "openai", "base_url": EVIL, "api_key_env": "GROQ_API_KEY"}
        prefix = "language_models-"
        form |= {f"{prefix}TOTAL_FORMS": "0", f"{prefix}INITIAL_FORMS": "0"}

        assert errors(admin_client.post("/admin/agents/provider/add/", form)) == [RULE]
        assert not Provider.objects.exists()

    def test_the_admin_refuses_an_mcp_server(self, admin_client: Client) -> None:
        form = {"name": "mine", "transport": "http", "url": EVIL, "args": "[]", "environment": "[]", "timeout": 60}
        form["headers"] = '{"X-Key": "${GROQ_API_KEY}"}'

        assert errors(admin_client.post("/admin/agents/mcpserver/add/", form)) == [RULE]
        assert not McpServer.objects.exists()

    def test_a_command_refuses_a_provider(self) -> None:
        words = ("provider", "add", "mine", "--base-url", EVIL, "--api-key-env", "GROQ_API_KEY")
        assert refused(*words) == f"api_key_env: {RULE}"
        assert not Provider.objects.filter(name="mine").exists()

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"url": "https://evil.test/mcp?q=${POSTGRES_PASSWORD}"}, "url"),
            ({"url": "https://${POSTGRES_PASSWORD}.evil.test/mcp"}, "url"),
            ({"url": EVIL, "headers": {"Authorization": "Bearer ${POSTGRES_PASSWORD}"}}, "headers"),
            ({"transport": "stdio", "command": "env", "environment": ["POSTGRES_PASSWORD"]}, "environment"),
        ],
    )
    def test_every_place_of_an_mcp_server_is_checked(self, values: dict[str, Any], field: str) -> None:
        with pytest.raises(ValidationError) as refusal:
            McpServer(name="mine", **values).full_clean()
        (message,) = refusal.value.message_dict[field]
        assert message.startswith("The environment variable POSTGRES_PASSWORD may not be ")


@pytest.mark.django_db(transaction=True)
class TestRowsFromBefore:
    """Rows that an earlier version took are kept, say why they do not work, and send nothing."""

    def test_a_provider_gets_no_key_and_says_why(self, admin_client: Client, upstream: Upstream) -> None:
        provider = Provider.objects.create(name="old", base_url=upstream.base_url, api_key_env="GROQ_API_KEY")
        provider.language_models.create(name="a-model")

        assert (provider.key_source, provider.api_key()) == (KeySource.WITHHELD, None)
        assert [model.provider.api_key for model in read_models().values()] == [None]
        page = admin_client.get(f"/admin/agents/provider/{provider.pk}/change/")
        assert "The environment variable GROQ_API_KEY may not be sent to http://127.0.0.1" in text(page)
        assert "GROQ_API_KEY is withheld" in command("provider", "list").out
        tested = text(admin_client.post(f"/admin/agents/provider/{provider.pk}/test/", {"back": "form"}, follow=True))
        assert "old has no API key. The environment variable GROQ_API_KEY may not be sent" in tested
        listed = text(admin_client.get(f"/admin/agents/provider/{provider.pk}/models/"))
        assert "old has no API key. The environment variable GROQ_API_KEY may not be sent" in listed
        assert upstream.requests == []

    def test_a_key_that_is_kept_for_it_is_still_used(self) -> None:
        provider = Provider(name="old", base_url=EVIL, api_key_env="GROQ_API_KEY")
        provider.keep_key("its-own-key")
        assert (provider.key_source, provider.api_key()) == (KeySource.KEPT, "its-own-key")

    def test_an_mcp_server_is_not_connected_to_and_says_why(self, admin_client: Client) -> None:
        server = McpServer.objects.create(name="old", url=EVIL, headers={"X-Key": "${GROQ_API_KEY}"})

        page = text(admin_client.get(f"/admin/agents/mcpserver/{server.pk}/change/")).replace("&#x27;", "'")
        assert RULE in page
        assert "withheld" in text(admin_client.get("/admin/agents/mcpserver/"))
        admin_client.post(f"/admin/agents/mcpserver/{server.pk}/read-tools/", {"_form_submitted": "1"})
        said = text(admin_client.get("/admin/agents/mcpserver/")).replace("&#x27;", "'")
        assert f"The MCP server 'old' may not use the environment variable GROQ_API_KEY. {RULE}" in said
