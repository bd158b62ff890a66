"""A run takes no longer than its agent allows, whatever it waits for."""

from concurrent.futures import ThreadPoolExecutor

from tests.live import Live
from tests.live.asking import ask, events_of, row_of, text_of
from tests.upstream import Upstream, fails, hangs, stalls

TOO_LATE = {
    "message": "The run reached its time limit.",
    "type": "api_error",
    "param": None,
    "code": "run_timeout",
}


def test_a_run_is_ended_in_mid_answer(live: Live, upstream: Upstream):
    upstream.turns(stalls("One two"))
    response = ask(live, "hurried", stream=True)
    events = events_of(response)
    assert text_of(events) == "One two"
    assert events[-1] == {"error": TOO_LATE}
    row = row_of(live, response)
    assert (row["status"], row["error_code"], row["http_status"]) == ("failed", "run_timeout", 200)
    assert (row["token_source"], row["completion_tokens"]) == ("estimated", 2)
    assert [step["error_code"] for step in live.steps(row["id"])] == ["run_timeout"]
    assert upstream.requests[0].client_gone.wait(60)


def test_a_run_is_ended_before_its_answer(live: Live, upstream: Upstream):
    upstream.turns(hangs(), hangs())
    with ThreadPoolExecutor() as pool:
        responses = list(pool.map(lambda streamed: ask(live, "hasty", stream=streamed), (False, True)))
    for response in responses:
        assert (response.status_code, response.json()) == (504, {"error": TOO_LATE})
        row = row_of(live, response)
        assert (row["status"], row["error_code"], row["http_status"]) == ("failed", "run_timeout", 504)
        assert (row["token_source"], row["completion_tokens"]) == ("estimated", 0)
        assert row["cost"] == row["prompt_tokens"] * 1_500_000 > 0
    assert all(request.client_gone.wait(60) for request in upstream.requests)


def test_a_pause_that_would_outlast_the_run_is_not_made(live: Live, upstream: Upstream):
    upstream.turns(fails(429, headers={"retry-after": "9"}))
    response = ask(live, "hurried")
    assert response.status_code == 429
    assert response.headers["retry-after"] == "9"
    assert row_of(live, response)["error_code"] == "provider_rate_limited"
