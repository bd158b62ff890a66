"""An Idempotency-Key makes a request one: answered once, and then again from what is kept."""

import asyncio
import uuid
from typing import Any

import pytest

from tests.agents.acting import asks, turns_of
from tests.live import Live
from tests.openai_compat import raw, strict
from tests.openai_compat.examples import HELLO, WEATHER
from tests.openai_compat.rows import row_of
from tests.upstream import Upstream, calls, fails, hangs, says


@pytest.fixture
def key() -> str:
    return f"key-{uuid.uuid4().hex}"


def send(live: Live, key: str, *, caller: str = "", model: str = "steward", **fields: Any) -> raw.Answer:
    body = {"model": model, "messages": HELLO, **fields}
    return raw.send(live, "POST", "/v1/chat/completions", body, headers={"idempotency-key": key}, key=caller)


def id_of(answer: raw.Answer) -> str:
    return answer.headers["x-request-id"].removeprefix("req_")


def acts(upstream: Upstream) -> None:
    """A run that asks the expert, with reasoning, and then answers."""
    steward = upstream.model("steward-model")
    steward.turns(
        asks("expert", "One?").but(reasoning=("Hm. ",), pieces=("Wait. ",)), says("Done: größer.", reasoning="Ah. ")
    )
    upstream.model("expert-model").says("Answer one.")


def test_an_answer_comes_again_as_it_was(live: Live, upstream: Upstream, key: str):
    acts(upstream)
    first, second = send(live, key), send(live, key)
    assert len(upstream.requests) == 3
    was, again = strict.completion(first.body), strict.completion(second.body)
    assert "x-openfang-replayed" not in first.headers
    assert second.headers["x-openfang-replayed"] == "true"
    assert again.choices == was.choices
    assert again.choices[0].message.content == "Wait. Done: größer."
    assert again.choices[0].message.tool_calls
    assert again.usage == was.usage
    assert again.id != was.id
    row = row_of(live, again.id)
    assert (row["status"], row["finish_reason"]) == ("ok", "stop")
    assert (row["llm_calls"], row["tool_calls"], row["prompt_tokens"], row["cost"]) == (0, 0, 0, 0)
    assert live.steps(row["id"]) == []


def test_a_stream_comes_again_as_it_was(live: Live, upstream: Upstream, key: str):
    acts(upstream)
    first, *others = (send(live, key, stream=True, stream_options={"include_usage": True}) for _ in range(3))
    assert len(upstream.requests) == 3
    for again in others:
        assert again.headers["x-openfang-replayed"] == "true"
        assert told(again) == told(first)


def told(answer: raw.Answer) -> tuple[str, str, dict[int, list[str]], list[Any], Any]:
    """A stream as a client puts it together: text, reasoning, calls, finish reasons, usage."""
    chunks = answer.chunks()
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    calls: dict[int, list[str]] = {}
    for delta in deltas:
        for piece in delta.get("tool_calls", []):
            known = calls.setdefault(piece["index"], [piece.get("id", ""), "", ""])
            known[1] += piece["function"].get("name", "")
            known[2] += piece["function"]["arguments"]
    text, reasoning = ("".join(delta.get(key) or "" for delta in deltas) for key in ("content", "reasoning_content"))
    finish = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
    assert text == "Wait. Done: größer."
    assert len(calls) == 1
    return text, reasoning, calls, finish, chunks[-1]["usage"]


def test_an_answer_that_calls_the_client_comes_again_too(live: Live, upstream: Upstream, key: str):
    upstream.model("steward-model").turns(asks("nobody", "?"), calls("get_weather", city="Bonn"))
    first, second = (strict.completion(send(live, key, tools=[WEATHER]).body) for _ in range(2))
    assert len(upstream.requests) == 2
    assert second.choices == first.choices
    assert second.choices[0].finish_reason == "tool_calls"


def test_an_agent_without_tools_replays_as_well(live: Live, upstream: Upstream, key: str):
    upstream.says("Hello.")
    assert [send(live, key, model="coder").json()["choices"] for _ in range(2)][1][0]["message"]["content"] == "Hello."
    assert len(upstream.requests) == 1


def test_another_body_under_the_same_key_is_refused_for_good(live: Live, upstream: Upstream, key: str):
    upstream.model("steward-model").says("Hello.")
    send(live, key)
    answer = send(live, key, user="someone")
    assert (answer.status, answer.headers["x-should-retry"]) == (409, "false")
    failure = strict.error(answer.body)
    assert (failure.type, failure.code) == ("invalid_request_error", "idempotency_key_reused")
    assert len(upstream.requests) == 1
    assert live.usage(f"id = '{id_of(answer)}'") == []


@pytest.mark.parametrize("failed_before", [False, True])
async def test_of_two_that_come_at_once_one_is_answered(live: Live, upstream: Upstream, key: str, failed_before: bool):
    if failed_before:
        upstream.model("steward-model").turns(fails(401))
        assert (await asyncio.to_thread(send, live, key)).status == 502
    upstream.model("steward-model").turns(hangs(says("Hello.")))
    both = [asyncio.create_task(asyncio.to_thread(send, live, key)) for _ in range(2)]
    done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    [refused] = [task.result() for task in done]
    assert refused.status == 409
    assert strict.error(refused.body).code == "idempotency_key_in_use"
    # The packages then ask again by themselves, and get the answer.
    assert "x-should-retry" not in refused.headers
    await upstream.received(1 + failed_before)
    upstream.release()
    assert sorted([answer.status for answer in await asyncio.gather(*both)]) == [200, 409]
    assert len(upstream.requests) == 1 + failed_before
    assert (await asyncio.to_thread(send, live, key)).headers["x-openfang-replayed"] == "true"


def test_after_a_failure_the_key_goes_on_where_it_broke(live: Live, upstream: Upstream, key: str):
    steward = upstream.model("steward-model")
    steward.turns(asks("expert", "One?"), fails(401), fails(401), says("Done."))
    upstream.model("expert-model").says("Answer one.")
    assert [send(live, key).status for _ in range(4)] == [502, 502, 200, 200]
    assert turns_of(upstream.requests[-1])[1:] == [("assistant", ["agent_ask"]), ("tool", "Answer one.")]
    assert [request.model for request in upstream.requests].count("expert-model") == 1
    assert len(upstream.requests) == 5


def test_the_same_key_of_another_caller_is_another_key(guarded: Live, upstream: Upstream, key: str):
    upstream.turns(says("To Alice."), says("To Erin."))
    answers = [send(guarded, key, caller=guarded.keys[name], model="handy") for name in ("alice", "erin", "alice")]
    said = [strict.completion(answer.body).choices[0].message.content for answer in answers]
    assert said == ["To Alice.", "To Erin.", "To Alice."]
    assert ["x-openfang-replayed" in answer.headers for answer in answers] == [False, False, True]


def test_a_key_that_is_too_long_is_refused(live: Live, upstream: Upstream):
    answer = send(live, "k" * 256)
    assert answer.status == 400
    assert strict.error(answer.body).code == "invalid_idempotency_key"
