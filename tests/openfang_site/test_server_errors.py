"""What the server itself has to refuse or to own up to is an error that OpenAI's clients can read."""

import json

import pytest

from tests.openfang_site.server_process import read_all, serving, split


@pytest.fixture(scope="module")
def server():
    with serving() as process:
        yield process


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("nonsense", "The request is not valid HTTP."),
        ("GET /v1/models HTTP/1.1\nContent-Length: many", "The request is not valid HTTP."),
        ("GET /v1/models HTTP/1.1\nno colon\nX-More: 1\nX-Still-More: 1", "The request is not valid HTTP."),
        ("POST /v1/echo HTTP/1.1\nTransfer-Encoding: chunked\n\nnot a length", "The request is not valid HTTP."),
        ("GET /v1/models HTTP/1.1\nConnection: close\nX-Control: \x0b", "Invalid header value."),
        ("GET /v1/modèles HTTP/1.1", "The request is not valid HTTP."),
    ],
)
def test_a_malformed_request_is_refused_once_in_json(server, head, message):
    with server.ask(head) as connection:
        received = read_all(connection)
    assert received.count(b"HTTP/1.1 ") == 1
    response_head, body = split(received)
    assert response_head.startswith("http/1.1 400 bad request")
    assert "content-type: application/json" in response_head
    assert "x-request-id: req_" in response_head
    assert json.loads(body) == {
        "error": {"message": message, "type": "invalid_request_error", "param": None, "code": "bad_request"}
    }


@pytest.mark.parametrize("path", ["/v1/fails", "/v1/silent"])
def test_an_application_that_gives_no_answer_is_a_500(server, path):
    head, body = server.get(path)
    assert head.startswith("http/1.1 500 internal server error")
    assert json.loads(body) == {
        "error": {
            "message": "The server failed to answer this request.",
            "type": "api_error",
            "param": None,
            "code": "internal_server_error",
        }
    }


def test_an_answer_that_breaks_off_does_not_look_complete(server):
    head, body = server.get("/v1/fails_late")
    assert head.startswith("http/1.1 200 ok")
    assert body == b"5\r\nfirst\r\n"


def test_the_server_does_not_advertise_its_parts(server):
    head, _ = server.get("/v1/hello")
    assert "server:" not in head


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (200, "ok"),
        (418, "i'm a teapot"),
        (422, "unprocessable"),
        (429, "too many requests"),
        (431, "request header fields too large"),
        (503, "service unavailable"),
    ],
)
def test_a_status_has_its_phrase(server, status, phrase):
    assert server.get(f"/status?{status}")[0].startswith(f"http/1.1 {status} {phrase}")
