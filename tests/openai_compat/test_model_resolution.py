"""The model names an agent: by name or id, in any case; names of other services fall back to the first agent."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from tests.live import Live
from tests.openai_compat import raw, strict
from tests.upstream import Upstream

# {id} is the id of the agent `listener`, in its usual form.
REACHED = [
    ("openfang:coder", "coder"),
    ("openfang:listener", "listener"),
    ("OpenFang:Listener", "listener"),
    ("listener", "listener"),
    ("LISTENER", "listener"),
    (" listener ", "listener"),
    ("{id}", "listener"),
    ("{ID}", "listener"),
    ("openfang:{id}", "listener"),
]
FALLING_BACK = ["gpt-4o", "nobody", "anthropic/claude-opus", "disabled", "🦊"]
# An address that names nothing visible is not guessed at.
UNREACHABLE = [
    "openfang:nobody",
    "openfang:disabled",
    "openfang:",
    "00000000-0000-4000-8000-000000000000",
    "openfang:00000000-0000-4000-8000-000000000000",
    "{disabled id}",
]


@pytest.fixture(scope="module")
def firm(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server whose administrator has switched the fallback off."""
    environment = {"OPENFANG_FALLBACK_TO_FIRST_AGENT": "false"}
    with Live(tmp_path_factory.mktemp("firm"), cast=session_upstream.base_url, env=environment) as live:
        yield live


def named(live: Live, model: str) -> str:
    """Return the model with the ids filled in that this server has given its agents."""
    ids = {row["name"]: str(UUID(row["id"])) for row in live.rows("SELECT id, name FROM agents_agent")}
    listener = ids["listener"]
    filled = model.replace("{id}", listener).replace("{ID}", listener.upper())
    return filled.replace("{disabled id}", ids["disabled"])


def assert_not_found(answer: raw.Answer, model: str) -> None:
    assert answer.status == 404
    assert strict.error(answer.json()).to_dict() == {
        "message": f"No agent found for model '{model}'",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_found",
    }


@pytest.mark.parametrize(("model", "agent"), REACHED)
def test_an_agent_is_reached_by_its_name_and_its_id(live: Live, upstream: Upstream, model: str, agent: str):
    upstream.says("Hello!")
    answer = raw.chat(live, model=named(live, model))
    assert answer.status == 200
    assert strict.completion(answer.body).model == agent


@pytest.mark.parametrize("model", FALLING_BACK)
def test_other_names_fall_back_to_the_first_agent(live: Live, upstream: Upstream, model: str):
    upstream.says("Hello!")
    answer = raw.chat(live, model=model)
    assert answer.status == 200
    assert strict.completion(answer.body).model == "coder"


@pytest.mark.parametrize("model", UNREACHABLE)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_address_that_names_nothing_is_not_found(live: Live, model: str, stream: bool):
    model = named(live, model)
    assert_not_found(raw.chat(live, model=model, stream=stream), model)


@pytest.mark.parametrize("model", ["gpt-4o", "nobody", "disabled", "openfang:nobody"])
def test_without_the_fallback_other_names_are_not_found(firm: Live, model: str):
    assert_not_found(raw.chat(firm, model=model), model)


def test_without_the_fallback_agents_are_reached_all_the_same(firm: Live, upstream: Upstream):
    upstream.says("Hello!")
    assert strict.completion(raw.chat(firm, model="coder").body).model == "coder"


def test_a_model_that_cannot_be_named_is_a_bad_request(live: Live):
    answer = raw.chat(live, model="")
    assert answer.status == 400
    error = strict.error(answer.json())
    assert (error.param, error.code) == ("model", "invalid_value")
