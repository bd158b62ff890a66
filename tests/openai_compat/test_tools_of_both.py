"""Client tools and server tools in one run: who executes what, how the run goes on, what is demanded of the model."""

from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.agents.acting import answers_every_call, asking, asks, asks_all, offered, results, turns_of
from tests.live import Live
from tests.openai_compat import raw, strict
from tests.openai_compat.examples import HELLO, WEATHER
from tests.openai_compat.rows import row_of
from tests.upstream import Upstream, call, calls, says

AGENT_ASK: Any = {"type": "function", "function": {"name": "agent_ask", "parameters": {"type": "object"}}}
NAMED: Any = {"type": "function", "function": {"name": "get_weather"}}


def called(answer: ChatCompletion) -> list[str]:
    return [one.function.name for one in answer.choices[0].message.tool_calls or () if one.type == "function"]


def goes_on(client: openai.OpenAI, answer: Any, *said: str, **fields: Any) -> Any:
    """Send the results of the client's calls behind the message that made them, as every client does."""
    message = answer.choices[0].message
    answered = [
        {"role": "tool", "tool_call_id": one.id, "content": text}
        for one, text in zip(message.tool_calls, said, strict=True)
    ]
    messages = [*HELLO, message.to_dict(), *answered]
    return client.chat.completions.create(model="handy", messages=messages, tools=[WEATHER], **fields)


def test_the_model_is_offered_the_tools_of_both(client: openai.OpenAI, upstream: Upstream):
    upstream.says("Hello.")
    client.chat.completions.create(model="steward", messages=HELLO, tools=[WEATHER])
    assert offered(upstream.requests[0]) == ["agent_ask", "get_weather"]
    assert upstream.asked[0]["tools"][1] == WEATHER


def test_a_turn_that_calls_both_executes_the_servers_and_ends_with_the_clients(
    client: openai.OpenAI, upstream: Upstream, live: Live
):
    upstream.turns(asks_all(call("get_weather", city="Bonn"), asking("expert", "Is it wet?"), text="Let me see."))
    upstream.model("expert-model").says("It is wet.")
    answer = strict.completion(client.chat.completions.create(model="handy", messages=HELLO, tools=[WEATHER]))
    [choice] = answer.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me see.")
    assert called(answer) == ["get_weather"]
    assert len(upstream.requests) == 2

    upstream.says("Wet in Bonn.")
    last = goes_on(client, answer, "Rain")
    assert last.choices[0].message.content == "Wet in Bonn."
    assert turns_of(upstream.requests[-1]) == [
        ("user", "Hello!"),
        ("assistant", ["get_weather", "agent_ask"]),
        ("tool", "It is wet."),
        ("tool", "Rain"),
    ]
    assert answers_every_call(upstream.requests[-1].messages)
    assert [request.model for request in upstream.requests].count("expert-model") == 1
    rows = [row_of(live, one.id) for one in (answer, last)]
    assert [(row["llm_calls"], row["tool_calls"], row["finish_reason"]) for row in rows] == [
        (1, 1, "tool_calls"),
        (1, 0, "stop"),
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_server_turns_before_the_clients_call_are_not_forgotten(
    client: openai.OpenAI, upstream: Upstream, stream: bool
):
    upstream.model("expert-model").says("It is wet.")
    upstream.turns(asks("expert", "Is it wet?"), calls("get_weather", city="Bonn"))
    with client.chat.completions.stream(model="handy", messages=HELLO, tools=[WEATHER]) as events:
        events.until_done()
        answer = events.get_final_completion()
    upstream.says("Wet in Bonn.")
    last = goes_on(client, answer, "Rain", stream=stream)
    text = "".join(c.choices[0].delta.content or "" for c in last) if stream else last.choices[0].message.content
    assert text == "Wet in Bonn."
    assert turns_of(upstream.requests[-1]) == [
        ("user", "Hello!"),
        ("assistant", ["agent_ask"]),
        ("tool", "It is wet."),
        ("assistant", ["get_weather"]),
        ("tool", "Rain"),
    ]


def test_a_run_that_is_gone_on_with_twice_keeps_all_of_it(client: openai.OpenAI, upstream: Upstream):
    messages: list[Any] = [*HELLO]
    upstream.model("expert-model").turns(says("Wet."), says("Cold."))
    for question, city in (("Wet?", "Bonn"), ("Cold?", "Kiel")):
        upstream.turns(asks("expert", question), calls("get_weather", city=city))
        answer = client.chat.completions.create(model="handy", messages=messages, tools=[WEATHER])
        [shown] = answer.choices[0].message.tool_calls or []
        messages.append(answer.choices[0].message.to_dict())
        messages.append({"role": "tool", "tool_call_id": shown.id, "content": f"Weather of {city}"})
    upstream.says("Done.")
    client.chat.completions.create(model="handy", messages=messages, tools=[WEATHER])
    assert results(upstream.requests[-1]) == ["Wet.", "Weather of Bonn", "Cold.", "Weather of Kiel"]
    assert answers_every_call(upstream.requests[-1].messages)


def test_calls_that_the_server_executed_come_back_with_their_results(client: openai.OpenAI, upstream: Upstream):
    """The chat of a client without tools: it sends the executed calls back, without results or with made-up ones."""
    upstream.model("expert-model").says("It is wet.")
    upstream.turns(asks("expert", "Is it wet?"), says("Yes, it is wet."), says("Sure."), says("Quite."))
    message = client.chat.completions.create(model="handy", messages=HELLO).choices[0].message
    [shown] = message.tool_calls or []
    made_up = {"role": "tool", "tool_call_id": shown.id, "content": "unknown tool"}
    for history in ([message.to_dict()], [message.to_dict(), made_up]):
        messages: Any = [*HELLO, *history, {"role": "user", "content": "Sure?"}]
        client.chat.completions.create(model="handy", messages=messages)
        assert turns_of(upstream.requests[-1]) == [
            ("user", "Hello!"),
            ("assistant", ["agent_ask"]),
            ("tool", "It is wet."),
            ("assistant", "Yes, it is wet."),
            ("user", "Sure?"),
        ]


def test_a_tool_of_the_same_name_stays_the_clients(client: openai.OpenAI, upstream: Upstream):
    upstream.model("expert-model").says("It is wet.")
    upstream.turns(calls("openfang_agent_ask", agent="expert", question="Wet?"), calls("agent_ask", whom="the person"))
    answer = client.chat.completions.create(model="steward", messages=HELLO, tools=[AGENT_ASK])
    assert offered(upstream.requests[0]) == ["openfang_agent_ask", "agent_ask"]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert called(answer) == ["agent_ask"]
    assert (answer.choices[0].message.model_extra or {})["reasoning_content"].startswith("[openfang_agent_ask ")
    assert results(upstream.requests[-1]) == ["It is wet."]


def test_a_choice_of_none_hides_only_the_clients_tools(client: openai.OpenAI, upstream: Upstream):
    upstream.turns(asks("nobody", "?"), says("No."))
    client.chat.completions.create(model="steward", messages=HELLO, tools=[WEATHER], tool_choice="none")
    assert [offered(request) for request in upstream.requests] == [["agent_ask"]] * 2
    assert not any("tool_choice" in body for body in upstream.asked)


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
def test_a_demand_is_met_by_the_clients_tools_alone(client: openai.OpenAI, upstream: Upstream, choice: Any):
    upstream.turns(calls("get_weather", city="Bonn"))
    client.chat.completions.create(model="steward", messages=HELLO, tools=[WEATHER], tool_choice=choice)
    assert offered(upstream.requests[0]) == ["get_weather"]
    assert upstream.asked[0]["tool_choice"] == choice


def test_a_choice_governs_the_first_call_only(client: openai.OpenAI, upstream: Upstream):
    upstream.turns(asks("nobody", "?"), says("No."))
    client.chat.completions.create(
        model="steward", messages=HELLO, tools=[WEATHER], tool_choice="auto", parallel_tool_calls=False
    )
    assert [body.get("tool_choice") for body in upstream.asked] == ["auto", None]
    assert [body.get("parallel_tool_calls") for body in upstream.asked] == [False, False]


def test_a_call_that_was_cut_by_the_models_limit_is_not_passed_off_as_whole(client: openai.OpenAI, upstream: Upstream):
    upstream.turns(calls("get_weather", city="Bonn").but(finish="length"))
    answer = client.chat.completions.create(model="handy", messages=HELLO, tools=[WEATHER])
    assert answer.choices[0].finish_reason == "length"


def test_a_provider_that_says_stop_beside_a_call_is_put_right(client: openai.OpenAI, upstream: Upstream):
    upstream.turns(calls("get_weather", city="Bonn").but(finish="stop"))
    answer = client.chat.completions.create(model="handy", messages=HELLO, tools=[WEATHER])
    assert answer.choices[0].finish_reason == "tool_calls"


def test_a_model_that_takes_no_tools_is_given_none(live: Live, upstream: Upstream):
    upstream.says("Without tools.")
    answer = raw.chat(live, model="bare", tools=[WEATHER])
    assert answer.headers["x-openfang-ignored"] == "tools"
    assert strict.completion(answer.body).choices[0].message.content == "Without tools."
    assert "tools" not in upstream.asked[0]
    assert "tool_choice" not in upstream.asked[0]


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
def test_of_a_model_that_takes_no_tools_none_can_be_required(live: Live, upstream: Upstream, choice: Any):
    answer = raw.chat(live, model="bare", tools=[WEATHER], tool_choice=choice)
    assert answer.status == 400
    failure = strict.error(answer.body)
    assert (failure.param, failure.code) == ("tool_choice", "unsupported_tools")
    assert not upstream.requests
