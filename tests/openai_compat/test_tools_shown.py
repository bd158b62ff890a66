"""What clients see of the tools that the server runs, streamed and whole, read with the official package."""

import uuid
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.agents.acting import asking, asks, asks_all
from tests.openai_compat import strict
from tests.openai_compat.examples import HELLO, WEATHER
from tests.upstream import Answer, Call, CallStyle, Upstream, call, calls_many, says

STYLES = [
    pytest.param(CallStyle(), id="OpenAI's"),
    pytest.param(CallStyle(whole=True), id="whole"),
    pytest.param(CallStyle(interleaved=True), id="interleaved"),
    pytest.param(CallStyle(repeat_id=True, repeat_name=True), id="repeating"),
    pytest.param(CallStyle(index=False), id="without indexes"),
]
LINES = [
    '[agent_ask {"agent": "nobody", "question": "1?"}]',
    '[agent_ask {"agent": "nobody", "question": "2?"}]',
    '[agent_ask {"agent": "nobody", "question": "3?"}]',
]


def two_turns(style: CallStyle | None = None) -> tuple[Answer, ...]:
    """Two calls at once, one more, and the answer. Their ids are the provider's, and all the same."""
    first = calls_many(
        Call("agent_ask", '{"agent": "nobody", "question": "1?"}', id="a"),
        Call("agent_ask", '{"agent": "nobody", "question": "2?"}', id="b"),
        text="Two. ",
        style=style or CallStyle(),
    )
    second = calls_many(Call("agent_ask", '{"agent": "nobody", "question": "3?"}', id="a"), text="One. ")
    return first, second, says("Done.")


def asked(client: openai.OpenAI, *, stream: bool, model: str = "handy", **fields: Any) -> ChatCompletion:
    """Ask and return the whole answer; a stream is put together by the package's own helper."""
    if not stream:
        return strict.completion(client.chat.completions.create(model=model, messages=HELLO, **fields))
    with client.chat.completions.stream(model=model, messages=HELLO, **fields) as events:
        for _ in events:
            pass
        return events.get_final_completion()


def parts(completion: ChatCompletion) -> tuple[str | None, str | None, list[tuple[str, str]], str]:
    """Text, reasoning, calls and finish reason; ids and indexes are looked at on the way."""
    [choice] = completion.choices
    shown = choice.message.tool_calls or []
    assert len({one.id for one in shown}) == len(shown)
    assert all(one.id.startswith("call_") and one.type == "function" for one in shown)
    assert [(one.model_extra or {}).get("index", getattr(one, "index", None)) for one in shown] == list(
        range(len(shown))
    )
    made = [(one.function.name, one.function.arguments) for one in shown if one.type == "function"]
    reasoning = (choice.message.model_extra or {}).get("reasoning_content")
    return choice.message.content, reasoning, made, choice.finish_reason


EXECUTED = [("agent_ask", line.removeprefix("[agent_ask ").removesuffix("]")) for line in LINES]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_executed_calls_are_tool_calls_with_ids_and_indexes_of_the_whole_answer(
    client: openai.OpenAI, upstream: Upstream, stream: bool, style: CallStyle
):
    upstream.turns(*two_turns(style))
    assert parts(asked(client, stream=stream)) == ("Two. One. Done.", None, EXECUTED, "stop")


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_with_tools_of_its_own_reads_them_as_reasoning(
    client: openai.OpenAI, upstream: Upstream, stream: bool
):
    upstream.turns(*two_turns())
    text, reasoning, made, finish = parts(asked(client, stream=stream, tools=[WEATHER]))
    assert (text, (reasoning or "").splitlines(), made, finish) == ("Two. One. Done.", LINES, [], "stop")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("tools", [[], [WEATHER]], ids=["no tools", "with tools"])
@pytest.mark.parametrize(
    ("model", "lines", "calls"),
    [("showing", [], EXECUTED), ("thinking", LINES, []), ("hiding", [], [])],
)
def test_an_agent_may_be_set_to_one_way(
    client: openai.OpenAI, upstream: Upstream, *, stream: bool, model: str, lines: list[str], calls: Any, tools: Any
):
    upstream.turns(*two_turns())
    text, reasoning, made, finish = parts(
        asked(client, stream=stream, model=model, **({"tools": tools} if tools else {}))
    )
    assert (text, (reasoning or "").splitlines(), made, finish) == ("Two. One. Done.", lines, calls, "stop")


@pytest.mark.parametrize("stream", [False, True])
def test_the_clients_calls_are_counted_from_zero_where_the_servers_are_not_shown(
    client: openai.OpenAI, upstream: Upstream, stream: bool
):
    upstream.turns(asks("nobody", "1?"), asks_all(asking("nobody", "2?"), call("get_weather", city="Bonn")))
    text, reasoning, made, finish = parts(asked(client, stream=stream, tools=[WEATHER]))
    assert (text, (reasoning or "").splitlines(), finish) == (None, LINES[:2], "tool_calls")
    assert made == [("get_weather", '{"city": "Bonn"}')]


def test_long_arguments_are_cut_in_reasoning(client: openai.OpenAI, upstream: Upstream):
    upstream.turns(asks("nobody", "x" * 1000), says("Done."))
    _, reasoning, _, _ = parts(asked(client, stream=False, tools=[WEATHER]))
    start = '[agent_ask {"agent": "nobody", "question": "'
    assert reasoning == start + "x" * (200 + len("[agent_ask ") - len(start)) + "…]\n"


def test_the_models_own_reasoning_stands_beside_it(client: openai.OpenAI, upstream: Upstream):
    upstream.turns(asks("nobody", "1?").but(reasoning=("Whom ", "to ask? ")), says("Done.", reasoning="Nobody. "))
    _, reasoning, _, _ = parts(asked(client, stream=True, model="thinking"))
    assert reasoning == f"Whom to ask? {LINES[0]}\nNobody. "


def test_ids_of_two_answers_differ(client: openai.OpenAI, upstream: Upstream):
    upstream.turns(*two_turns(), *two_turns())
    ids = [one.id for _ in range(2) for one in asked(client, stream=True).choices[0].message.tool_calls or ()]
    assert len(set(ids)) == 6
    assert {len(uuid.UUID(one.split("_")[1]).hex) for one in ids} == {32}
