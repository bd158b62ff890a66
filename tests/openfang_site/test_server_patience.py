"""Clients that are slow to say what they want are closed; clients that wait for an answer are not."""

import pytest

from tests.openfang_site.server_process import read_all, read_until, request, serving


@pytest.fixture(scope="module")
def server():
    with serving(header_seconds=0.6, body_seconds=0.6, idle_seconds=0.6) as process:
        yield process


def test_a_client_that_sends_nothing_is_closed(server):
    with server.connect() as connection:
        assert read_all(connection) == b""


def test_a_client_that_sends_its_header_in_drops_is_closed(server):
    with server.connect() as connection:
        connection.sendall(b"GET /hello HTTP/1.1\r\n")
        connection.settimeout(0.1)
        for _ in range(100):
            try:
                assert connection.recv(1) == b""
                return
            except TimeoutError:
                connection.sendall(b"X-Drop: 1\r\n")
        pytest.fail("still open after 10 s")


def test_a_client_that_stops_in_the_body_is_closed(server):
    with server.ask("POST /echo HTTP/1.1\nContent-Length: 100", b"half") as connection:
        assert read_all(connection) == b""


def test_a_slow_body_that_goes_on_is_taken(server):
    with server.ask("POST /echo HTTP/1.1\nContent-Length: 8\nConnection: close") as connection:
        connection.settimeout(0.15)
        for _ in range(8):
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.sendall(b"x")
        connection.settimeout(10)
        assert read_all(connection).endswith(b'{"messages": 1, "size": 8}')


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
