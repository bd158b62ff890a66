"""What real clients send is answered, and reaches the provider as it was meant (see recordings/README.md)."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.live import Live
from tests.openai_compat import raw, strict
from tests.openai_compat.examples import PIXEL
from tests.upstream import Upstream, call, calls_many, says

TEXT = re.compile(r"\(text, (\d+) characters\)")
IMAGE = re.compile(r"data:image/png;base64,.*\(\d+ characters\)")
RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.json"))
# Of the parameters, these reach the provider; the agent's own values stand for the others.
PASSED_ON = ["response_format", "tool_choice", "parallel_tool_calls", "stop", "reasoning_effort"]
IGNORED = ["temperature", "max_tokens", "max_completion_tokens"]


def filled(value: Any) -> Any:
    """Return what was recorded with its texts and images filled in."""
    if isinstance(value, dict):
        return {name: '{"a": "Lorem é"}' if name == "arguments" else filled(item) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item) for item in value]
    if not isinstance(value, str):
        return value
    if found := TEXT.fullmatch(value):
        return ("Lorem ipsum \u00e9 " * 1000)[: int(found[1])]
    return PIXEL if IMAGE.fullmatch(value) else value.replace("Bearer ...", "Bearer dummy")


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_a_recorded_request_is_answered(live: Live, upstream: Upstream, recording: Path):
    for request in filled(json.loads(recording.read_text())):
        method, path, body = request["method"], request["path"], request["body"]
        if body is not None and body["model"] == "openfang:coder":
            upstream.turns(answer_to(body))
        answer = raw.send(live, method, path, body, headers=request["headers"])
        if path == "/v1/models":
            assert answer.status == 200
            assert "openfang:coder" in [model.id for model in strict.model_list(answer.body)]
        elif method == "GET":
            assert answer.status == 200
            assert strict.model(answer.body).id == path.removeprefix("/v1/models/")
        elif body["model"] != "openfang:coder":
            assert answer.status == 404
            assert strict.error(answer.json()).code == "model_not_found"
        else:
            assert_answered(answer, body)
            assert_reached(upstream.asked[-1], body)
    assert not upstream.unplayed


def answer_to(body: dict[str, Any]) -> Any:
    """Return what the model does: it calls the client's first tool, until it has a result."""
    if "tools" in body and body["messages"][-1]["role"] == "user":
        return calls_many(call(body["tools"][0]["function"]["name"], city="Oslo"))
    return says("It is sunny.")


def assert_answered(answer: raw.Answer, body: dict[str, Any]) -> None:
    assert answer.status == 200
    ignored = [name for name in IGNORED if name in body]
    assert answer.headers.get("x-openfang-ignored", "") == ", ".join(ignored)
    expects_call = "tools" in body and body["messages"][-1]["role"] == "user"
    if body.get("stream"):
        said, called, finish = folded(answer, usage=body.get("stream_options", {}).get("include_usage", False))
    else:
        choice = strict.completion(answer.body).choices[0]
        said = choice.message.content or ""
        called = [one.function.name for one in choice.message.tool_calls or []]  # type: ignore[union-attr]
        finish = choice.finish_reason
    if expects_call:
        assert (said, called, finish) == ("", [body["tools"][0]["function"]["name"]], "tool_calls")
    else:
        assert (said, called, finish) == ("It is sunny.", [], "stop")


def folded(answer: raw.Answer, *, usage: bool) -> tuple[str, list[str], str | None]:
    """Return the text, the names of the called tools and the finish reason of a stream."""
    chunks = [strict.chunk(chunk) for chunk in answer.chunks()]
    if usage:
        *chunks, last = chunks
        assert last.choices == []
        assert last.usage is not None
    choices = [chunk.choices[0] for chunk in chunks]
    called = [one.function.name for choice in choices for one in choice.delta.tool_calls or [] if one.function]
    said = "".join(choice.delta.content or "" for choice in choices)
    return said, [name for name in called if name], choices[-1].finish_reason


def assert_reached(asked: dict[str, Any], body: dict[str, Any]) -> None:
    """The provider got the agent's instructions, then the client's, then the whole conversation in its order."""
    instructions = ["You write code.", *(one["content"] for one in body["messages"] if one["role"] == "system")]
    system, *others = asked["messages"]
    assert system == {"role": "system", "content": "\n\n".join(instructions)}
    meant = [one for one in body["messages"] if one["role"] != "system"]
    assert [comparable(one) for one in others] == [comparable(one) for one in meant]
    assert asked.get("tools") == body.get("tools")
    assert {name: asked[name] for name in PASSED_ON if name in asked} == {
        name: body[name] for name in PASSED_ON if name in body
    }
    assert not set(IGNORED) & set(asked)


def comparable(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message without what says nothing: the order of keys, an absent text, the index of a call."""
    calls = [
        (one["id"], one["function"]["name"], one["function"]["arguments"]) for one in message.get("tool_calls", [])
    ]
    return {
        "role": message["role"],
        "content": message.get("content") or None,
        "tool_calls": calls,
        "tool_call_id": message.get("tool_call_id"),
    }
