"""Agents are listed and looked up as models."""

import openai
import pytest

from tests.live import Live
from tests.openai_compat import raw, strict
from tests.openai_compat.test_model_resolution import FALLING_BACK, REACHED, UNREACHABLE, assert_not_found, named


def enabled(live: Live) -> list[str]:
    """Return the ids of the agents that are enabled, oldest first."""
    rows = live.rows("SELECT name FROM agents_agent WHERE enabled ORDER BY created_at, id")
    return [f"openfang:{row['name']}" for row in rows]


def test_the_list_has_the_enabled_agents_oldest_first(live: Live, client: openai.OpenAI):
    models = [strict.model(model) for model in client.models.list()]
    assert [model.id for model in models] == enabled(live)
    assert models[0].id == "openfang:coder"
    assert "openfang:disabled" not in enabled(live)
    assert {(model.object, model.owned_by) for model in models} == {("model", "openfang")}
    assert models[0].model_extra == {
        "name": "coder",
        "description": "Writes code.",
        "context_window": 128_000,
        "max_output_tokens": 16_000,
    }
    assert models[2].model_extra == {
        "name": "blind",
        "description": "",
        "context_window": None,
        "max_output_tokens": None,
    }


def test_the_list_stays_the_same(live: Live):
    first, second = (raw.send(live, "GET", "/v1/models") for _ in range(2))
    assert first.body == second.body
    assert strict.model_list(first.body)


@pytest.mark.parametrize(("model", "agent"), [one for one in REACHED if one[0].strip() == one[0]])
def test_a_model_is_looked_up_by_all_that_addresses_it(live: Live, client: openai.OpenAI, model: str, agent: str):
    found = strict.model(client.models.retrieve(named(live, model)))
    assert found.id == f"openfang:{agent}"
    assert found.to_dict() in [listed.to_dict() for listed in client.models.list()]


@pytest.mark.parametrize("model", ["openfang:coder", "openfang%3Acoder"])
def test_the_colon_may_be_as_it_is_or_encoded(live: Live, model: str):
    answer = raw.send(live, "GET", f"/v1/models/{model}")
    assert answer.status == 200
    assert strict.model(answer.body).id == "openfang:coder"


@pytest.mark.parametrize("model", [*FALLING_BACK[:-1], *UNREACHABLE])
def test_a_lookup_never_falls_back(live: Live, model: str):
    model = named(live, model)
    assert_not_found(raw.send(live, "GET", f"/v1/models/{model}"), model)


def test_the_openai_package_raises_not_found(client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("openfang:nobody")
    assert caught.value.code == "model_not_found"
