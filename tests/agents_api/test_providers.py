"""/api/providers and /api/models: changed as in the admin; a key goes in and never comes out."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from agents.models import Agent, AgentFallback, LanguageModel, ModelPrice, Provider, changes_of
from tests.agents.admin_cast import model
from tests.agents_api.conftest import Caller, error

pytestmark = pytest.mark.django_db

SECRET = "sk-very-secret-0123456789"


@pytest.fixture
def acme(api: Caller) -> dict[str, Any]:
    body = {"name": "acme", "base_url": "https://acme.test/v1", "api_key": SECRET}
    response = api.post("/api/providers", body)
    assert response.status_code == 201, response.content
    made: dict[str, Any] = response.json()
    return made


class TestProviders:
    def test_a_key_is_kept_and_never_shown(self, api: Caller, acme: dict[str, Any]) -> None:
        assert acme == {
            "name": "acme",
            "label": "",
            "kind": "openai",
            "base_url": "https://acme.test/v1",
            "api_key_env": "",
            "key_source": "kept",
            "why_withheld": "",
            "models": 0,
            "from_catalog": False,
        }
        assert Provider.objects.get().api_key() == SECRET
        for answer in (api.get("/api/providers"), api.patch("/api/providers/acme", {"api_key": SECRET, "label": "A"})):
            assert SECRET not in answer.content.decode()

    def test_a_key_is_said_to_be_where_it_is(
        self, api: Caller, acme: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def source(**fields: Any) -> str:
            found: str = api.patch("/api/providers/acme", fields).json()["key_source"]
            return found

        assert source(api_key=None) == "not_needed"
        assert source(api_key_env="ACME_API_KEY") == "missing"
        monkeypatch.setenv("ACME_API_KEY", SECRET)
        assert source() == "environment"
        monkeypatch.delenv("ACME_API_KEY")
        assert source(api_key=SECRET) == "kept"

    def test_a_kept_key_does_not_go_to_another_address(self, api: Caller, acme: dict[str, Any]) -> None:
        elsewhere = {"base_url": "https://evil.test/v1"}

        assert error(api.patch("/api/providers/acme", elsewhere), 400)["param"] == "api_key"
        assert Provider.objects.get().base_url == "https://acme.test/v1"
        changed = api.patch("/api/providers/acme", {**elsewhere, "api_key": None}).json()
        assert (changed["base_url"], changed["key_source"]) == ("https://evil.test/v1", "not_needed")

    def test_a_change_is_somebodys_and_ends_the_catalogs(self, api: Caller) -> None:
        Provider.objects.create(name="groq", base_url="https://groq.test/v1", from_catalog=True)

        assert api.patch("/api/providers/groq", {"label": "Mine"}).json()["from_catalog"] is False
        version = changes_of(Provider).latest("history_id")
        assert (version.label, version.history_user.username) == ("Mine", "boss")

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"name": "acme", "base_url": "https://x.test/v1"}, "name"),
            ({"name": "A b", "base_url": "https://x.test/v1"}, "name"),
            ({"name": "x"}, "base_url"),
            ({"name": "x", "base_url": "ftp://x.test"}, "base_url"),
            ({"name": "x", "base_url": "https://u:p@x.test/v1"}, "base_url"),
            ({"name": "x", "base_url": "https://x.test/v1", "api_key_env": "A-B"}, "api_key_env"),
            ({"name": "x", "base_url": "https://x.test/v1", "encrypted_api_key": "x"}, "encrypted_api_key"),
        ],
    )
    def test_what_is_wrong_is_named(self, api: Caller, acme: dict[str, Any], body: dict[str, Any], param: str) -> None:
        assert error(api.post("/api/providers", body), 400)["param"] == param
        assert Provider.objects.count() == 1

    def test_a_provider_is_renamed_never_and_deleted_when_no_agent_needs_it(self, api: Caller) -> None:
        alpha = model()
        agent = Agent.objects.create(name="coder", model=alpha)

        assert error(api.patch("/api/providers/acme", {"name": "other"}), 400)["code"] == "fixed"
        assert error(api.delete("/api/providers/acme"), 409) == {
            "message": "Agents use it: coder. Give them another model first.",
            "type": "invalid_request_error",
            "param": None,
            "code": "in_use",
        }
        agent.delete()
        assert api.delete("/api/providers/acme").status_code == 204
        assert not LanguageModel.objects.exists()


class TestModels:
    def test_a_model_has_prices_as_text_and_null_for_what_is_unknown(self, api: Caller, acme: dict[str, Any]) -> None:
        body = {"provider": "acme", "name": "big/model", "prompt_price": "0.10", "completion_price": 3, "tools": True}

        made = api.post("/api/models", body)

        row = LanguageModel.objects.get()
        assert made.status_code == 201
        assert made.json() == {
            "id": row.pk,
            "provider": "acme",
            "name": "big/model",
            "context_window": None,
            "max_output_tokens": None,
            "prompt_price": "0.1",
            "cached_price": None,
            "completion_price": "3",
            "tools": True,
            "vision": None,
            "reasoning": None,
            "from_catalog": False,
        }
        assert (row.prompt_price, row.completion_price) == (Decimal("0.1"), Decimal(3))
        assert api.get(f"/api/models/{row.pk}").json() == made.json()
        assert api.post("/api/agents", {"name": "x", "model": "acme/big/model"}).json()["model"] == "acme/big/model"

    def test_models_are_listed_by_provider_and_searched(self, api: Caller) -> None:
        model("alpha"), model("beta"), model("alpha", provider="other")

        def listed(**query: str) -> list[tuple[str, str]]:
            return [(found["provider"], found["name"]) for found in api.get("/api/models", **query).json()["data"]]

        assert listed() == [("acme", "alpha"), ("acme", "beta"), ("other", "alpha")]
        assert listed(provider="other") == [("other", "alpha")]
        assert listed(search="BET") == [("acme", "beta")]

    def test_a_new_price_is_noted_with_the_moment_from_which_it_holds(self, api: Caller) -> None:
        alpha = model(prompt_price="1", from_catalog=True)

        changed = api.patch(f"/api/models/{alpha.pk}", {"prompt_price": "2.5"}).json()

        assert (changed["prompt_price"], changed["from_catalog"]) == ("2.5", False)
        prices = ModelPrice.objects.filter(model=alpha).values_list("prompt_price", "applied")
        assert list(prices) == [(Decimal("2.5"), True), (Decimal(1), True)]

    def test_a_price_to_come_does_not_hold_yet(self, api: Caller) -> None:
        alpha = model(prompt_price="1")
        later = datetime.now(UTC) + timedelta(days=1)

        body = {"prompt_price": "2", "prices_hold_from": later.isoformat(), "context_window": 1000}
        changed = api.patch(f"/api/models/{alpha.pk}", body).json()

        assert (changed["prompt_price"], changed["context_window"]) == ("1", 1000)
        assert ModelPrice.objects.get(applied=False).holds_from == later
        past = {"prompt_price": "2", "prices_hold_from": "2020-01-01T00:00:00Z"}
        assert error(api.patch(f"/api/models/{alpha.pk}", past), 400)["param"] == "prices_hold_from"

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"provider": "nobody", "name": "x"}, "provider"),
            ({"provider": "acme", "name": "alpha"}, None),
            ({"provider": "acme", "name": "x", "prompt_price": "-1"}, "prompt_price"),
            ({"provider": "acme", "name": "x", "prompt_price": "cheap"}, "prompt_price"),
            ({"provider": "acme", "name": "x", "prompt_price": "0.0000001"}, "prompt_price"),
            ({"provider": "acme"}, "name"),
        ],
    )
    def test_what_is_wrong_is_named(self, api: Caller, body: dict[str, Any], param: str | None) -> None:
        model("alpha")

        assert error(api.post("/api/models", body), 400)["param"] == param
        assert LanguageModel.objects.count() == 1

    def test_a_model_that_an_agent_falls_back_on_is_not_deleted(self, api: Caller) -> None:
        alpha = model()
        agent = Agent.objects.create(name="coder")
        AgentFallback.objects.create(agent=agent, model=alpha)

        assert "coder" in error(api.delete(f"/api/models/{alpha.pk}"), 409)["message"]
        agent.delete()
        assert api.delete(f"/api/models/{alpha.pk}").status_code == 204
