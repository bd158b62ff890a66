"""What one request may have agents ask each other: so many runs and calls, so many at once, no longer than itself."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.acting import asking, asks, asks_all, results
from tests.live import Live
from tests.live.asking import ask, closed_row, content_of, eventually, row_of, somebody
from tests.live.colleague import Colleague
from tests.openai_compat.limits_parts import make_keys
from tests.upstream import Answer, Call, Pause, Received, Upstream, call, calls_many, hangs, says, stalls

RUNS, PARALLEL, LLM_CALLS, TOOL_CALLS = 6, 2, 7, 4
BOUNDS = {
    "OPENFANG_ASK_RUNS": str(RUNS),
    "OPENFANG_ASK_PARALLEL": str(PARALLEL),
    "OPENFANG_ASK_LLM_CALLS": str(LLM_CALLS),
    "OPENFANG_ASK_TOOL_CALLS": str(TOOL_CALLS),
}
NO_MORE_RUNS = "Error: This request has asked other agents 6 times, and may not more often. Answer with what you have."


@pytest.fixture(scope="module")
def bounded_server(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("tree"), cast=session_upstream.base_url, keys=True, env=BOUNDS) as live:
        yield live


@pytest.fixture
def bounded(bounded_server: Live, upstream: Upstream) -> Live:
    return bounded_server


@pytest.fixture(scope="module")
def keys(bounded_server: Live) -> dict[str, str]:
    return make_keys(
        bounded_server,
        free={},
        single={"max_parallel_requests": 1},
        double={"max_parallel_requests": 2},
        # For the steward's first call, which may write 4096 tokens, and not for another such.
        thrifty={"tokens_per_minute": 6000},
    )


def questions(number: int) -> list[Call]:
    """Questions to the expert, no two the same: a call that a provider repeats is one."""
    return [asking("expert", f"{question}?") for question in range(number)]


def slowly(text: str) -> Answer:
    """An answer that takes long enough for what runs beside it to be seen."""
    return says(text).but(opening=(Pause(0.2),))


def most_at_once(requests: list[Received]) -> int:
    """How many of these requests were open at the same time, at most."""
    ends = [request.answered.at for request in requests]
    assert None not in ends
    moments = sorted([(request.at, 1) for request in requests] + [(at, -1) for at in ends if at is not None])
    return max(sum(step for _, step in moments[: place + 1]) for place in range(len(moments)))


def asked_by(live: Live, response: Any) -> list[dict[str, Any]]:
    return live.usage(f"parent_id = '{row_of(live, response)['id']}'")


def test_a_request_asks_only_so_often(bounded: Live, upstream: Upstream, keys: dict[str, str]):
    steward = upstream.model("steward-model")
    steward.turns(asks_all(*questions(RUNS + 3)))
    steward.turns(asks("expert", "Again?"), says("Enough."))
    upstream.model("expert-model").turns(*[says("So.")] * RUNS)
    response = ask(bounded, "steward", key=keys["free"])
    assert content_of(response) == "Enough."
    assert sorted(results(upstream.requests[-1])) == [*[NO_MORE_RUNS] * 4, *["So."] * RUNS]
    assert [row["status"] for row in asked_by(bounded, response)] == ["ok"] * RUNS


def test_only_so_many_of_a_requests_runs_work_at_once(bounded: Live, upstream: Upstream, keys: dict[str, str]):
    upstream.model("steward-model").turns(asks_all(*questions(RUNS)), says("Done."))
    upstream.model("expert-model").turns(*[slowly("So.")] * RUNS)
    assert content_of(ask(bounded, "steward", key=keys["free"])) == "Done."
    assert len(upstream.requests) == RUNS + 2
    assert most_at_once(upstream.requests) <= PARALLEL


def test_the_runs_of_a_request_share_the_one_place_of_their_key(
    bounded: Live, upstream: Upstream, keys: dict[str, str]
):
    upstream.turns(asks_all(asking("steward", "1?"), asking("steward", "2?")), slowly("Done."))
    steward = upstream.model("steward-model")
    steward.turns(*[asks("expert", "3?").but(opening=(Pause(0.2),))] * 2, *[slowly("Yes.")] * 2)
    upstream.model("expert-model").turns(*[slowly("So.")] * 2)
    response = ask(bounded, "handy", key=keys["single"])
    assert content_of(response) == "Done."
    assert results(upstream.requests[-1]) == ["Yes.", "Yes."]
    assert most_at_once(upstream.requests) == 1
    # And the place is free again.
    upstream.says("Hello.")
    assert content_of(ask(bounded, key=keys["single"])) == "Hello."


def test_the_places_that_other_requests_of_the_key_have_are_not_taken(
    bounded: Live, upstream: Upstream, keys: dict[str, str]
):
    upstream.model("critic-model").turns(stalls("Wait", then=" done"))
    upstream.model("steward-model").turns(asks_all(*questions(3)), says("Done."))
    upstream.model("expert-model").turns(*[slowly("So.")] * 3)
    with bounded.client(keys["double"]) as client:
        messages: Any = [{"role": "user", "content": "Hi"}]
        stream = client.chat.completions.create(model="openfang:critic", messages=messages, stream=True)
        next(iter(stream))
        assert content_of(ask(bounded, "steward", key=keys["double"])) == "Done."
        assert most_at_once([request for request in upstream.requests if request.model == "expert-model"]) == 1
        upstream.release()
        assert [chunk.choices[0].finish_reason for chunk in stream][-1] == "stop"


def test_the_asked_agents_make_only_so_many_llm_calls(bounded: Live, upstream: Upstream, keys: dict[str, str]):
    upstream.model("steward-model").turns(*[asks("handy", f"{number}?") for number in range(4)], says("Done."))
    for number in range(3):
        upstream.turns(asks("nobody", f"{number}?"), says("So."))
    upstream.turns(asks("nobody", "again?"))
    response = ask(bounded, "steward", key=keys["free"])
    assert content_of(response) == "Done."
    assert results(upstream.requests[-1]) == [
        *["So."] * 3,
        "Error: The agent handy could not answer: the agents asked for this request have made 7 LLM calls, "
        "and may make no more",
    ]
    rows = asked_by(bounded, response)
    assert sum(row["llm_calls"] for row in rows) == LLM_CALLS
    assert [(row["status"], row["error_code"]) for row in rows][-1] == ("failed", "ask_limit_reached")


def test_the_asked_agents_make_only_so_many_tool_calls(bounded: Live, upstream: Upstream, keys: dict[str, str]):
    compute = [call("calculator", expression=f"1+{number}") for number in range(3)]
    upstream.model("steward-model").turns(asks("handy", "1?"), asks("handy", "2?"), says("Done."))
    upstream.turns(calls_many(*compute), says("2."), calls_many(*compute))
    response = ask(bounded, "steward", key=keys["free"])
    assert content_of(response) == "Done."
    assert results(upstream.requests[-1])[1].startswith(
        "Error: The agent handy could not answer: the agents asked for this request may make 4 tool calls"
    )
    assert [row["tool_calls"] for row in asked_by(bounded, response)] == [3, 0]


def test_the_tokens_of_asked_agents_are_taken_beforehand(bounded: Live, upstream: Upstream, keys: dict[str, str]):
    upstream.model("steward-model").turns(asks("expert", "?"), says("Done."))
    response = ask(bounded, "steward", key=keys["thrifty"])
    assert content_of(response) == "Done."
    assert results(upstream.requests[-1]) == [
        "Error: The agent expert could not answer: Rate limit exceeded: tokens per minute"
    ]
    assert asked_by(bounded, response) == []


def test_an_asked_agent_is_done_when_the_asking_one_must_be(bounded: Live, upstream: Upstream, keys: dict[str, str]):
    brief = "a = Agent.objects.get(name='steward'); a.pk = None; a.name = 'brief'; a.run_timeout = 2; a.save()"
    with Colleague(bounded.env) as colleague, bounded.client(keys["free"]) as client:
        colleague.does(brief)
        eventually(lambda: "openfang:brief" in [model.id for model in client.models.list()])
    upstream.model("steward-model").turns(asks("expert", "?"))
    upstream.model("expert-model").turns(hangs())
    response = ask(bounded, "brief", key=keys["free"])
    assert (response.status_code, response.json()["error"]["code"]) == (504, "run_timeout")
    [inner] = asked_by(bounded, response)
    assert (inner["status"], inner["error_code"]) == ("failed", "run_timeout")


def test_all_runs_of_a_request_end_when_its_client_leaves(bounded: Live, upstream: Upstream):
    user = somebody()
    upstream.model("steward-model").turns(asks_all(*questions(RUNS)))
    upstream.model("expert-model").turns(*[hangs()] * RUNS)
    messages: Any = [{"role": "user", "content": "Hi"}]
    with bounded.client(bounded.keys["alice"]) as client:
        client.chat.completions.create(model="openfang:steward", messages=messages, user=user, stream=True)
        upstream.wait_for_requests(1 + PARALLEL)
    closed_row(bounded, f"end_user = '{user}' AND parent_id IS NULL")
    upstream.wait_until_idle()
    rows = bounded.usage(f"end_user = '{user}'")
    assert [row["status"] for row in rows] == ["cancelled"] * (1 + PARALLEL)
    assert len(upstream.requests) == 1 + PARALLEL
