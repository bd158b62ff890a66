"""A conversation that outgrows the model's context loses its oldest tool results first, and says so."""

from agents.shedding import REMOVED, shed_oldest_results
from agents.types import Message
from tests.agents.acting import asks, results
from tests.live import Live
from tests.live.asking import ask, content_of, row_of, somebody
from tests.upstream import Upstream, fails, says
from tests.upstream.wire import error

TOO_LONG = fails(400, error("Too long.", "invalid_request_error", code="context_length_exceeded"))


def test_the_oldest_results_go_first_until_the_rest_fits(live: Live, upstream: Upstream):
    upstream.model("expert-model").turns(*(says(f"Answer {number}.") for number in range(3)))
    upstream.model("steward-model").turns(
        *(asks("expert", f"{number}?") for number in range(3)), TOO_LONG, TOO_LONG, says("It fits.")
    )
    response = ask(live, "steward")
    assert content_of(response) == "It fits."
    assert response.json()["choices"][0]["finish_reason"] == "stop"
    assert [results(request) for request in upstream.requests[-3:]] == [
        ["Answer 0.", "Answer 1.", "Answer 2."],
        [REMOVED, REMOVED, "Answer 2."],
        [REMOVED, REMOVED, REMOVED],
    ]
    codes = [step["error_code"] for step in live.steps(row_of(live, response)["id"]) if step["kind"] == "llm"]
    assert codes == ["", "", "", "context_length_exceeded", "context_length_exceeded", ""]


def test_making_room_costs_no_llm_call(live: Live, upstream: Upstream):
    upstream.turns(asks("nobody", "1?"), TOO_LONG, asks("nobody", "2?"), TOO_LONG, asks("nobody", "3?"), says("So."))
    response = ask(live, "handy")
    assert content_of(response) == "So."
    assert [bool(request.body.get("tools")) for request in upstream.requests] == [True] * 5 + [False]


def test_a_conversation_without_results_is_refused_with_the_code_that_clients_know(live: Live, upstream: Upstream):
    upstream.turns(TOO_LONG)
    response = ask(live, "handy")
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"


def test_when_nothing_is_left_to_remove_the_run_fails(live: Live, upstream: Upstream):
    upstream.turns(asks("nobody", "?"), TOO_LONG, TOO_LONG)
    response = ask(live, "handy", user=somebody())
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"


def test_results_that_the_client_sent_are_removed_too(live: Live, upstream: Upstream):
    calls = [{"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    history = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "Much. " * 100},
    ]
    tools = [{"type": "function", "function": {"name": "look"}}]
    upstream.turns(TOO_LONG, says("I saw."))
    assert content_of(ask(live, "handy", messages=history, tools=tools, tool_choice="required")) == "I saw."
    # It is still the run's first call.
    assert [request.body["tool_choice"] for request in upstream.requests] == ["required", "required"]
    assert results(upstream.requests[1]) == [REMOVED]


def test_half_of_the_results_go_at_a_time():
    messages = [Message("tool", str(number), tool_call_id=str(number)) for number in range(5)]
    assert shed_oldest_results(messages)
    assert [message.content == REMOVED for message in messages] == [True, True, True, False, False]
    assert [message.tool_call_id for message in messages] == list("01234")
