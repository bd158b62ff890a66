"""Web pages of other origins may call /v1 only where the settings name them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import Live
from tests.openai_compat.raw import Answer, chat, send
from tests.upstream import Upstream

PAGE = "https://app.example.com"
ASKS = {"origin": PAGE, "access-control-request-method": "POST"}


def cors_of(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.fixture(scope="module")
def named_server(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    env = {"OPENFANG_CORS_ORIGINS": f"{PAGE}, http://localhost:3000"}
    with Live(tmp_path_factory.mktemp("cors"), cast=session_upstream.base_url, keys=True, env=env) as live:
        yield live


@pytest.fixture
def named(named_server: Live, upstream: Upstream) -> Live:
    return named_server


def test_without_the_setting_no_page_is_let_in(guarded: Live) -> None:
    answer = send(guarded, "GET", "/v1/models", headers={"origin": PAGE}, key=guarded.keys["alice"])
    assert answer.status == 200
    assert cors_of(answer) == {}
    asked = send(guarded, "OPTIONS", "/v1/chat/completions", headers=ASKS)
    assert asked.status == 401
    assert cors_of(asked) == {}


def test_a_browser_may_ask_without_a_key(named: Live) -> None:
    headers = ASKS | {"access-control-request-headers": "authorization,content-type,x-stainless-lang"}
    answer = send(named, "OPTIONS", "/v1/chat/completions", headers=headers)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type,x-stainless-lang"
    assert answer.headers["vary"] == "origin"
    assert "access-control-allow-credentials" not in answer.headers


def test_a_named_page_reads_answers_streams_and_errors(named: Live, upstream: Upstream) -> None:
    upstream.says("Hello")
    upstream.says("Hello")
    key = named.keys["alice"]
    url, body = "/v1/chat/completions", {"model": "coder", "messages": [{"role": "user", "content": "Hi"}]}
    answers = [
        send(named, "POST", url, body, headers={"origin": PAGE}, key=key),
        send(named, "POST", url, body | {"stream": True}, headers={"origin": PAGE}, key=key),
        send(named, "POST", url, {}, headers={"origin": PAGE}, key=key),
        send(named, "POST", url, body, headers={"origin": PAGE}, key="of_wrong"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 400, 401]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["vary"] == "origin"
        assert "access-control-allow-credentials" not in answer.headers
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {"x-request-id", "x-openfang-ignored", "retry-after", "x-ratelimit-remaining-tokens"} <= set(exposed)


@pytest.mark.parametrize(
    ("headers", "status"), [({"content-length": "999999999"}, 413), ({"accept": "*/*", "x-long": "x" * 20_000}, 431)]
)
def test_a_named_page_reads_why_its_request_was_refused_unread(
    named: Live, headers: dict[str, str], status: int
) -> None:
    for origin, allowed in ((PAGE, PAGE), ("https://evil.example", None)):
        answer = send(named, "POST", "/v1/chat/completions", headers={"origin": origin} | headers)
        assert answer.status == status
        assert answer.headers.get("access-control-allow-origin") == allowed
        assert answer.headers["vary"] == "origin"
    elsewhere = send(named, "POST", "/api/agents", headers={"origin": PAGE} | headers)
    assert (elsewhere.status, cors_of(elsewhere)) == (status, {})


@pytest.mark.parametrize(
    "origin", ["https://evil.example", f"{PAGE}.evil.example", "https://app.example.com:444", "null"]
)
def test_another_page_is_not_let_in(named: Live, origin: str) -> None:
    asked = send(named, "OPTIONS", "/v1/models", headers=ASKS | {"origin": origin})
    assert asked.status == 401
    answer = send(named, "GET", "/v1/models", headers={"origin": origin}, key=named.keys["alice"])
    assert cors_of(asked) == cors_of(answer) == {}
    assert answer.headers["vary"] == "origin"


def test_header_names_that_are_none_are_not_repeated(named: Live) -> None:
    asked = send(named, "OPTIONS", "/v1/models", headers=ASKS | {"access-control-request-headers": "a;b=<script>"})
    assert asked.headers["access-control-allow-headers"] == "authorization, content-type"


def test_an_options_request_that_is_no_question_of_a_browser_needs_a_key(named: Live) -> None:
    assert send(named, "OPTIONS", "/v1/models", headers={"origin": PAGE}).status == 401


@pytest.mark.slow
def test_every_page_may_call_where_the_setting_is_a_star(upstream: Upstream, tmp_path: Path) -> None:
    env = {"OPENFANG_CORS_ORIGINS": "*"}
    with Live(tmp_path, cast=upstream.base_url, keys=True, env=env) as live:
        answer = send(live, "GET", "/v1/models", headers={"origin": PAGE}, key=live.keys["alice"])
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert "vary" not in answer.headers


def test_a_server_without_keys_stays_closed_to_pages_from_elsewhere(upstream: Upstream, tmp_path: Path) -> None:
    with Live(tmp_path, cast=upstream.base_url, env={"OPENFANG_CORS_ORIGINS": PAGE}) as live:
        answer = send(live, "GET", "/v1/models", headers={"origin": PAGE})
        local = chat(live, model="")
    assert answer.status == 401
    assert "web page from elsewhere" in answer.json()["error"]["message"]
    assert local.status == 400


def test_answers_are_not_taken_for_anything_but_what_they_say(guarded: Live) -> None:
    for answer in (send(guarded, "GET", "/v1/models"), send(guarded, "GET", "/v1/models", key=guarded.keys["alice"])):
        assert answer.headers["x-content-type-options"] == "nosniff"
