"""Bodies that nobody would write: each is answered or refused in OpenAI's words, and no error tells of the inside."""

import json
import re
from typing import Any

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.live import Live
from tests.live.asking import events_of
from tests.upstream import Upstream, says

SECONDS = 60  # after which an answer counts as a hang
INTERNALS = re.compile(
    r"Traceback|\.py\b|site-packages|/(?:root|home|usr|tmp|work)/|line \d+|0x[0-9a-f]{6,}|<class|<object"
    r"|\b(?:msgspec|django|openai_compat|openfang_site|agents\.|rest_framework|asyncio|sqlite|psycopg)\b",
    re.I,
)
FREELY = settings(
    max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

text = st.text(max_size=40)
number = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.just(2**63), st.just(-1))
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), number, text),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(text, inner, max_size=4)),
    max_leaves=12,
)


def mostly(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What belongs there, and now and then what does not."""
    return st.one_of(strategy, strategy, strategy, strategy, st.none(), anything)


def record(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {name: mostly(value) for name, value in required.items()},
        optional={name: mostly(value) for name, value in optional.items()},
    )


name = st.one_of(st.from_regex(r"[a-z_]{1,10}", fullmatch=True), text)
function = record(
    {"name": name}, {"description": text, "parameters": st.dictionaries(text, anything), "strict": st.booleans()}
)
call = record({"id": text, "function": record({"name": name}, {"arguments": text})}, {"type": st.just("function")})
image = st.sampled_from(
    ["data:image/png;base64,iVBORw0KGgo=", "data:image/png;base64,", "http://127.0.0.1/x.png", "file:///etc/passwd", ""]
)
part = st.one_of(
    record({"type": st.sampled_from(["text", "input_text"]), "text": text}, {}),
    record({"type": st.just("image_url"), "image_url": st.one_of(image, record({"url": image}, {"detail": text}))}, {}),
    record({"type": text}, {"text": text}),
)
content = st.one_of(text, st.lists(mostly(part), max_size=3), st.none())
message = record(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"]), "content": content},
    {"name": name, "tool_call_id": text, "tool_calls": st.lists(call, max_size=2), "function_call": anything},
)
tool = record({"type": st.just("function"), "function": function}, {})
choice = st.one_of(
    st.sampled_from(["none", "auto", "required"]), record({"type": st.just("function"), "function": function}, {})
)
chat_body = record(
    {
        "model": st.one_of(st.sampled_from(["coder", "openfang:coder", "gpt-4o", "openfang:nobody"]), text),
        "messages": st.lists(mostly(message), max_size=4),
    },
    {
        "stream": st.booleans(),
        "stream_options": record({}, {"include_usage": st.booleans()}),
        "temperature": number,
        "top_p": number,
        "max_tokens": number,
        "max_completion_tokens": number,
        "n": st.sampled_from([0, 1, 2]),
        "stop": st.one_of(text, st.lists(text, max_size=3)),
        "user": st.one_of(text, st.dictionaries(text, anything, max_size=2)),
        "tools": st.lists(tool, max_size=2),
        "tool_choice": choice,
        "functions": st.lists(function, max_size=2),
        "function_call": choice,
        "response_format": record({"type": st.sampled_from(["text", "json_object", "json_schema"])}, {}),
        "parallel_tool_calls": st.booleans(),
        "reasoning_effort": text,
        "logprobs": st.booleans(),
        "seed": number,
        "logit_bias": st.dictionaries(text, number, max_size=2),
    },
)


def send(live: Live, body: bytes, **headers: str) -> httpx2.Response:
    headers = {"content-type": "application/json", **headers}
    url = f"{live.base_url}/chat/completions"
    return httpx2.post(url, content=body, headers=headers, timeout=SECONDS, verify=False)


def check(response: httpx2.Response) -> None:
    """An answer, or an error of the caller's in OpenAI's shape; never one of ours."""
    assert response.headers["x-request-id"].startswith("req_")
    if response.status_code == 200:
        if response.headers["content-type"].startswith("text/event-stream"):
            assert not [event for event in events_of(response) if "error" in event]
        else:
            assert response.json()["object"] == "chat.completion"
        return
    assert response.status_code in (400, 404, 415), response.text
    check_error(response)


def check_error(response: httpx2.Response) -> None:
    assert list(response.json()) == ["error"]
    error = response.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["type"] == "invalid_request_error"
    assert error["message"] and error["code"]
    ours = re.sub(r"'[^']*'", "", error["message"])  # what is quoted is what the client sent
    assert not INTERNALS.search(ours), error["message"]


@FREELY
@given(body=chat_body)
def test_a_body_that_is_nearly_right(live: Live, upstream: Upstream, body: dict[str, Any]) -> None:
    upstream.default = says("Hello")
    check(send(live, json.dumps(body).encode()))


@FREELY
@given(body=anything)
def test_a_body_that_is_any_json(live: Live, upstream: Upstream, body: Any) -> None:
    check(send(live, json.dumps(body).encode()))


@FREELY
@given(body=st.binary(max_size=200))
def test_a_body_that_is_any_bytes(live: Live, upstream: Upstream, body: bytes) -> None:
    check(send(live, body))


@FREELY
@given(
    path=st.text(st.characters(codec="ascii", exclude_characters="#?", min_codepoint=33), max_size=40),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"]),
    key=st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), max_size=60),
)
def test_any_path_method_and_key(guarded: Live, path: str, method: str, key: str) -> None:
    headers = {"authorization": f"Bearer {key}".strip()}
    response = httpx2.request(method, f"{guarded.base_url}/{path}", headers=headers, timeout=SECONDS, verify=False)
    assert response.status_code < 500
    if method != "HEAD" and response.headers.get("content-type") == "application/json":
        assert not INTERNALS.search(re.sub(r"'[^']*'", "", response.json()["error"]["message"]).replace(path, ""))


def test_deep_json_where_any_json_may_stand_is_refused(live: Live, upstream: Upstream) -> None:
    upstream.default = says("Hello")
    for depth in (10, 100, 101, 300, 900, 980, 1000, 5000):
        nested = '{"a":' * depth + "1" + "}" * depth
        for field in (
            f'"tools": [{{"type": "function", "function": {{"name": "f", "parameters": {nested}}}}}]',
            f'"response_format": {{"type": "json_schema", "json_schema": {nested}}}',
            f'"user": {nested}',
            f'"whatever": {nested}',
        ):
            body = f'{{"model": "coder", "messages": [{{"role": "user", "content": "Hi"}}], {field}}}'
            response = send(live, body.encode())
            check(response)
            refused = response.status_code == 400
            assert refused == (depth > 100) or ("whatever" in field and depth <= 1000), (depth, field[:20])
            if refused:
                assert "nested too deeply" in response.json()["error"]["message"]
