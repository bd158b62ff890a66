"""A request that is sent again goes on where its first run broke: no tool does its work twice."""

from typing import Any

import pytest

from tests.agents.acting import answers_every_call, asking, asks, asks_all, turns_of
from tests.live import Live
from tests.live.asking import ask as asked
from tests.live.asking import closed_row, events_of, eventually, row_of, somebody, streaming
from tests.upstream import Upstream, fails, hangs, says

FIRST_TURN = [("assistant", ["agent_ask"]), ("tool", "Answer one.")]


def models(upstream: Upstream) -> list[str]:
    """Which models were asked, in their order."""
    return [request.model.removesuffix("-model") for request in upstream.requests]


@pytest.mark.parametrize("stream", [False, True])
def test_after_a_failure(live: Live, upstream: Upstream, stream: bool):
    body: dict[str, Any] = {"user": somebody(), "stream": stream}
    upstream.model("expert-model").says("Answer one.")
    steward = upstream.model("steward-model")
    steward.turns(asks("expert", "One?"), fails(401))
    first = asked(live, "steward", **body)
    assert (first.status_code == 502) is not stream
    steward.says("Done.")
    second = asked(live, "steward", **body)
    assert models(upstream) == ["steward", "expert", "steward", "steward"]
    assert turns_of(upstream.requests[-1])[1:] == FIRST_TURN
    row = row_of(live, second)
    assert (row["status"], row["llm_calls"], row["tool_calls"], row["prompt_tokens"]) == ("ok", 1, 0, 10)


def test_what_was_done_before_is_shown_again(live: Live, upstream: Upstream):
    body: dict[str, Any] = {"user": somebody(), "stream": True}
    upstream.model("expert-model").turns(says("Answer one."), says("Answer two."))
    steward = upstream.model("steward-model")
    steward.turns(asks("expert", "One?").but(pieces=("Well. ",)), fails(401))
    *before, failure = events_of(asked(live, "steward", **body))
    assert failure["error"]["code"] == "provider_refused"
    steward.turns(asks("expert", "Two?"), says("Done."))
    after = events_of(asked(live, "steward", **body))
    shown = [calls_in(chunks) for chunks in (before, after)]
    assert shown[1][0] == shown[0][0]
    assert [index for index, *_ in shown[1]] == [0, 1]
    assert len({call_id for _, call_id, _ in shown[1]}) == 2
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in after)
    assert text == "Well. Done."


def calls_in(chunks: list[Any]) -> list[tuple[int, str, str]]:
    """The calls of a stream: index, id, and arguments as they add up."""
    calls: dict[int, tuple[int, str, str]] = {}
    for chunk in chunks:
        for piece in chunk["choices"][0]["delta"].get("tool_calls", []):
            index, call_id, arguments = calls.get(piece["index"], (piece["index"], piece.get("id"), ""))
            calls[index] = (index, call_id, arguments + piece["function"]["arguments"])
    return list(calls.values())


def test_after_two_failures_everything_is_still_known(live: Live, upstream: Upstream):
    body: dict[str, Any] = {"user": somebody()}
    upstream.model("expert-model").turns(says("Answer one."), says("Answer two."))
    steward = upstream.model("steward-model")
    steward.turns(asks("expert", "One?"), fails(401), asks("expert", "Two?"), fails(401), fails(401), says("Done."))
    assert [asked(live, "steward", **body).status_code for _ in range(4)] == [502, 502, 502, 200]
    assert models(upstream).count("expert") == 2
    assert turns_of(upstream.requests[-1])[1:] == [
        *FIRST_TURN,
        ("assistant", ["agent_ask"]),
        ("tool", "Answer two."),
    ]
    assert answers_every_call(upstream.requests[-1].messages)


def test_after_the_client_left(live: Live, upstream: Upstream):
    user = somebody()
    upstream.model("expert-model").says("Answer one.")
    steward = upstream.model("steward-model")
    steward.turns(asks("expert", "One?"), hangs())
    with streaming(live, "steward", user=user):
        *_, waiting = upstream.wait_for_requests(3)
    assert waiting.client_gone.wait(60)
    # The first run may still be closing its row: the repetition waits for it.
    steward.says("Done.")
    asked(live, "steward", stream=True, user=user)
    assert turns_of(upstream.requests[-1])[1:] == FIRST_TURN
    assert models(upstream).count("expert") == 1


def test_of_calls_that_ran_together_only_those_without_a_result_are_executed(live: Live, upstream: Upstream):
    user = somebody()
    steward, expert, critic = (upstream.model(f"{name}-model") for name in ("steward", "expert", "critic"))
    steward.turns(asks_all(asking("expert", "One?"), asking("critic", "Two?")))
    expert.says("Answer one.")
    critic.turns(hangs())
    with streaming(live, "steward", user=user) as response:
        upstream.wait_for_requests(3)
        run = response.headers["x-request-id"].removeprefix("req_")
        kept = f"SELECT id FROM agents_transcript WHERE id = '{run}'"
        eventually(lambda: live.rows(kept))
    row = closed_row(live, f"end_user = '{user}' AND parent_id IS NULL")
    assert (row["status"], row["error_code"]) == ("cancelled", "client_disconnected")
    before = len(upstream.requests)
    critic.says("Answer two.")
    steward.says("Done.")
    asked(live, "steward", stream=True, user=user)
    # The model is not asked again for what it has already called.
    assert models(upstream)[before:] == ["critic", "steward"]
    assert turns_of(upstream.requests[-1])[1:] == [
        ("assistant", ["agent_ask", "agent_ask"]),
        ("tool", "Answer one."),
        ("tool", "Answer two."),
    ]


def test_what_an_asked_agent_has_done_is_not_done_again_either(live: Live, upstream: Upstream):
    user = somebody()
    upstream.turns(asks("steward", "All?"))
    steward = upstream.model("steward-model")
    steward.turns(asks("expert", "One?"), hangs())
    upstream.model("expert-model").says("Answer one.")
    with streaming(live, "showing", user=user):
        *_, waiting = upstream.wait_for_requests(4)
    assert waiting.client_gone.wait(60)
    closed_row(live, f"end_user = '{user}' AND parent_id IS NULL")
    upstream.turns(asks("steward", "All?"), says("Done."))
    steward.says("All one.")
    asked(live, "showing", stream=True, user=user)
    assert models(upstream).count("expert") == 1
    assert models(upstream)[-3:] == ["scripted", "steward", "scripted"]


@pytest.mark.slow
def test_after_a_crash(server: Live, upstream: Upstream):
    upstream.model("expert-model").says("Answer one.")
    steward = upstream.model("steward-model")
    steward.turns(asks("expert", "One?"), hangs())
    with streaming(server, "steward"):
        upstream.wait_for_requests(3)
        eventually(lambda: server.rows("SELECT id FROM agents_transcript"))
        server.kill()
    server.start()
    steward.says("Done.")
    response = asked(server, "steward", stream=True)
    assert response.status_code == 200
    assert turns_of(upstream.requests[-1])[1:] == FIRST_TURN
    assert models(upstream).count("expert") == 1
    assert [row["status"] for row in server.usage("agent_name = 'steward'")] == ["lost", "ok"]


def test_a_request_that_was_answered_is_a_new_one_when_it_comes_again(live: Live, upstream: Upstream):
    user = somebody()
    upstream.model("expert-model").turns(says("Answer one."), says("Answer one."))
    upstream.model("steward-model").turns(asks("expert", "One?"), fails(401), says("Done."))
    assert [asked(live, "steward", user=user).status_code for _ in range(2)] == [502, 200]
    upstream.model("steward-model").turns(asks("expert", "One?"), says("Done again."))
    asked(live, "steward", user=user)
    assert models(upstream).count("expert") == 2


def test_another_body_is_another_request(live: Live, upstream: Upstream):
    upstream.model("expert-model").says("Answer one.")
    upstream.model("steward-model").turns(asks("expert", "One?"), fails(401), says("Done."))
    asked(live, "steward", user=somebody())
    asked(live, "steward", user=somebody())
    assert turns_of(upstream.requests[-1]) == [("user", "Hi")]


def test_another_callers_same_request_is_another_one(guarded: Live, upstream: Upstream):
    body: dict[str, Any] = {"user": somebody()}
    upstream.model("critic-model").says("Answer one.")
    upstream.turns(asks("critic", "One?"), fails(401), says("Done."))
    assert asked(guarded, "handy", key=guarded.keys["alice"], **body).status_code == 502
    assert asked(guarded, "handy", key=guarded.keys["erin"], **body).status_code == 200
    assert turns_of(upstream.requests[-1]) == [("user", "Hi")]
