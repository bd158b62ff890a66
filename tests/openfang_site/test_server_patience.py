"""Clients that are slow to say what they want are closed; clients that wait for an answer are not."""

import socket
from contextlib import suppress

import pytest

from tests.openfang_site.server_process import read_all, read_until, request, serving


@pytest.fixture(scope="module")
def server():
    # The first two are what a client of these tests may be late by; nothing is sent on connections that are idle.
    with serving(header_seconds=3, body_seconds=5, idle_seconds=0.6) as process:
        yield process


def test_a_client_that_sends_nothing_is_closed(server):
    with server.connect() as connection:
        assert read_all(connection) == b""


def test_a_client_that_sends_its_header_in_drops_is_closed(server):
    with server.connect() as connection:
        connection.sendall(b"GET /hello HTTP/1.1\r\n")
        connection.settimeout(0.1)
        for _ in range(400):  # fewer than the headers that a request may have
            if not is_open(connection):
                return
            with suppress(ConnectionError):  # closed at this moment
                connection.sendall(b"X-Drop: 1\r\n")
        pytest.fail("still open after 40 s")


def test_a_client_that_stops_in_the_body_is_closed(server):
    with server.ask("POST /echo HTTP/1.1\nContent-Length: 100", b"half") as connection:
        assert read_all(connection).startswith(b"HTTP/1.1 408 ")


def test_a_slow_body_that_goes_on_is_taken(server):
    head = "POST /echo HTTP/1.1\nTransfer-Encoding: chunked\nConnection: close"
    with server.ask(head) as slow, server.ask(head) as silent:
        silent.settimeout(0.1)
        pieces = 0
        while is_open(silent):  # until the time is over that a body has which does not go on
            slow.sendall(b"1\r\nx\r\n")
            pieces += 1
        slow.sendall(b"0\r\n\r\n")
        assert read_all(slow).endswith(b'{"messages": 1, "size": %d}' % pieces)


def is_open(connection: socket.socket) -> bool:
    """Wait as long as the connection's timeout for its end."""
    try:
        return connection.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionError:  # what was sent last has come too late
        return False


def test_an_idle_connection_is_closed(server):
    with server.connect() as connection:
        connection.sendall(request("GET /hello HTTP/1.1"))
        assert read_until(connection, b"hello ").startswith(b"HTTP/1.1 200 OK")
        assert read_all(connection) == b""


def test_a_client_that_waits_for_its_answer_is_not_closed(server):
    with server.ask("GET /late HTTP/1.1\nConnection: close") as waiting:
        read_until(waiting, b"first\r\n")
        with server.connect() as idle:
            assert read_all(idle) == b""  # closed: the time that an idle client has is over
        server.get("/go")
        assert read_all(waiting) == b"6\r\nsecond\r\n0\r\n\r\n"
