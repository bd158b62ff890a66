"""A signal lets running answers end, then cancels the rest, and leaves without a trace."""

import signal
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest

from tests.openfang_site.server_process import CEILING, read_all, read_until, request, serving, split


def test_an_idle_server_stops_at_once():
    with serving() as server:
        server.signal(signal.SIGTERM)
        assert server.expect("draining") == ""
        assert server.expect("stopped") == ""
        assert server.wait() == (0, "")


def test_a_running_answer_ends_before_the_server_stops(monkeypatch):
    monkeypatch.setenv("DRAIN_GOES", "1")
    with serving() as server, server.ask("GET /slow HTTP/1.1") as slow, server.ask("GET /late HTTP/1.1") as late:
        read_until(late, b"first\r\n")
        server.expect("started")
        server.signal(signal.SIGTERM)
        head, body = split(read_all(slow))
        assert head.startswith("http/1.1 200 ok")
        assert "connection: close" in head
        assert body == b"done"
        assert read_all(late) == b"6\r\nsecond\r\n0\r\n\r\n"
        assert server.expect("stopped") == ""
        assert server.wait() == (0, "")


def test_new_connections_are_refused_and_idle_ones_closed_while_an_answer_runs():
    with serving() as server, server.ask("GET /slow HTTP/1.1") as slow, server.connect() as idle:
        idle.sendall(request("GET /hello HTTP/1.1"))
        read_until(idle, b"hello ")
        server.expect("started")
        server.signal(signal.SIGTERM)
        server.expect("draining")
        assert read_all(idle) == b""
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        slow.close()


def test_who_has_connected_before_the_stop_is_answered():
    """The system takes connections before the server does, and resets those that it has when the socket is closed."""
    with serving() as server:
        server.signal(signal.SIGSTOP)
        with ExitStack() as stack:
            waiting = [stack.enter_context(server.ask("GET /hello HTTP/1.1")) for _ in range(50)]
            server.signal(signal.SIGTERM)
            server.signal(signal.SIGCONT)
            answers = [split(read_all(connection))[0].partition("\r\n")[0] for connection in waiting]
        assert answers == ["http/1.1 200 ok"] * 50
        assert server.wait() == (0, "")


def test_a_request_that_is_still_being_sent_is_answered():
    with serving() as server, server.ask("POST /echo HTTP/1.1\nContent-Length: 4", b"ha") as connection:
        server.get("/hello")  # the first half has been read when this is answered
        server.signal(signal.SIGTERM)
        server.expect("draining")
        connection.sendall(b"lf")
        head, body = split(read_all(connection))
        assert head.startswith("http/1.1 200 ok")
        assert "connection: close" in head
        assert body == b'{"messages": 1, "size": 4}'
        assert server.wait() == (0, "")


def test_what_does_not_end_in_time_is_cancelled_and_cleans_up():
    with serving(drain_seconds=0.3) as server:
        stream = HTTPConnection("127.0.0.1", server.port, timeout=CEILING)
        stream.request("GET", "/slow_stream")
        with server.ask("GET /v1/slow HTTP/1.1") as unanswered:
            server.expect("started")
            server.expect("started")
            server.signal(signal.SIGTERM)
            for event in ("draining", "cancelled", "cleaned", "stopped"):
                server.expect(event)
            head, body = split(read_all(unanswered))
        assert head.startswith("http/1.1 503 service unavailable")
        assert b'"message": "The server is stopping."' in body
        with pytest.raises(Exception, match="IncompleteRead"):
            stream.getresponse().read()
        stream.close()
        code, written = server.wait()
        assert code == 0
        assert "Traceback" not in written


def test_a_second_signal_does_not_wait():
    with serving(drain_seconds=1000) as server, server.ask("GET /slow HTTP/1.1"):
        server.expect("started")
        server.signal(signal.SIGINT)
        server.expect("draining")
        server.signal(signal.SIGINT)
        for event in ("cancelled", "cleaned", "stopped"):
            server.expect(event)
        code, written = server.wait()
        assert code == 0
        assert "Traceback" not in written


def test_an_application_that_refuses_to_end_does_not_hold_the_server():
    with serving(drain_seconds=0.1, cancel_seconds=0.1) as server, server.ask("GET /stubborn HTTP/1.1") as connection:
        server.expect("started")
        server.signal(signal.SIGTERM)
        server.expect("refused")
        server.expect("stopped")
        assert read_all(connection) == b""
        code, written = server.wait()
        assert code == 0
        assert "Traceback" not in written
