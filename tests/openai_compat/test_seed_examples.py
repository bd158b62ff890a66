"""The examples of the product's description of its API, word for word: what is asked, and the shape of what comes."""

import json
import re
from typing import Any

from tests.live import Live
from tests.openai_compat import raw, strict
from tests.upstream import Call, Upstream, Usage, calls_many

REQUEST = b"""{
    "model": "openfang:coder",
    "messages": [
      {"role": "system", "content": "You are a helpful assistant."},
      {"role": "user", "content": "Hello!"}
    ],
    "stream": false,
    "temperature": 0.7,
    "max_tokens": 1024
  }"""

COMPLETION = """{
  "id": "chatcmpl-a1b2c3d4-e5f6-7890-abcd-ef1234567890",
  "object": "chat.completion",
  "created": 1705329600,
  "model": "coder",
  "choices": [
    {
      "index": 0,
      "message": {
        "role": "assistant",
        "content": "Hello! How can I help you today?"
      },
      "finish_reason": "stop"
    }
  ],
  "usage": {
    "prompt_tokens": 20,
    "completion_tokens": 9,
    "total_tokens": 29
  }
}"""

STREAM = """data: {"id":"chatcmpl-...","object":"chat.completion.chunk","created":1705329600,"model":"coder",\
"choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}

data: {"id":"chatcmpl-...","object":"chat.completion.chunk","created":1705329600,"model":"coder",\
"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}

data: {"id":"chatcmpl-...","object":"chat.completion.chunk","created":1705329600,"model":"coder",\
"choices":[{"index":0,"delta":{"content":"!"},"finish_reason":null}]}

data: {"id":"chatcmpl-...","object":"chat.completion.chunk","created":1705329600,"model":"coder",\
"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: [DONE]

"""

MODEL = """{
      "id": "openfang:coder",
      "object": "model",
      "created": 1705329600,
      "owned_by": "openfang"
    }"""

TOOL_CALL_CHOICE = r"""{
      "message": {
        "role": "assistant",
        "content": null,
        "tool_calls": [
          {
            "index": 0,
            "id": "call_abc123",
            "type": "function",
            "function": {
              "name": "web_search",
              "arguments": "{\"query\":\"quantum computing\"}"
            }
          }
        ]
      },
      "finish_reason": "tool_calls"
    }"""

TOOL_CALL_DELTAS = [
    r"""{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_abc123","type":"function","""
    r""""function":{"name":"web_search","arguments":""}}]}}]}""",
    r"""{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"query\""}}]}}]}""",
    r"""{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":\"quantum computing\"}"}}]}}]}""",
]

ERROR = """{"error": {"message": "No agent found for model 'openfang:gpt-4o'"}}"""

SEARCHES = calls_many(Call("web_search", ('{"query"', ':"quantum computing"}'), "call_abc123"))
WEB_SEARCH = [{"type": "function", "function": {"name": "web_search"}}]


def test_a_completion(live: Live, upstream: Upstream):
    upstream.says("Hello! How can I help you today?", usage=Usage(20, 9))
    answer = raw.send(live, "POST", "/v1/chat/completions", REQUEST)
    assert answer.status == 200
    body, example = answer.json(), json.loads(COMPLETION)
    strict.completion(body)
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", body["id"])
    assert list(body) == list(example)
    assert list(body["choices"][0]) == list(example["choices"][0])
    assert list(body["usage"])[:3] == list(example["usage"])
    assert without(body, "id", "created", "usage") == without(example, "id", "created", "usage")
    assert example["usage"].items() <= body["usage"].items()
    assert upstream.asked[0]["messages"] == [
        {"role": "system", "content": "You write code.\n\nYou are a helpful assistant."},
        {"role": "user", "content": "Hello!"},
    ]


def test_a_stream(live: Live, upstream: Upstream):
    upstream.says(["Hello", "!"])
    request = REQUEST.replace(b'"stream": false', b'"stream": true')
    answer = raw.send(live, "POST", "/v1/chat/completions", request)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    for chunk in answer.chunks():
        strict.chunk(chunk)
    one = answer.chunks()[0]
    said = answer.body.decode().replace(one["id"], "chatcmpl-...").replace(str(one["created"]), "1705329600")
    assert said == STREAM


def test_a_model(live: Live):
    answer = raw.send(live, "GET", "/v1/models")
    assert answer.status == 200
    body, example = answer.json(), json.loads(MODEL)
    strict.model_list(answer.body)
    coder = body["data"][0]
    assert list(coder)[:4] == list(example)
    assert without(example, "created").items() <= coder.items()


def test_a_tool_call(live: Live, upstream: Upstream):
    upstream.turns(SEARCHES)
    body = raw.chat(live, tools=WEB_SEARCH).json()
    strict.completion(body)
    choice, example = body["choices"][0], json.loads(TOOL_CALL_CHOICE)
    [call] = choice["message"]["tool_calls"]
    assert list(call) == list(example["message"]["tool_calls"][0])
    assert call["id"].startswith("call_")
    call["id"] = "call_abc123"
    assert choice == {"index": 0, **example}
    assert list(choice["message"]) == list(example["message"])


def test_a_streamed_tool_call(live: Live, upstream: Upstream):
    upstream.turns(SEARCHES)
    chunks = raw.chat(live, tools=WEB_SEARCH, stream=True).chunks()
    for chunk in chunks:
        strict.chunk(chunk)
    role, *deltas, last = [chunk["choices"][0] for chunk in chunks]
    first = deltas[0]["delta"]["tool_calls"][0]
    assert first["id"].startswith("call_")
    first["id"] = "call_abc123"
    assert role["delta"] == {"role": "assistant"}
    assert [json.dumps(choice["delta"]) for choice in deltas] == [
        json.dumps(json.loads(example)["choices"][0]["delta"]) for example in TOOL_CALL_DELTAS
    ]
    assert last == {"index": 0, "delta": {}, "finish_reason": "tool_calls"}


def test_no_agent(live: Live):
    answer = raw.chat(live, model="openfang:gpt-4o")
    assert answer.status == 404
    strict.error(answer.json())
    assert json.loads(ERROR)["error"].items() <= answer.json()["error"].items()


def without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}
