"""Every limit of a run ends it with a truthful answer, or with an error that names the limit."""

import pytest

from tests.agents.acting import asking, asks, asks_all, offered, results, turns_of
from tests.live import Live
from tests.live.asking import ask, content_of, events_of, row_of, somebody, text_of
from tests.upstream import Upstream, calls, hangs, says

OUT_OF_CALLS = ("user", "You have no tool calls left. Answer now with what you have, and say what is missing.")
WARNING = "\n\n[You have made this same call several times in a row. Do something else, or answer with what you have.]"
LOOP = "The model made the same call of 'agent_ask' 4 times in a row."


@pytest.mark.parametrize("stream", [False, True])
def test_the_last_llm_call_is_for_the_answer(live: Live, upstream: Upstream, stream: bool):
    upstream.turns(*(asks("nobody", f"{number}?") for number in range(3)), says("So far."))
    response = ask(live, "handy", stream=stream)
    last = events_of(response)[-1] if stream else response.json()
    text = text_of(events_of(response)) if stream else content_of(response)
    assert text == "So far."
    assert last["choices"][0]["finish_reason"] == "length"
    assert [bool(offered(request)) for request in upstream.requests] == [True, True, True, False]
    assert turns_of(upstream.requests[-1])[-1] == OUT_OF_CALLS
    assert all(OUT_OF_CALLS not in turns_of(request) for request in upstream.requests[:-1])
    assert row_of(live, response)["finish_reason"] == "length"


def test_a_model_that_calls_tools_to_the_end_has_said_nothing(live: Live, upstream: Upstream):
    upstream.turns(*(asks("nobody", f"{number}?") for number in range(4)))
    answer = ask(live, "handy").json()
    assert answer["choices"][0]["message"]["content"] is None
    assert answer["choices"][0]["finish_reason"] == "length"


def test_out_of_tool_calls_the_model_answers_with_what_it_has(live: Live, upstream: Upstream):
    upstream.turns(
        asks_all(*(asking("nobody", f"{number}?") for number in range(3))),
        asks_all(*(asking("nobody", f"{number}!") for number in range(2))),
        says("So far."),
    )
    response = ask(live, "handy")
    assert content_of(response) == "So far."
    assert response.json()["choices"][0]["finish_reason"] == "length"
    assert [bool(offered(request)) for request in upstream.requests] == [True, True, False]
    assert row_of(live, response)["tool_calls"] == 5


def test_calls_beyond_the_limit_are_not_executed(live: Live, upstream: Upstream):
    upstream.turns(asks_all(*(asking("nobody", f"{number}?") for number in range(7))), says("So far."))
    assert content_of(ask(live, "handy")) == "So far."
    refused = "Error: this call was not executed, because you have no tool calls left."
    assert [said == refused for said in results(upstream.requests[-1])] == [False] * 5 + [True] * 2


def test_the_time_of_a_run_ends_its_tool_and_then_the_run(live: Live, upstream: Upstream):
    upstream.model("expert-model").turns(hangs())
    upstream.turns(asks("expert", "How long?"), says("Too late."))
    response = ask(live, "hurried", user=somebody())
    assert response.status_code == 504
    assert response.json()["error"]["code"] == "run_timeout"
    assert upstream.requests[1].client_gone.wait(60)
    row = row_of(live, response)
    assert (row["status"], row["error_code"], row["tool_calls"]) == ("failed", "run_timeout", 1)
    assert [step["error_code"] for step in live.steps(row["id"])][:2] == ["", "tool_failed"]
    [inner] = live.usage(f"parent_id = '{row['id']}'")
    # Its deadline is that of the run that asked, which is what ended it, whichever of the two noticed first.
    assert (inner["agent_name"], inner["status"], inner["error_code"]) == ("expert", "failed", "run_timeout")


def test_the_same_call_again_and_again_is_warned_of_and_then_ends_the_run(live: Live, upstream: Upstream):
    upstream.model("steward-model").turns(*(asks("nobody", "?") for _ in range(4)))
    response = ask(live, "steward", user=somebody())
    assert response.status_code == 502
    assert response.json()["error"] == {"message": LOOP, "type": "api_error", "param": None, "code": "tool_loop"}
    first, second, third = results(upstream.requests[-1])
    assert first == second
    assert third == first + WARNING
    row = row_of(live, response)
    assert (row["status"], row["error_code"], row["llm_calls"], row["tool_calls"]) == ("failed", "tool_loop", 4, 3)


def test_in_a_stream_the_loop_is_named_by_the_last_frame(live: Live, upstream: Upstream):
    upstream.model("steward-model").turns(*(asks("nobody", "?") for _ in range(4)))
    *chunks, last = events_of(ask(live, "steward", user=somebody(), stream=True))
    assert last["error"]["code"] == "tool_loop"
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks)


def test_a_different_call_in_between_is_no_loop(live: Live, upstream: Upstream):
    same, other = asks("nobody", "?"), calls("agent_ask", agent="someone", question="?")
    upstream.model("steward-model").turns(same, same, other, same, same, says("Well."))
    assert content_of(ask(live, "steward")) == "Well."
    assert not any("several times" in said for said in results(upstream.requests[-1]))
