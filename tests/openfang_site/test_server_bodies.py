"""Request bodies: whole in one message, bounded while they are read, refused so that clients can read why."""

import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from io import BytesIO

import aiohttp
import pytest

from tests.openfang_site.server_process import (
    CEILING,
    MEGABYTE,
    ServerProcess,
    read_all,
    read_until,
    request,
    serving,
    split,
)

LIMIT = MEGABYTE
TOO_LARGE = {
    "error": {
        "message": f"Request body is larger than {LIMIT} bytes.",
        "type": "invalid_request_error",
        "param": None,
        "code": "request_too_large",
    }
}


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with serving(body_bytes=LIMIT) as process:
        yield process


def post(server: ServerProcess, body: bytes) -> "urllib.request.Request":
    return urllib.request.Request(f"{server.url}/v1/echo", data=body, headers={"Content-Type": "application/json"})


async def pieces(megabytes: int) -> AsyncIterator[bytes]:
    for _ in range(megabytes):
        yield b"x" * MEGABYTE


def test_a_body_of_exactly_the_limit_arrives_in_one_message(server):
    with urllib.request.urlopen(post(server, b"x" * LIMIT)) as response:
        assert json.load(response) == {"messages": 1, "size": LIMIT}


def test_a_chunked_body_arrives_in_one_message(server):
    head = request("POST /v1/echo HTTP/1.1\nTransfer-Encoding: chunked\nConnection: close")
    with server.connect() as connection:
        connection.sendall(head + b"5\r\nhello\r\n" * 40 + b"0\r\n\r\n")
        _, body = split(read_all(connection))
    assert json.loads(body) == {"messages": 1, "size": 200}


def test_urllib_reads_the_refusal_of_a_body_that_it_has_sent_whole(server):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(post(server, b"x" * 40 * LIMIT))
    with refused.value as response:
        assert response.status == 413
        assert response.headers["content-type"] == "application/json"
        assert response.headers["connection"] == "close"
        assert json.load(response) == TOO_LARGE


async def test_aiohttp_reads_the_refusal_of_a_body_that_it_is_still_sending(server):
    async with aiohttp.ClientSession() as client:
        async with client.post(f"{server.url}/v1/echo", data=pieces(40)) as response:
            assert response.status == 413
            assert await response.json() == TOO_LARGE
        async with client.post(f"{server.url}/v1/echo", data=BytesIO(b"x" * 40 * LIMIT)) as response:
            assert response.status == 413
            assert await response.json() == TOO_LARGE
        async with client.post(f"{server.url}/v1/echo", data=b"x") as response:
            assert json.loads(await response.read()) == {"messages": 1, "size": 1}


def test_a_client_that_asks_first_is_refused_before_it_sends(server):
    head = f"POST /v1/echo HTTP/1.1\nContent-Length: {LIMIT + 1}\nExpect: 100-continue"
    with server.ask(head) as connection:
        head, body = split(read_all(connection))
    assert head.startswith("http/1.1 413 ")
    assert json.loads(body) == TOO_LARGE


def test_a_client_that_asks_first_may_send_what_is_within_the_limit(server):
    with server.ask("POST /v1/echo HTTP/1.1\nContent-Length: 5\nExpect: 100-continue\nConnection: close") as connection:
        assert read_until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hello")
        _, body = split(read_all(connection))
    assert json.loads(body) == {"messages": 1, "size": 5}


def test_memory_stays_flat_under_a_body_without_a_length(server):
    server.peak_megabytes()
    before = server.peak_megabytes()
    with server.ask("POST /v1/echo HTTP/1.1\nTransfer-Encoding: chunked") as connection:
        chunk = b"%x\r\n%s\r\n" % (MEGABYTE, b"x" * MEGABYTE)
        for _ in range(100):
            connection.sendall(chunk)
        head, body = split(read_all(connection))
    assert head.startswith("http/1.1 413 ")
    assert json.loads(body) == TOO_LARGE
    assert server.peak_megabytes() - before < 20


def test_what_follows_a_refused_body_is_not_taken_for_a_request(server):
    refused = request("POST /v1/echo HTTP/1.1\nTransfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (
        2 * LIMIT,
        b"x" * 2 * LIMIT,
    )
    with server.connect() as connection:
        connection.sendall(refused + request("GET /v1/hello HTTP/1.1"))
        received = read_all(connection)
    assert received.count(b"HTTP/1.1 ") == 1
    assert received.startswith(b"HTTP/1.1 413 ")


def test_the_application_does_not_see_a_body_that_is_refused_at_its_end():
    with serving(body_bytes=1000) as server:
        with server.ask(
            "POST /stubborn HTTP/1.1\nTransfer-Encoding: chunked", b"7d0\r\n%s\r\n0\r\n\r\n" % (b"x" * 2000)
        ) as refused:
            assert read_all(refused).startswith(b"HTTP/1.1 413 ")
        assert server.told.get(timeout=CEILING).startswith("refused 413 POST /stubborn ")
        assert server.tells_nothing_more()


def test_a_client_that_never_stops_sending_is_closed():
    with serving(body_bytes=1000, linger_bytes=5 * MEGABYTE) as server:
        with server.ask("POST /v1/echo HTTP/1.1\nTransfer-Encoding: chunked") as connection:
            chunk = b"%x\r\n%s\r\n" % (MEGABYTE, b"x" * MEGABYTE)
            with pytest.raises(OSError, match=r"reset|Broken pipe"):
                while True:
                    connection.sendall(chunk)
        assert server.get("/hello")[1] == b"hello "
