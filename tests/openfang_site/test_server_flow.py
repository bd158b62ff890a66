"""Answers go out at the client's pace, and the application learns when the client has left."""

import select
import threading
import time

import pytest

from tests.openfang_site.server_process import CEILING, MEGABYTE, read_all, read_until, request, serving, split

STALL, PATIENCE = 1.5, 6.0  # without a byte read: of who never reads, and of who does


@pytest.fixture(scope="module")
def server():
    with serving(stall_seconds=STALL) as process:
        yield process


@pytest.fixture(scope="module")
def patient():
    """A server for clients that read, which may be late by seconds."""
    with serving(stall_seconds=PATIENCE) as process:
        yield process


def test_a_client_that_never_reads_costs_little_and_is_cut(server):
    server.peak_megabytes()
    before = server.peak_megabytes()
    with server.ask("GET /large?500 HTTP/1.1") as connection:
        server.expect("sending")
        assert server.expect("http.disconnect") == ""
        assert server.peak_megabytes() - before < 20
        with pytest.raises(ConnectionResetError):
            read_all(connection)


def test_a_client_that_never_reads_an_answer_in_one_piece_is_cut(server):
    with server.ask("GET /huge?30 HTTP/1.1") as connection:
        cut = select.poll()
        cut.register(connection, 0)  # for hanging up alone, which is always told
        assert cut.poll(CEILING * 1000)
        with pytest.raises(ConnectionResetError):
            read_all(connection)


def test_clients_that_never_read_are_cut_beside_busy_ones_while_the_system_could_hold_all_they_are_sent(server):
    done = threading.Event()

    def ask_on() -> None:
        while not done.is_set():
            server.get("/hello?busy")

    busy = [threading.Thread(target=ask_on) for _ in range(4)]
    for one in busy:
        one.start()
    deaf = [server.ask("GET /held HTTP/1.1") for _ in range(60)]
    cut = select.poll()
    for connection in deaf:
        cut.register(connection, 0)
    try:
        deadline = time.monotonic() + CEILING
        left = len(deaf)
        while left and time.monotonic() < deadline:
            for descriptor, _ in cut.poll(1000):
                cut.unregister(descriptor)
                left -= 1
        assert left == 0
    finally:
        done.set()
        for one in busy:
            one.join()
        for connection in deaf:
            connection.close()


def test_a_slow_client_that_goes_on_reading_gets_everything(patient):
    received = 0
    with patient.ask("GET /huge?40 HTTP/1.1\nConnection: close") as connection:
        started = time.monotonic()
        while piece := connection.recv(MEGABYTE):
            received += len(piece)
            if time.monotonic() - started < 1.5 * PATIENCE:
                time.sleep(PATIENCE / 15)
    assert received > 40_000_000


def test_large_answers_arrive_whole(patient):
    with patient.ask("GET /large?20 HTTP/1.1\nConnection: close") as connection:
        _, body = split(read_all(connection))
    assert body.count(b"x") == 20_000_000
    assert body.endswith(b"0\r\n\r\n")


def test_a_client_is_not_cut_for_what_is_only_about_to_be_sent():
    with serving(linger_seconds=0.004) as server:  # looked at every millisecond
        for _ in range(100):
            assert server.get("/large?1")[1].endswith(b"0\r\n\r\n")


def test_a_client_that_leaves_in_mid_stream_is_noticed(server):
    with server.ask("GET /patient HTTP/1.1") as connection:
        read_until(connection, b"first\r\n")
    assert server.expect("http.disconnect") == ""


def test_requests_sent_together_are_answered_in_order(server):
    together = b"".join(request(f"GET /hello?{number} HTTP/1.1") for number in range(50))
    with server.connect() as connection:
        connection.sendall(together + request("GET /hello?last HTTP/1.1\nConnection: close"))
        received = read_all(connection)
    answers = [response.partition(b"\r\n\r\n")[2] for response in received.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert answers == [b"hello %d" % number for number in range(50)] + [b"hello last"]


def test_large_answers_to_requests_sent_together_wait_for_the_client(server):
    server.peak_megabytes()
    before = server.peak_megabytes()
    with server.connect() as connection:
        connection.sendall(request("GET /large?1 HTTP/1.1") * 50)
        server.expect("sending")
        server.expect("http.disconnect")  # the first answer is written or cut; the others have not begun
        assert server.peak_megabytes() - before < 20


def test_a_connection_is_used_again(server):
    with server.connect() as connection:
        for number in range(3):
            connection.sendall(request(f"GET /hello?{number} HTTP/1.1"))
            assert read_until(connection, b"hello %d" % number).startswith(b"HTTP/1.1 200 OK")
