"""Once there are keys, each opens its own agents; what a key does not open is not there, and never forbidden."""

import pytest

from tests.live import Live
from tests.openai_compat import raw, strict
from tests.openai_compat.test_model_resolution import assert_not_found
from tests.openai_compat.test_models import enabled
from tests.upstream import Upstream, says

ENDPOINTS = [
    ("GET", "/v1/models"),
    ("GET", "/v1/models/openfang:listener"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/unknown"),
]
INCORRECT = "Incorrect API key provided. Ask the administrator of this server for one."
MISSING = "You didn't provide an API key. Send it as a header: Authorization: Bearer YOUR_KEY."


def listed(live: Live, name: str) -> list[str]:
    answer = raw.send(live, "GET", "/v1/models", key=live.keys[name])
    assert answer.status == 200
    return [model.id for model in strict.model_list(answer.body)]


def test_alice_sees_every_agent(guarded: Live):
    assert listed(guarded, "alice") == enabled(guarded)


def test_bob_sees_his_own_agent(guarded: Live):
    assert listed(guarded, "bob") == ["openfang:listener"]


@pytest.mark.parametrize("model", ["openfang:coder", "openfang:nobody", "openfang:disabled", "coder-of-nobody"])
def test_bob_cannot_tell_a_hidden_agent_from_none(guarded: Live, model: str):
    assert_not_found(raw.send(guarded, "GET", f"/v1/models/{model}", key=guarded.keys["bob"]), model)


@pytest.mark.parametrize("model", ["openfang:coder", "openfang:nobody"])
def test_bob_cannot_chat_with_a_hidden_agent(guarded: Live, model: str):
    assert_not_found(raw.chat(guarded, model=model, key=guarded.keys["bob"]), model)


@pytest.mark.parametrize(
    ("name", "model", "agent"),
    [
        ("alice", "openfang:coder", "coder"),
        ("alice", "gpt-4o", "coder"),
        ("bob", "openfang:listener", "listener"),
        # The first agent is the first that the key opens.
        ("bob", "gpt-4o", "listener"),
        ("bob", "coder", "listener"),
    ],
)
def test_a_key_opens_its_agents(guarded: Live, upstream: Upstream, name: str, model: str, agent: str):
    upstream.says("Hello!")
    answer = raw.chat(guarded, model=model, key=guarded.keys[name])
    assert answer.status == 200
    completion = strict.completion(answer.body)
    assert completion.model == agent
    row = guarded.usage(f"id = '{completion.id.removeprefix('chatcmpl-').replace('-', '')}'")[0]
    assert (row["agent_name"], row["api_key_name"], row["status"]) == (agent, name, "ok")


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("Bearer {carol}", INCORRECT),
        ("Bearer {dave}", INCORRECT),
        ("Bearer {alice}x", INCORRECT),
        ("Bearer dummy", INCORRECT),
        ("Basic {alice}", MISSING),
        ("Bearer", MISSING),
        ("{alice}", MISSING),
        (None, MISSING),
    ],
)
def test_without_a_valid_key_there_is_nothing(
    guarded: Live, method: str, path: str, authorization: str | None, message: str
):
    headers = {"authorization": authorization.format(**guarded.keys)} if authorization else {}
    answer = raw.send(guarded, method, path, {"model": "openfang:coder", "messages": []}, headers=headers)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert strict.error(answer.json()).to_dict() == {
        "message": message,
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }


def test_the_scheme_is_read_in_any_case(guarded: Live):
    answer = raw.send(guarded, "GET", "/v1/models", headers={"authorization": f"bearer {guarded.keys['alice']}"})
    assert answer.status == 200


def test_a_key_is_nowhere_in_answers_and_logs(guarded: Live, upstream: Upstream):
    upstream.default = says("Hello!")
    body = {"model": "openfang:listener", "messages": [{"role": "user", "content": "Hello!"}]}
    for key in guarded.keys.values():
        for method, path in ENDPOINTS:
            answer = raw.send(guarded, method, path, body if method == "POST" else None, key=key)
            assert key not in answer.body.decode()
            assert all(key not in value for value in answer.headers.values())
    assert all(key not in guarded.output for key in guarded.keys.values())
    assert all("authorization" not in request.headers for request in upstream.requests)
