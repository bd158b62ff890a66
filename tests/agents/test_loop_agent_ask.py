"""Agents ask agents: in a run of its own, recorded under the first one, only so deep, and only whom the key may use."""

from tests.agents.acting import asks, results, turns_of
from tests.live import Live
from tests.live.asking import ask, content_of, row_of
from tests.upstream import Upstream, fails, says


def test_the_other_agents_answer_is_the_result_of_the_call(live: Live, upstream: Upstream):
    upstream.turns(asks("coder", "Who are you?"), says("I am the coder."), says("It is the coder."))
    response = ask(live, "handy", user="someone")
    assert content_of(response) == "It is the coder."
    assert turns_of(upstream.requests[1]) == [("system", "You write code."), ("user", "Who are you?")]
    assert results(upstream.requests[2]) == ["I am the coder."]
    row = row_of(live, response)
    assert (row["parent_id"], row["llm_calls"], row["tool_calls"]) == (None, 2, 1)
    [inner] = live.usage(f"parent_id = '{row['id']}'")
    assert (inner["agent_name"], inner["endpoint"], inner["status"], inner["http_status"]) == (
        "coder",
        "agent_ask",
        "ok",
        200,
    )
    assert (inner["requested_model"], inner["end_user"], inner["llm_calls"]) == ("coder", "someone", 1)
    # Each row counts what its own run has used.
    assert (row["prompt_tokens"], inner["prompt_tokens"]) == (20, 10)


def test_agents_ask_each_other_only_so_deep(live: Live, upstream: Upstream):
    handy, steward = upstream, upstream.model("steward-model")
    handy.turns(asks("steward", "1?"), asks("steward", "3?"), says("Third."), says("First."))
    steward.turns(asks("handy", "2?"), asks("handy", "4?"), says("Fourth."), says("Second."))
    response = ask(live, "handy")
    assert content_of(response) == "First."
    refused = next(request for request in upstream.requests if results(request) and "deep" in results(request)[0])
    assert results(refused) == ["Error: Agents may ask each other at most 3 deep. Answer yourself."]
    parent, names = row_of(live, response)["id"], []
    while inner := live.usage(f"parent_id = '{parent}'"):
        parent = inner[0]["id"]
        names.append(inner[0]["agent_name"])
    assert names == ["steward", "handy", "steward"]


def test_an_agent_does_not_ask_itself(live: Live, upstream: Upstream):
    upstream.turns(asks("handy", "Me?"), says("Well."))
    assert content_of(ask(live, "handy")) == "Well."
    [said] = results(upstream.requests[1])
    assert said.startswith("Error: There is no agent 'handy' to ask. Agents you may ask: coder, ")
    assert "disabled" not in said


def test_only_agents_of_the_callers_key_can_be_asked(guarded: Live, upstream: Upstream):
    upstream.turns(asks("expert", "?"), asks("critic", "?"), says("Both were asked."))
    upstream.model("critic-model").says("Bad.")
    response = ask(guarded, "handy", key=guarded.keys["erin"])
    assert content_of(response) == "Both were asked."
    assert results(upstream.requests[-1]) == [
        "Error: There is no agent 'expert' to ask. Agents you may ask: critic.",
        "Bad.",
    ]
    [inner] = guarded.usage(f"parent_id = '{row_of(guarded, response)['id']}'")
    assert inner["api_key_name"] == "erin"


def test_the_failure_of_the_other_agent_is_told_to_the_model(live: Live, upstream: Upstream):
    upstream.turns(asks("expert", "?"), says("It is ill."))
    upstream.model("expert-model").turns(fails(401))
    response = ask(live, "handy")
    assert content_of(response) == "It is ill."
    assert results(upstream.requests[-1]) == [
        "Error: The agent expert could not answer: Scripted refused this server's API key (HTTP 401)."
    ]
    [inner] = live.usage(f"parent_id = '{row_of(live, response)['id']}'")
    assert (inner["status"], inner["error_code"]) == ("failed", "provider_refused")
