"""Without keys the server is open to programs on its machine, but not to pages and proxies that reach it from there."""

import pytest

from tests.live import Live
from tests.openai_compat import raw, strict


def ask(live: Live, headers: dict[str, str]) -> raw.Answer:
    port = live.url.rpartition(":")[2]
    return raw.send(live, "GET", "/v1/models", headers={name: text.format(port=port) for name, text in headers.items()})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer dummy"},
        {"authorization": "Bearer of_anything"},
        {"authorization": "nonsense"},
        {"host": "localhost"},
        {"host": "localhost:{port}"},
        {"host": "127.0.0.1:{port}"},
        {"host": "127.8.9.1"},
        {"host": "[::1]:{port}"},
        {"host": "app.localhost"},
        {"origin": "http://localhost:3000"},
        {"origin": "http://127.0.0.1:{port}"},
    ],
)
def test_programs_on_this_machine_may_call(live: Live, headers: dict[str, str]):
    answer = ask(live, headers)
    assert answer.status == 200
    assert strict.model_list(answer.body)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"host": "agents.example.com"}, "addressed to another host name"),
        ({"host": "192.168.1.5:{port}"}, "addressed to another host name"),
        ({"host": "localhost.example.com"}, "addressed to another host name"),
        ({"host": "127.0.0.1.example.com"}, "addressed to another host name"),
        ({"host": ""}, "addressed to another host name"),
        ({"forwarded": "for=192.0.2.60"}, "forwarded (forwarded)"),
        ({"via": "1.1 tunnel"}, "forwarded (via)"),
        ({"x-forwarded-for": "127.0.0.1"}, "forwarded (x-forwarded-for)"),
        ({"x-forwarded-host": "localhost"}, "forwarded (x-forwarded-host)"),
        ({"x-forwarded-proto": "https"}, "forwarded (x-forwarded-proto)"),
        ({"x-real-ip": "127.0.0.1"}, "forwarded (x-real-ip)"),
        ({"cf-connecting-ip": "192.0.2.60"}, "forwarded (cf-connecting-ip)"),
        ({"true-client-ip": "192.0.2.60"}, "forwarded (true-client-ip)"),
        ({"origin": "https://example.com"}, "web page from elsewhere"),
        ({"origin": "http://localhost.example.com"}, "web page from elsewhere"),
        ({"origin": "null"}, "web page from elsewhere"),
    ],
)
def test_whoever_may_come_from_elsewhere_needs_a_key(live: Live, headers: dict[str, str], reason: str):
    answer = ask(live, {"authorization": "Bearer dummy", **headers})
    assert answer.status == 401
    error = strict.error(answer.json())
    assert (error.type, error.code, error.param) == ("invalid_request_error", "invalid_api_key", None)
    assert error.message.startswith("This server has no API keys yet, so it answers only programs on its own machine:")
    assert reason in error.message


def test_a_page_from_elsewhere_cannot_chat_with_an_agent(live: Live):
    body = b'{"model": "openfang:coder", "messages": [{"role": "user", "content": "Hello!"}]}'
    headers = {"origin": "https://example.com", "content-type": "text/plain"}
    assert raw.send(live, "POST", "/v1/chat/completions", body, headers=headers).status == 401


def test_keys_open_the_server_to_the_world(guarded: Live):
    headers = {"host": "agents.example.com", "x-forwarded-for": "192.0.2.60", "origin": "https://example.com"}
    answer = raw.send(guarded, "GET", "/v1/models", headers=headers, key=guarded.keys["alice"])
    assert answer.status == 200
    assert strict.model_list(answer.body)
