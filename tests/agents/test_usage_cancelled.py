"""Clients that leave: the provider is not asked on, and the row says so, with the tokens that were used until then."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.estimated import CODER_PROMPT
from tests.live import Live
from tests.live.asking import ask, body, closed_row, eventually, read_until, request_id, row_of, somebody, streaming
from tests.upstream import Mark, Pause, Received, Upstream, chunk, fails, hangs, junk, says, stalls


@contextmanager
def waiting(live: Live, upstream: Upstream, **fields: Any) -> Iterator[Received]:
    """Send a request and hand over what reached the provider; at the end hang up without having read an answer."""
    content = json.dumps(body(**fields)).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    address = urlsplit(live.url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        connection.sendall(head.encode() + content)
        [asked] = upstream.wait_for_requests(1)
        yield asked


def test_leaving_a_stream_closes_the_call_and_counts_what_was_said(live: Live, upstream: Upstream):
    upstream.turns(stalls("One two three four"))
    with streaming(live) as response:
        read_until(response.iter_lines(), "four")
    [asked] = upstream.requests
    assert asked.client_gone.wait(60)
    row = closed_row(live, f"id = '{request_id(response)}'")
    assert (row["status"], row["error_code"], row["http_status"]) == ("cancelled", "client_disconnected", 200)
    assert (row["token_source"], row["completion_tokens"], row["prompt_tokens"]) == ("estimated", 5, CODER_PROMPT)
    assert row["cost"] == CODER_PROMPT * 1_500_000 + 5 * 6_000_000
    assert row["finish_reason"] == ""
    assert row["first_token_ms"] <= row["duration_ms"]
    [step] = live.steps(row["id"])
    assert (step["error_code"], step["completion_tokens"]) == ("client_disconnected", 5)


def test_leaving_before_an_answer_that_is_not_streamed_closes_the_call(live: Live, upstream: Upstream):
    name = somebody()
    upstream.turns(stalls("One two three four"))
    with waiting(live, upstream, user=name) as asked:
        assert asked.started.wait(60)
    assert asked.client_gone.wait(60)
    row = closed_row(live, f"end_user = '{name}'")
    assert (row["status"], row["http_status"], row["streamed"]) == ("cancelled", 499, 0)
    assert row["model"] == "scripted-model"


def test_leaving_before_the_provider_has_answered_anything_costs_the_prompt(live: Live, upstream: Upstream):
    name = somebody()
    upstream.turns(hangs())
    with waiting(live, upstream, user=name, stream=True) as asked:
        pass
    assert asked.client_gone.wait(60)
    row = closed_row(live, f"end_user = '{name}'")
    assert (row["status"], row["http_status"], row["token_source"]) == ("cancelled", 499, "estimated")
    assert (row["prompt_tokens"], row["completion_tokens"], row["first_token_ms"]) == (CODER_PROMPT, 0, None)
    assert row["cost"] == CODER_PROMPT * 1_500_000


def test_leaving_while_the_server_waits_to_try_again_ends_the_wait(live: Live, upstream: Upstream):
    name = somebody()
    upstream.turns(fails(429, headers={"retry-after": "9"}))
    with waiting(live, upstream, user=name) as asked:
        assert asked.answered.wait(60)
    row = closed_row(live, f"end_user = '{name}'")
    assert (row["status"], row["llm_calls"]) == ("cancelled", 1)
    assert len(upstream.requests) == 1


def test_a_client_that_closes_after_done_is_not_cancelled(live: Live, upstream: Upstream):
    upstream.says("Hello")
    response = ask(live, stream=True)
    row = row_of(live, response)
    assert (row["status"], row["error_code"]) == ("ok", "")


def test_an_answer_that_is_complete_but_for_the_providers_close_is_complete(live: Live, upstream: Upstream):
    """The provider keeps its connection open after [DONE]: nobody waits for it."""
    upstream.turns(junk([chunk({"content": "Hello"}), chunk({}, "stop"), b"data: [DONE]\n\n", Mark.HOLD]))
    response = ask(live, stream=True)
    assert row_of(live, response)["status"] == "ok"
    assert upstream.requests[0].client_gone.wait(60)


def test_many_clients_that_leave_leave_nothing_behind(live: Live, upstream: Upstream):
    name = somebody()
    upstream.default = says(["One ", Pause(0.01), "two ", Mark.HOLD])
    for _ in range(10):
        with streaming(live, user=name) as response:
            read_until(response.iter_lines(), "One")
    upstream.wait_until_idle()
    rows = eventually(lambda: len(found := live.usage(f"end_user = '{name}' AND status = 'cancelled'")) == 10 and found)
    assert all(row["token_source"] == "estimated" for row in rows)
    assert all(request.client_gone.is_set() for request in upstream.requests)
