"""A repeat is known by what it asks, whichever way the client writes it, and answered in the shape it asks for."""

import hashlib
import json
import uuid
from typing import Any

import httpx2
import pytest

from tests.agents.acting import asks, turns_of
from tests.live import Live
from tests.live.asking import TIMEOUT, content_of, events_of, request_id, somebody, text_of, url_of
from tests.live.colleague import Colleague
from tests.upstream import Upstream, fails, says


def send(live: Live, text: str, **headers: str) -> httpx2.Response:
    """Send a body, byte for byte."""
    head = {"content-type": "application/json", **headers}
    return httpx2.post(url_of(live), content=text.encode(), headers=head, timeout=TIMEOUT, verify=False)


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "steward", "messages": [{"role": "user", "content": "Hi"}], "user": somebody(), **fields}


def breaks(upstream: Upstream) -> None:
    """A run whose tool has finished when it breaks, and what the next is answered."""
    upstream.model("expert-model").says("Answer one.")
    upstream.model("steward-model").turns(asks("expert", "One?"), fails(401), says("Done."))


def assert_taken_over(upstream: Upstream) -> None:
    assert [request.model for request in upstream.requests].count("expert-model") == 1
    assert turns_of(upstream.requests[-1])[1:] == [("assistant", ["agent_ask"]), ("tool", "Answer one.")]


@pytest.mark.parametrize("stream", [False, True])
def test_keys_in_another_order(live: Live, upstream: Upstream, stream: bool):
    breaks(upstream)
    body = asked(client_metadata={"turn": 1, "at": "a"}, temperature=1, stream=stream)
    again = dict(reversed(body.items())) | {"client_metadata": {"at": "b", "turn": 1}, "temperature": 1.0}
    send(live, json.dumps(body))
    assert send(live, json.dumps(again, indent=2)).status_code == 200
    assert_taken_over(upstream)


def test_without_stream_after_a_broken_stream(live: Live, upstream: Upstream):
    breaks(upstream)
    body = asked()
    assert "provider_refused" in send(live, json.dumps({**body, "stream": True})).text
    assert content_of(send(live, json.dumps(body))) == "Done."
    assert_taken_over(upstream)


def test_a_kept_answer_comes_in_the_shape_that_is_asked_for(live: Live, upstream: Upstream):
    upstream.model("steward-model").says("Hello.")
    body, key = asked(), f"key-{uuid.uuid4()}"
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    first, second, third = (
        send(live, json.dumps(text), **{"idempotency-key": key}) for text in (streamed, body, streamed)
    )
    assert text_of(events_of(first)) == content_of(second) == text_of(events_of(third)) == "Hello."
    assert [again.headers["x-openfang-replayed"] for again in (second, third)] == ["true", "true"]
    assert events_of(third)[-1]["usage"] == second.json()["usage"]
    assert len(upstream.requests) == 1


def test_another_end_user_takes_nothing_over(live: Live, upstream: Upstream):
    breaks(upstream)
    body = asked()
    send(live, json.dumps(body))
    send(live, json.dumps({**body, "user": somebody()}))
    assert turns_of(upstream.requests[-1]) == [("user", "Hi")]


def forget_the_version(live: Live, response: httpx2.Response, text: str) -> None:
    """Let a run's transcript be as a server of an earlier version has written it."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    with Colleague(live.env) as colleague:
        found = f"Transcript.objects.filter(id='{request_id(response)}')"
        assert colleague.does(f"result = {found}.update(body_digest='{digest}')") == 1


def test_runs_of_an_earlier_version_are_taken_over(live: Live, upstream: Upstream):
    breaks(upstream)
    text = json.dumps(asked())
    forget_the_version(live, send(live, text), text)
    assert content_of(send(live, text)) == "Done."
    assert_taken_over(upstream)


def test_answers_under_a_key_of_an_earlier_version_are_given_again(live: Live, upstream: Upstream):
    upstream.model("steward-model").says("Hello.")
    text, head = json.dumps(asked()), {"idempotency-key": f"key-{uuid.uuid4()}"}
    forget_the_version(live, send(live, text, **head), text)
    assert send(live, text, **head).headers["x-openfang-replayed"] == "true"
    assert send(live, json.dumps(asked()), **head).json()["error"]["code"] == "idempotency_key_reused"
