"""The official `openai` package for JavaScript talks to agents (the scripts: tests/clients)."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.live import Live
from tests.live.asking import TIMEOUT
from tests.openai_compat import strict
from tests.openai_compat.examples import HELLO, PIXEL, WEATHER
from tests.openai_compat.rows import closed_row_of
from tests.openai_compat.test_models import enabled
from tests.upstream import Upstream, call, calls_many, cuts, fails, says, stalls

CLIENTS = Path(__file__).parents[1] / "clients"
MISSING = ""
if shutil.which("node") is None:
    MISSING = "Node is not installed: the JavaScript client is not tested."
elif not (CLIENTS / "node_modules" / "openai").exists():
    MISSING = "The JavaScript client is not installed; `npm ci --prefix tests/clients` does it."

if MISSING and os.environ.get("CI") != "true":
    pytest.skip(MISSING, allow_module_level=True)


def node(live: Live, script: str, key: str = "dummy", **given: Any) -> Any:
    """Run a script and return what it reports."""
    assert not MISSING, MISSING
    argument = json.dumps({"baseURL": live.base_url, "key": key, "messages": HELLO, **given})
    command: list[str | Path] = ["node", CLIENTS / script, argument]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_agent_answers(live: Live, upstream: Upstream):
    upstream.says("Hello! How can I help?")
    answer = node(live, "chat.mjs")
    completion = strict.completion(answer["completion"])
    assert completion.model == "coder"
    assert completion.choices[0].message.content == "Hello! How can I help?"
    assert completion.choices[0].finish_reason == "stop"
    assert answer["headers"]["x-request-id"] == answer["requestId"]
    assert answer["requestId"] == f"req_{completion.id.removeprefix('chatcmpl-').replace('-', '')}"
    assert answer["headers"]["openai-processing-ms"].isdecimal()
    assert answer["headers"]["x-openfang-ignored"] == "temperature"


def test_an_image_reaches_the_provider_unchanged(live: Live, upstream: Upstream):
    parts = [
        {"type": "text", "text": "What is in this image?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
    ]
    upstream.says("A pixel.")
    answer = node(live, "chat.mjs", messages=[{"role": "user", "content": parts}])
    assert answer["completion"]["choices"][0]["message"]["content"] == "A pixel."
    assert upstream.asked[0]["messages"][-1] == {"role": "user", "content": parts}


def test_streams_come_in_pieces_with_usage_for_those_who_asked(live: Live, upstream: Upstream):
    upstream.turns(*[says(["Hel", "lo", "!"])] * 3)
    answer = node(live, "stream.mjs")
    plain = [strict.chunk(chunk) for chunk in answer["plain"]]
    assert [chunk.choices[0].delta.content for chunk in plain] == [None, "Hel", "lo", "!", None]
    assert all("usage" not in chunk for chunk in answer["plain"])
    *others, last = [strict.chunk(chunk) for chunk in answer["withUsage"]]
    assert others[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (10, 3)
    assert answer["pieces"] == ["Hel", "lo", "!"]
    assert answer["folded"]["choices"][0]["message"]["content"] == "Hello!"
    assert answer["folded"]["choices"][0]["finish_reason"] == "stop"


async def test_leaving_a_stream_closes_the_provider(live: Live, upstream: Upstream):
    upstream.turns(stalls("Once upon a time"))
    left = node(live, "abort.mjs", until="Once upon a time")
    assert left["text"] == "Once upon a time"
    await upstream.requests[0].client_gone.seen()
    row = closed_row_of(live, left["id"])
    assert (row["status"], row["token_source"]) == ("cancelled", "estimated")
    assert row["completion_tokens"] > 0


def test_models_are_listed_and_looked_up(live: Live):
    answer = node(live, "models.mjs")
    assert [strict.model(model).id for model in answer["list"]] == enabled(live)
    assert strict.model(answer["one"]).id == "openfang:coder"


def test_the_clients_tools_are_called_by_the_client(live: Live, upstream: Upstream):
    called = calls_many(call("get_weather", city="Oslo"), call("get_weather", city="Rome"))
    upstream.turns(*[called, says("Sunny in both.")] * 2)
    answer = node(live, "tools.mjs", tools=[WEATHER])
    for trip, asked in ((answer["whole"], upstream.asked[1]), (answer["streamed"], upstream.asked[3])):
        assert trip["first"]["finish_reason"] == "tool_calls"
        ids = [one["id"] for one in trip["first"]["message"]["tool_calls"]]
        assert len(set(ids)) == 2
        assert trip["second"]["message"]["content"] == "Sunny in both."
        assert trip["second"]["finish_reason"] == "stop"
        assistant, *results = asked["messages"][2:]
        assert [one["id"] for one in assistant["tool_calls"]] == ids
        assert results == [
            {"role": "tool", "tool_call_id": ids[0], "content": "Sunny in Oslo."},
            {"role": "tool", "tool_call_id": ids[1], "content": "Sunny in Rome."},
        ]


def test_refusals_are_the_right_errors(live: Live, upstream: Upstream):
    hello = {"model": "openfang:coder", "messages": HELLO}
    cases: list[tuple[dict[str, Any], str, int | None, str]] = [
        ({**hello, "n": 2}, "BadRequestError", 400, "invalid_value"),
        ({**hello, "model": "openfang:nobody"}, "NotFoundError", 404, "model_not_found"),
        ({**hello, "model": "openfang:nobody", "stream": True}, "NotFoundError", 404, "model_not_found"),
        (hello, "RateLimitError", 429, "provider_rate_limited"),
        ({**hello, "stream": True}, "InternalServerError", 502, "provider_refused"),
        ({**hello, "stream": True}, "APIError", None, "provider_unavailable"),
    ]
    upstream.turns(fails(429, headers={"retry-after": "30"}), fails(401), cuts(after="One two"))
    errors = node(live, "errors.mjs", requests=[request for request, *_ in cases])
    assert [(one["class"], one.get("status"), one["code"]) for one in errors] == [tuple(case) for _, *case in cases]
    assert errors[0]["param"] == "n"
    assert errors[1]["message"] == "404 No agent found for model 'openfang:nobody'"
    assert all(one["requestID"].startswith("req_") for one in errors[:-1])
    assert errors[-1]["text"] == "One two"


def test_a_wrong_key_is_an_authentication_error(guarded: Live):
    [error] = node(guarded, "errors.mjs", key="of_wrong", requests=[{"model": "openfang:coder", "messages": HELLO}])
    assert (error["class"], error["status"], error["code"]) == ("AuthenticationError", 401, "invalid_api_key")
