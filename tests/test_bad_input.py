"""Bad bodies: each gets one clear error that names the place, the provider is not asked, and the server lives on."""

import json
from typing import Any

import httpx2
import pytest

from tests.live import Live
from tests.live.asking import TIMEOUT, ask, body, content_of, url_of
from tests.upstream import Upstream

MEGABYTE = 2**20
USER = {"role": "user", "content": "Hi"}
TOOL = {"type": "function", "function": {"name": "clock"}}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def said(*messages: object) -> dict[str, Any]:
    return {"model": "coder", "messages": list(messages)}


def part(part: object) -> dict[str, Any]:
    return said({"role": "user", "content": [part]})


def image(url: object) -> dict[str, Any]:
    return part({"type": "image_url", "image_url": url})


def tool(function: object) -> dict[str, Any]:
    return body(tools=[{"type": "function", "function": function}])


CONTENT = "messages[0].content"
PART = "messages[0].content[0]"

# The body, and the `param` of its error.
FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"messages": [USER]}, "model"),
    (body(None), "model"),  # type: ignore[arg-type]
    (body(7), "model"),  # type: ignore[arg-type]
    (body(["coder"]), "model"),  # type: ignore[arg-type]
    (body(""), "model"),
    (body("   "), "model"),
    (body("x" * 5000), "model"),
    (body("co\x00der"), "model"),
    (body("co\nder"), "model"),
    (body("coder\n"), "model"),
    ({"model": "coder"}, "messages"),
    (body(messages=None), "messages"),
    (body(messages=[]), "messages"),
    (body(messages="Hi"), "messages"),
    (body(messages={"role": "user", "content": "Hi"}), "messages"),
    (said("Hi"), "messages[0]"),
    (said(None), "messages[0]"),
    (said(USER, []), "messages[1]"),
    (said({"content": "Hi"}), "messages[0].role"),
    (said({"role": None, "content": "Hi"}), "messages[0].role"),
    (said({"role": 1, "content": "Hi"}), "messages[0].role"),
    (said({"role": "robot", "content": "Hi"}), "messages[0].role"),
    (said({"role": "User", "content": "Hi"}), "messages[0].role"),
    (said({"role": "", "content": "Hi"}), "messages[0].role"),
    (said({"role": "user", "content": 5}), CONTENT),
    (said({"role": "user", "content": True}), CONTENT),
    (said({"role": "user", "content": {"type": "text", "text": "Hi"}}), CONTENT),
    (said({"role": "user", "content": ["Hi"]}), PART),
    (said({"role": "user", "content": [None]}), PART),
    (said({"role": "user", "content": "Hi", "name": 5}), "messages[0].name"),
    (part({"text": "Hi"}), f"{PART}.type"),
    (part({"type": None, "text": "Hi"}), f"{PART}.type"),
    (part({"type": "video_url", "video_url": {"url": "data:"}}), f"{PART}.type"),
    (part({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}), f"{PART}.type"),
    (part({"type": "file", "file": {"file_id": "file-1"}}), f"{PART}.type"),
    (part({"type": "text"}), f"{PART}.text"),
    (part({"type": "text", "text": None}), f"{PART}.text"),
    (part({"type": "text", "text": 5}), f"{PART}.text"),
    (part({"type": "image_url"}), f"{PART}.image_url"),
    (image(None), f"{PART}.image_url"),
    (image({}), f"{PART}.image_url.url"),
    (image({"url": None}), f"{PART}.image_url.url"),
    (image({"url": PIXEL, "detail": 5}), f"{PART}.image_url.detail"),
    (image({"url": "https://example.org/cat.png"}), f"{PART}.image_url"),
    (image("http://example.org/cat.png"), f"{PART}.image_url"),
    (image({"url": "HTTPS://example.org/cat.png"}), f"{PART}.image_url"),
    (image({"url": "file:///etc/passwd"}), f"{PART}.image_url"),
    (image({"url": ""}), f"{PART}.image_url"),
    (image({"url": "data:image/png;base64,"}), f"{PART}.image_url"),
    (image({"url": "data:image/png;base64,!!!!"}), f"{PART}.image_url"),
    (image({"url": "data:image/png;base64,abc"}), f"{PART}.image_url"),
    (image({"url": "data:image/png,plain"}), f"{PART}.image_url"),
    (image({"url": "data:text/html;base64,PGI+"}), f"{PART}.image_url"),
    (said({"role": "assistant", "tool_calls": "clock"}), "messages[0].tool_calls"),
    (said({"role": "assistant", "tool_calls": [{"id": "1"}]}), "messages[0].tool_calls[0].function"),
    (said({"role": "assistant", "tool_calls": [{"function": {"name": "x"}}]}), "messages[0].tool_calls[0].id"),
    (
        said({"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "x", "arguments": {}}}]}),
        "messages[0].tool_calls[0].function.arguments",
    ),
    (said({"role": "tool", "content": "12:00"}), "messages[0].tool_call_id"),
    (said({"role": "tool", "content": "12:00", "tool_call_id": 5}), "messages[0].tool_call_id"),
    (said({"role": "function", "content": "12:00"}), "messages[0].name"),
    (body(stream="yes"), "stream"),
    (body(stream=1), "stream"),
    (body(stream_options=True), "stream_options"),
    (body(stream_options={"include_usage": "yes"}), "stream_options.include_usage"),
    (body(temperature="hot"), "temperature"),
    (body(temperature=-0.1), "temperature"),
    (body(temperature=2.1), "temperature"),
    (body(temperature=True), "temperature"),
    (body(top_p=1.5), "top_p"),
    (body(top_p=[0.5]), "top_p"),
    (body(max_tokens=0), "max_tokens"),
    (body(max_tokens=-5), "max_tokens"),
    (body(max_tokens=1.5), "max_tokens"),
    (body(max_tokens="100"), "max_tokens"),
    (body(max_completion_tokens={}), "max_completion_tokens"),
    (body(n=2), "n"),
    (body(n=0), "n"),
    (body(n="1"), "n"),
    (body(stop=5), "stop"),
    (body(stop=["a", 5]), "stop[1]"),
    (body(user=5), "user"),
    (body(user=["ada"]), "user"),
    (body(tools="clock"), "tools"),
    (body(tools={"clock": {}}), "tools"),
    (body(tools=["clock"]), "tools[0]"),
    (body(tools=[{"function": {"name": "clock"}}]), "tools[0].type"),
    (body(tools=[{"type": "retrieval"}]), "tools[0].type"),
    (body(tools=[{"type": "function"}]), "tools[0].function"),
    (body(tools=[TOOL, {"type": "function", "function": None}]), "tools[1].function"),
    (tool({}), "tools[0].function.name"),
    (tool({"name": None}), "tools[0].function.name"),
    (tool({"name": ""}), "tools[0].function.name"),
    (tool({"name": "what time is it"}), "tools[0].function.name"),
    (tool({"name": "x" * 65}), "tools[0].function.name"),
    (tool({"name": "clock", "parameters": "none"}), "tools[0].function.parameters"),
    (tool({"name": "clock", "description": ["The", "time"]}), "tools[0].function.description"),
    (tool({"name": "clock\n"}), "tools[0].function.name"),
    (body(tools=[TOOL], tool_choice="always"), "tool_choice"),
    (body(tools=[TOOL], tool_choice=5), "tool_choice"),
    (body(tools=[TOOL], tool_choice={"type": "function"}), "tool_choice.function"),
    (body(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "calendar"}}), "tool_choice"),
    (body(tool_choice={"type": "function", "function": {"name": "clock"}}), "tool_choice"),
    (body(parallel_tool_calls="no"), "parallel_tool_calls"),
    (body(functions=[{}]), "functions[0].name"),
    (body(functions=[{"name": "clock"}], function_call={"name": "calendar"}), "function_call"),
    (body(response_format="json"), "response_format"),
    (body(response_format={}), "response_format.type"),
    (body(response_format={"type": "xml"}), "response_format.type"),
    (body(response_format={"type": "json_schema", "json_schema": "{}"}), "response_format.json_schema"),
    (body(reasoning_effort=3), "reasoning_effort"),
    (body(logprobs="yes"), "logprobs"),
    (body(seed="lucky"), "seed"),
    (body(logit_bias=[1]), "logit_bias"),
]

# Bodies as bytes, and words that the message of their error has.
BROKEN: list[tuple[bytes, str]] = [
    (b"", "is empty"),
    (b"   \n", "JSON"),
    (b"{", "JSON"),
    (b"{]", "JSON"),
    (b'{"model": "coder",}', "JSON"),
    (b"model=coder&messages=Hi", "JSON"),
    (b"\xff\xfe\x00{", "JSON"),
    (b'{"model": "\xff\xfe", "messages": []}', "JSON"),
    (b'\xef\xbb\xbf{"model": "coder"}', "JSON"),
    (json.dumps(body()).encode("utf-16"), "JSON"),
    (json.dumps(body()).encode() + b"{}", "JSON"),
    (b'{"model": "coder", "messages": [{"role": "user", "content": "Hi"}], "temperature": NaN}', "JSON"),
    (b'{"model": "coder", "messages": [{"role": "user", "content": "Hi"}], "temperature": Infinity}', "JSON"),
    (b'{"model": "coder", "messages": [{"role": "user", "content": "Hi"}], "temperature": -Infinity}', "JSON"),
    (b'{"model": "\\ud800", "messages": []}', "JSON"),
    (b'{"model": "coder", "messages": [{"role": "user", "content": "\\udc00 lone"}]}', "JSON"),
    (b'{"model": "\\x41", "messages": []}', "JSON"),
    (b'{"model": "co\x01der", "messages": []}', "JSON"),
    (b'{"model": "coder", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    (b'{"model": "coder", "x": ' + b'{"y":' * 100_000 + b"1" + b"}" * 100_000 + b"}", "nested too deeply"),
    (b"[" * 100_000, "must be a JSON object"),
    (b"null", "must be a JSON object"),
    (b"[]", "must be a JSON object"),
    (b'"coder"', "must be a JSON object"),
    (b"42", "must be a JSON object"),
    (b"true", "must be a JSON object"),
]

# Numbers that no JSON library agrees on, at places where a number belongs, and the `param` of their error.
NUMBERS: list[tuple[str, bytes]] = [
    ("temperature", b"1e999"),
    ("temperature", b"1" + b"0" * 400),
    ("max_tokens", b"1e3"),
    ("max_tokens", b"9" * 30),
    ("max_tokens", b"9" * 5000),
    ("n", b"1" + b"0" * 100),
    ("top_logprobs", b"1e999"),
]


def sent(live: Live, content: bytes, content_type: str = "application/json") -> httpx2.Response:
    headers = {"content-type": content_type}
    return httpx2.post(url_of(live), content=content, headers=headers, timeout=TIMEOUT, verify=False)


def error_of(response: httpx2.Response, status: int = 400) -> dict[str, Any]:
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]
    error: dict[str, Any] = response.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) < 400, error["message"]
    assert "`" not in error["message"], "a library's words"
    return error


@pytest.fixture(autouse=True)
def nothing_reaches_the_provider(upstream: Upstream):
    yield
    assert [request for request in upstream.requests if request.messages[-1]["content"] != "OK?"] == []


def names(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)[:80]


@pytest.mark.parametrize(("request_body", "param"), FIELDS, ids=names)
def test_the_error_names_the_place(live: Live, request_body: dict[str, Any], param: str):
    error = error_of(sent(live, json.dumps(request_body).encode()))
    assert error["param"] == param
    assert error["code"]


@pytest.mark.parametrize(("content", "words"), BROKEN, ids=lambda value: repr(value)[:60])
def test_a_body_that_is_no_json_object_is_told_so(live: Live, content: bytes, words: str):
    error = error_of(sent(live, content))
    assert words in error["message"]
    assert error["param"] is None


@pytest.mark.parametrize(("field", "number"), NUMBERS, ids=lambda value: repr(value)[:30])
def test_an_extreme_number_is_refused_by_name(live: Live, field: str, number: bytes):
    content = json.dumps(body(**{field: "HERE"})).encode().replace(b'"HERE"', number)
    error = error_of(sent(live, content))
    assert error["param"] == field


@pytest.mark.parametrize(
    ("request_body", "param"),
    [
        (body(messages=5, padding="x" * 30 * MEGABYTE), "messages"),
        (image({"url": "data:image/png;base64," + "A" * (30 * MEGABYTE // 4 * 4 - 1) + "!"}), f"{PART}.image_url"),
        (said(*[USER] * 700_000, 5), "messages[700000]"),
    ],
    ids=["a field of 30 MB", "an image of 30 MB", "700000 messages"],
)
def test_a_long_body_is_refused_like_a_short_one(live: Live, request_body: dict[str, Any], param: str):
    content = json.dumps(request_body).encode()
    assert 20 * MEGABYTE < len(content) < 32 * MEGABYTE
    assert error_of(sent(live, content))["param"] == param


def test_a_body_over_the_limit_is_too_large(live: Live):
    content = json.dumps(body(padding="x" * 33 * MEGABYTE)).encode()
    error = error_of(sent(live, content), 413)
    assert str(32 * MEGABYTE) in error["message"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_another_content_type_is_told_what_is_expected(live: Live, content_type: str):
    error = error_of(sent(live, json.dumps(body()).encode(), content_type), 415)
    assert "application/json" in error["message"]


def test_of_duplicate_keys_the_last_wins(live: Live):
    content = b'{"model": "coder", "messages": [{"role": "user", "content": "Hi"}], "n": 1, "n": 2}'
    assert error_of(sent(live, content))["param"] == "n"


def test_duplicate_keys_are_no_error(live: Live, upstream: Upstream):
    upstream.says("Yes.")
    content = b'{"model": "none", "model": "coder", "messages": [{"role": "user", "content": "OK?"}]}'
    assert content_of(sent(live, content)) == "Yes."


def test_the_server_is_well_after_all_that(live: Live, upstream: Upstream):
    upstream.says("Yes.")
    assert content_of(ask(live, messages=[{"role": "user", "content": "OK?"}])) == "Yes."
    _, _, traceback = live.output.partition("Traceback")
    assert not traceback[:4000]
