"""What a provider attaches to a turn goes back to it with the turn, and to no other provider."""

from typing import Any

import pytest

from agents.providers import Providers
from agents.providers.attachments import MessageFields, merged
from agents.providers.attempts import ask as attempt
from agents.types import (
    FROM_CLIENT,
    Attachment,
    FunctionCall,
    Message,
    ModelRequest,
    ModelSpec,
    ProviderSpec,
    ToolCall,
)
from tests.agents.provider_parts import heard
from tests.live import Live
from tests.live.asking import ask, content_of, events_of
from tests.upstream import DONE, Call, Step, Upstream, calls_many, chunk, fails, junk, says

TOOLS = [{"type": "function", "function": {"name": "look"}}]
SIGNED: dict[str, Any] = {"extra_content": {"google": {"thought_signature": "c2ln"}}}


def acts(*deltas: dict[str, Any], name: str = "calculator", **extra: Any) -> Step:
    """A turn that says something and calls a tool."""
    arguments = '{"expression": "6*7"}'
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": name, "arguments": arguments}, **extra}
    return junk([*map(chunk, deltas), chunk({"tool_calls": [call]}), chunk({}, "tool_calls"), DONE])


def turn_of(request: dict[str, Any]) -> dict[str, Any]:
    """The last turn of the model in a conversation, without its text and calls."""
    turn = [message for message in request["messages"] if message["role"] == "assistant"][-1]
    return {name: value for name, value in turn.items() if name not in ("role", "tool_calls")}


CARRIERS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "reasoning_content (DeepSeek, Kimi)": (
        [{"reasoning_content": "Let me"}, {"reasoning_content": " think."}],
        {"reasoning_content": "Let me think."},
    ),
    "reasoning (Groq, Cerebras)": ([{"reasoning": "Let me"}, {"reasoning": " think."}], {"reasoning": "Let me think."}),
    "reasoning_details (OpenRouter)": (
        [
            {
                "reasoning": "Let me",
                "reasoning_details": [{"type": "reasoning.text", "text": "Let me", "format": "x", "index": 0}],
            },
            {
                "reasoning": " think.",
                "reasoning_details": [{"type": "reasoning.text", "text": " think.", "format": "x", "index": 0}],
            },
            {"reasoning_details": [{"type": "reasoning.text", "signature": "sig", "format": "x", "index": 0}]},
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "blob", "id": "rs_1", "index": 0}]},
        ],
        {
            "reasoning": "Let me think.",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "Let me think.", "format": "x", "index": 0, "signature": "sig"},
                {"type": "reasoning.encrypted", "data": "blob", "id": "rs_1", "index": 0},
            ],
        },
    ),
    "thinking_blocks (LiteLLM)": (
        [
            {"thinking_blocks": [{"type": "thinking", "thinking": "Let me"}]},
            {"thinking_blocks": [{"type": "thinking", "thinking": " think."}]},
            {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "sig"}]},
        ],
        {"thinking_blocks": [{"type": "thinking", "thinking": "Let me think.", "signature": "sig"}]},
    ),
    "extra_content of the message (Gemini)": ([SIGNED], SIGNED),
    "an unknown field": (
        [{"x_blob": {"state": "a"}}, {"x_blob": {"more": [1]}}],
        {"x_blob": {"state": "a", "more": [1]}},
    ),
}


@pytest.mark.parametrize("name", CARRIERS)
def test_the_next_call_of_the_loop_returns_it(live: Live, upstream: Upstream, name: str):
    deltas, expected = CARRIERS[name]
    upstream.turns(acts(*deltas), says("42."))
    assert content_of(ask(live, "handy")).endswith("42.")
    assert turn_of(upstream.asked[1]) == {"content": None, **expected}


def test_thoughts_in_parts_of_the_content_go_back_in_them(live: Live, upstream: Upstream):
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "Let me think."}]}]
    upstream.turns(acts({"content": thinking}, {"content": "Well."}), says("42."))
    message = ask(live, "handy").json()["choices"][0]["message"]
    assert message["reasoning_content"] == "Let me think."
    assert turn_of(upstream.asked[1]) == {"content": [*thinking, {"type": "text", "text": "Well."}]}


def test_what_is_attached_to_a_servers_call_goes_back_with_it(live: Live, upstream: Upstream):
    upstream.turns(acts(**SIGNED), says("42."))
    shown = ask(live, "handy").json()["choices"][0]["message"]["tool_calls"][0]
    assert "extra_content" not in shown
    [call] = upstream.asked[1]["messages"][-2]["tool_calls"]
    assert call["extra_content"] == SIGNED["extra_content"]


@pytest.mark.parametrize("echoes", [True, False])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "extra", [SIGNED, {"function": {"thought_signature": "c2ln"}}, {"provider_specific_fields": {"s": 1}}]
)
def test_a_clients_call_has_it_and_gets_it_back(
    live: Live, upstream: Upstream, stream: bool, echoes: bool, extra: dict[str, Any]
):
    attached = dict(extra)
    step = acts(name="look", **{name: value for name, value in attached.items() if name != "function"})
    call: dict[str, Any]
    if function := attached.get("function"):
        call = {"index": 0, "id": "a", "function": {"name": "look", "arguments": "{}", **function}}
        step = junk([chunk({"tool_calls": [call]}), chunk({}, "tool_calls"), DONE])
    upstream.turns(step, says("Good."))
    response = ask(live, tools=TOOLS, stream=stream)
    if stream:
        [first, *_] = [
            call for event in events_of(response) for call in event["choices"][0]["delta"].get("tool_calls", ())
        ]
        call = {**first, "function": {**first["function"], "arguments": '{"expression": "6*7"}'}}
    else:
        [call] = response.json()["choices"][0]["message"]["tool_calls"]
    seen = call["function"] if function else call
    expected = function or attached
    assert {name: seen[name] for name in expected} == expected
    if not echoes:
        bare = {name: call["function"][name] for name in ("name", "arguments")}
        call = {"id": call["id"], "type": "function", "function": bare}
    messages = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "Seen."},
    ]
    assert content_of(ask(live, messages=messages, tools=TOOLS)) == "Good."
    [returned] = upstream.asked[1]["messages"][-2]["tool_calls"]
    place = returned["function"] if function else returned
    assert {name: place[name] for name in expected} == expected


def test_thoughts_that_a_client_drops_are_restored_by_its_call(live: Live, upstream: Upstream):
    upstream.turns(acts({"reasoning_content": "Let me think."}, name="look"), says("Good."))
    [call] = ask(live, tools=TOOLS).json()["choices"][0]["message"]["tool_calls"]
    messages = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "Seen."},
    ]
    assert content_of(ask(live, messages=messages, tools=TOOLS)) == "Good."
    assert turn_of(upstream.asked[1]) == {"content": None, "reasoning_content": "Let me think."}


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_what_a_client_sends_back_is_passed_on(live: Live, upstream: Upstream, field: str):
    upstream.says("Good.")
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello", field: "Let me think."},
        {"role": "user", "content": "And?"},
    ]
    assert content_of(ask(live, messages=messages)) == "Good."
    assert turn_of(upstream.asked[0]) == {"content": "Hello", "reasoning_content": "Let me think."}


@pytest.mark.parametrize("odd", [None, "", 7, {"a": 1}, ["x"]])
def test_what_is_of_an_odd_type_is_left_out(live: Live, upstream: Upstream, odd: object):
    upstream.says("Good.")
    assistant = {"role": "assistant", "content": "Hello", "reasoning_content": odd, "reasoning": odd}
    messages = [{"role": "user", "content": "Hi"}, assistant, {"role": "user", "content": "And?"}]
    assert content_of(ask(live, messages=messages)) == "Good."
    assert turn_of(upstream.asked[0]) == {"content": "Hello"}


def test_a_continued_run_returns_it(live: Live, upstream: Upstream):
    both = [
        {"index": 0, "id": "a", "function": {"name": "calculator", "arguments": '{"expression": "6*7"}'}},
        {"index": 1, "id": "b", "function": {"name": "look", "arguments": "{}"}, **SIGNED},
    ]
    thought = chunk({"reasoning_content": "Let me think."})
    upstream.turns(junk([thought, chunk({"tool_calls": both}), chunk({}, "tool_calls"), DONE]), says("Good."))
    message = ask(live, "handy", tools=TOOLS).json()["choices"][0]["message"]
    [call] = message["tool_calls"]
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [{**call, "extra_content": None}]},
        {"role": "tool", "tool_call_id": call["id"], "content": "Seen."},
    ]
    assert content_of(ask(live, "handy", messages=messages, tools=TOOLS)) == "Good."
    assert turn_of(upstream.asked[1])["reasoning_content"] == "Let me think."
    turn = next(message for message in upstream.asked[1]["messages"] if message.get("tool_calls"))
    assert [one["function"]["name"] for one in turn["tool_calls"]] == ["calculator", "look"]
    assert turn["tool_calls"][1]["extra_content"] == SIGNED["extra_content"]


def test_a_run_that_is_taken_up_again_returns_it(live: Live, upstream: Upstream):
    upstream.turns(acts({"reasoning_content": "Let me think."}), fails(400), says("42."))
    question = [{"role": "user", "content": "What is six times seven, once more?"}]
    assert ask(live, "handy", messages=question).status_code == 400
    assert content_of(ask(live, "handy", messages=question)) == "42."
    assert turn_of(upstream.asked[2]) == {"content": None, "reasoning_content": "Let me think."}


def provider(name: str, upstream: Upstream) -> ProviderSpec:
    return ProviderSpec(name, name.title(), "openai", upstream.base_url)


async def test_a_fallback_gets_nothing_that_another_provider_attached(upstream: Upstream):
    upstream.model("first").turns(fails(401))
    upstream.model("second").says("Hello")
    call = ToolCall("c", FunctionCall("look", "{}"))
    mine, others = Attachment({"reasoning_content": "mine"}, {"c": SIGNED}), Attachment({"x": 1}, {"c": {"x": 1}})
    messages = [
        Message("user", "Hi"),
        Message("assistant", None, tool_calls=[call], attached={"one": mine, "two": others}),
        Message("tool", "Seen.", tool_call_id="c"),
        Message("assistant", "So.", attached={FROM_CLIENT: Attachment({"reasoning_content": "echo"})}),
        Message("user", "And?"),
    ]
    models = ModelSpec("first", provider("one", upstream)), ModelSpec("second", provider("two", upstream))
    providers = Providers(idle_seconds=30)
    async for _ in attempt(providers, models, ModelRequest(messages, deadline=1e12)):
        pass
    await providers.aclose()
    first, second = [[m for m in asked["messages"] if m["role"] == "assistant"] for asked in upstream.asked]
    bare = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    assert first == [
        {"role": "assistant", "content": None, "tool_calls": [bare | SIGNED], "reasoning_content": "mine"},
        {"role": "assistant", "content": "So.", "reasoning_content": "echo"},
    ]
    assert second == [
        {"role": "assistant", "content": None, "tool_calls": [bare | {"x": 1}], "x": 1},
        {"role": "assistant", "content": "So."},
    ]


UNSUPPORTED = "property 'reasoning_content' is unsupported"
ECHO = [
    Message("user", "Hi"),
    Message("assistant", "So.", attached={FROM_CLIENT: Attachment({"reasoning_content": "echo"})}),
    Message("user", "And?"),
]


@pytest.mark.parametrize(
    "body",
    [
        {
            "error": {
                "message": f"'messages.1' : for 'role:assistant' must be satisfied[('messages.1' : {UNSUPPORTED})]"
            }
        },
        {"message": f"messages.1.assistant.reasoning_content: {UNSUPPORTED}", "param": "validation_error"},
        {"error": {"message": "Unknown parameter.", "param": "messages[1].reasoning_content"}},
        {"detail": [{"loc": ["body", "messages", 1, "reasoning_content"], "msg": "Extra inputs are not permitted"}]},
    ],
)
async def test_a_strict_host_is_not_sent_it_again(upstream: Upstream, body: dict[str, Any]):
    upstream.turns(fails(422, body), says("Hello"), says("Hello"))
    providers = Providers(idle_seconds=30)
    for _ in range(2):
        assert (await heard(upstream, messages=ECHO, providers=providers)).text == "Hello"
    await providers.aclose()
    assert ["reasoning_content" in turn_of(asked) for asked in upstream.asked] == [True, False, False]


async def test_thoughts_go_back_under_the_name_that_the_model_has_for_them(upstream: Upstream):
    upstream.turns(says("Hello", reasoning="Hm.").but(reasoning_key="reasoning"), says("Hello"))
    providers = Providers(idle_seconds=30)
    for _ in range(2):
        await heard(upstream, messages=ECHO, providers=providers)
    await providers.aclose()
    assert turn_of(upstream.asked[1]) == {"content": "So.", "reasoning": "echo"}


CALLED = [
    Message("user", "Hi"),
    Message("assistant", None, tool_calls=[ToolCall("c", FunctionCall("look", "{}"))]),
    Message("tool", "Seen.", tool_call_id="c"),
]


@pytest.mark.parametrize(
    "message",
    [
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index 1",
        "The `reasoning_content` in the thinking mode must be passed back to the API.",
        "Missing `reasoning_content` field in the assistant message at message index 1.",
    ],
)
async def test_a_turn_that_nobody_remembers_the_thoughts_of_has_empty_ones(upstream: Upstream, message: str):
    upstream.turns(fails(400, {"error": {"message": message}}), says("Hello"))
    assert (await heard(upstream, messages=CALLED)).text == "Hello"
    assert turn_of(upstream.asked[1]) == {"content": None, "reasoning_content": ""}


async def test_a_call_that_nobody_remembers_the_signature_of_says_so(upstream: Upstream):
    message = "Function call is missing a thought_signature in functionCall parts."
    upstream.turns(fails(400, {"error": {"message": message, "code": 400}}), says("Hello"))
    assert (await heard(upstream, messages=CALLED)).text == "Hello"
    [call] = upstream.asked[1]["messages"][1]["tool_calls"]
    assert call["extra_content"] == {"google": {"thought_signature": "skip_thought_signature_validator"}}


def test_pieces_of_a_list_are_put_together_by_their_index_or_their_kind():
    text = {"type": "text", "text": "a"}
    assert merged([text], [{"type": "text", "text": "b"}]) == [{"type": "text", "text": "ab"}]
    assert merged([{"type": "x", "data": "a"}], [{"type": "x", "data": "b"}]) == [
        {"type": "x", "data": "a"},
        {"type": "x", "data": "b"},
    ]
    assert merged([{"index": 0, "text": "a"}, {"index": 1, "text": "b"}], [{"index": 0, "text": "c"}]) == [
        {"index": 0, "text": "ac"},
        {"index": 1, "text": "b"},
    ]
    assert merged(["a"], ["b"]) == ["a", "b"]


@pytest.mark.parametrize("levels", [100, 450, 900])
def test_what_is_nested_without_end_is_left_out(live: Live, upstream: Upstream, levels: int):
    deep: Any = []
    for _ in range(levels):
        deep = [deep]
    upstream.turns(acts({"x_blob": deep, "reasoning_content": "Hm."}, x_blob=deep), says("42."))
    assert content_of(ask(live, "handy")).endswith("42.")
    assert turn_of(upstream.asked[1]) == {"content": None, "reasoning_content": "Hm."}


@pytest.mark.parametrize("field", ["role", "content", "refusal", "annotations", "audio", "tool_calls", "function_call"])
def test_what_is_openais_is_no_attachment(field: str):
    fields = MessageFields()
    fields.read({field: "x", "nothing": None, "empty": "", "list": []})
    assert fields.collected() is None


def test_a_turn_without_attachments_is_sent_as_before(live: Live, upstream: Upstream):
    upstream.turns(calls_many(Call("calculator", '{"expression": "6*7"}')), says("42."))
    ask(live, "handy")
    assert turn_of(upstream.asked[1]) == {"content": None}
    assert all("attached" not in message for message in upstream.asked[1]["messages"])
