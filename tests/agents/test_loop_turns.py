"""A run is as many turns as the model needs: it calls tools, reads their results, and answers."""

from tests.agents.acting import answers_every_call, asking, asks, asks_all, offered, results, turns_of
from tests.live import Live
from tests.live.asking import ask, content_of, events_of, row_of, text_of
from tests.upstream import Call, Upstream, call, calls, calls_many, hangs, says


def test_five_turns_become_one_answer(live: Live, upstream: Upstream):
    steward, expert = upstream.model("steward-model"), upstream.model("expert-model")
    steward.turns(*(asks("expert", f"Question {number}?") for number in range(4)), says("All is clear."))
    expert.turns(*(says(f"Answer {number}.") for number in range(4)))
    response = ask(live, "steward")
    assert content_of(response) == "All is clear."
    assert response.json()["choices"][0]["finish_reason"] == "stop"
    last = [asked for asked in upstream.asked if asked["model"] == "steward-model"][-1]
    assert turns_of(last) == [
        ("user", "Hi"),
        *(turn for n in range(4) for turn in [("assistant", ["agent_ask"]), ("tool", f"Answer {n}.")]),
    ]
    assert answers_every_call(last["messages"])
    row = row_of(live, response)
    assert (row["llm_calls"], row["tool_calls"], row["prompt_tokens"], row["completion_tokens"]) == (5, 4, 50, 7)


def test_the_usage_of_all_calls_is_told_to_the_client(live: Live, upstream: Upstream):
    upstream.turns(calls("agent_ask", agent="nobody", question="?"), says("Nobody is there."))
    answer = ask(live, "handy").json()
    assert answer["usage"]["prompt_tokens"] == 20
    assert answer["usage"]["completion_tokens"] == 4
    assert answer["usage"]["total_tokens"] == 24


def test_calls_of_one_turn_run_at_the_same_time_and_keep_their_order(live: Live, upstream: Upstream):
    upstream.model("steward-model").turns(
        asks_all(asking("expert", "A?"), asking("critic", "B?"), text="Both, please."), says("Done.")
    )
    upstream.model("expert-model").turns(hangs(says("Late.")))
    upstream.model("critic-model").turns(hangs(says("Later.")))
    streamed = live.client().chat.completions.create(
        model="steward", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    # Neither of the two has been answered when both have been asked.
    _, *held = upstream.wait_for_requests(3)
    assert {request.model for request in held} == {"expert-model", "critic-model"}
    next(request for request in held if request.model == "critic-model").release()
    next(request for request in held if request.model == "expert-model").release()
    text = "".join(chunk.choices[0].delta.content or "" for chunk in streamed)
    assert text == "Both, please.Done."
    last = upstream.requests[-1]
    assert results(last) == ["Late.", "Later."]
    assert [message["content"] for message in last.messages if message["role"] == "assistant"] == ["Both, please."]


def test_the_model_can_correct_arguments_that_are_not_right(live: Live, upstream: Upstream):
    upstream.model("steward-model").turns(
        calls_many(Call("agent_ask", '{"agent": "expert", ')),
        calls("agent_ask", agent="expert", query="?"),
        asks("expert", "?"),
        says("At last."),
    )
    upstream.model("expert-model").says("Yes.")
    assert content_of(ask(live, "steward")) == "At last."
    broken, unknown, right = results(upstream.requests[-1])
    assert broken.startswith("Error: the arguments of agent_ask were not read")
    assert '{"agent": "expert", ' in broken
    assert unknown == "Error: The arguments of agent_ask are not right: Object contains unknown field `query`"
    assert right == "Yes."


def test_the_model_can_correct_the_name_of_a_tool(live: Live, upstream: Upstream):
    upstream.model("steward-model").turns(calls("ask_agent"), says("I have none."))
    assert content_of(ask(live, "steward")) == "I have none."
    assert results(upstream.requests[-1]) == ["Error: there is no tool 'ask_agent'. Your tools: agent_ask."]


def test_a_call_without_a_name_is_no_call(live: Live, upstream: Upstream):
    upstream.model("steward-model").turns(calls_many(Call("", "{}", id="a"), call("agent_ask")), says("Good."))
    response = ask(live, "steward")
    [shown] = response.json()["choices"][0]["message"]["tool_calls"]
    assert (shown["index"], shown["function"]["name"]) == (0, "agent_ask")
    assert answers_every_call(upstream.requests[-1].messages)
    assert len(results(upstream.requests[-1])) == 1


def test_an_answer_that_only_claims_to_call_tools_is_an_answer(live: Live, upstream: Upstream):
    upstream.model("steward-model").turns(says("No call.", finish="tool_calls"))
    response = ask(live, "steward")
    assert content_of(response) == "No call."
    assert response.json()["choices"][0]["finish_reason"] == "stop"


def test_an_answer_that_was_cut_by_its_model_says_so(live: Live, upstream: Upstream):
    upstream.model("steward-model").turns(asks("nobody", "?"), says("It is", finish="length"))
    chunks = events_of(ask(live, "steward", stream=True))
    assert text_of(chunks) == "It is"
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_an_agent_without_tools_is_offered_none(live: Live, upstream: Upstream):
    upstream.says("Plain.")
    ask(live, "expert")
    assert "tools" not in upstream.asked[0]


def test_an_agent_is_offered_the_tools_ticked_on_it(live: Live, upstream: Upstream):
    upstream.says("Plain.")
    ask(live, "steward")
    assert offered(upstream.requests[0]) == ["agent_ask"]
