"""What the server refuses before the application sees it is told once, with what was read of it until then."""

from collections.abc import Iterator

import pytest

from tests.openfang_site.server_process import ServerProcess, read_all, read_until, request, serving, split

LIMIT = 1000


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with serving(body_bytes=LIMIT, idle_seconds=3) as process:  # some refusals leave a connection open
        yield process


@pytest.fixture(scope="module")
def hasty() -> Iterator[ServerProcess]:
    """A server whose clients have three seconds: more than a client of these tests is late by."""
    with serving(header_seconds=3, body_seconds=3) as process:
        yield process


def told(server: ServerProcess, answer_head: str) -> str:
    """What was told of a refusal, without the id that the answer must have, too, and the time that it took."""
    words = server.expect("refused").split()
    assert words.pop() == "True"
    request_id = words.pop()
    assert f"x-request-id: {request_id}\r\n" in f"{answer_head}\r\n"
    return " ".join(words)


@pytest.mark.parametrize(
    ("head", "body", "expected"),
    [
        ("nonsense", b"", "400 - - bad_request"),
        ("GET /" + "x" * 20_000 + " HTTP/1.1", b"", "431 - - headers_too_large"),
        ("GET /v1/models?q=1 HTTP/1.1\nX-Long: " + "x" * 20_000, b"", "431 GET /v1/models headers_too_large"),
        ("GET /v1/models HTTP/1.1" + "\nX-Many: 1" * 600, b"", "431 GET /v1/models headers_too_large"),
        ("GET /v1/models HTTP/1.1" + ("\nX-Large: " + "x" * 5000) * 4, b"", "431 GET /v1/models headers_too_large"),
        ("GET /v1/models HTTP/1.1\nno colon\nX-More: 1", b"", "400 GET /v1/models bad_request"),
        ("GET /v1/m%6fdels HTTP/1.1\nX-Control: \x0b", b"", "400 GET /v1/models bad_request"),
        ("GET /v1/models?q=\u00e9 HTTP/1.1", b"", "400 - - bad_request"),
        ("POST /echo HTTP/1.1\nTransfer-Encoding: chunked", b"no length\r\n", "400 POST /echo bad_request"),
        (f"POST /echo?q=1 HTTP/1.1\nContent-Length: {LIMIT + 1}", b"", "413 POST /echo request_too_large"),
        (
            "POST /echo HTTP/1.1\nTransfer-Encoding: chunked",
            b"7d0\r\n" + b"x" * 2000,
            "413 POST /echo request_too_large",
        ),
    ],
)
def test_a_refusal_is_told_with_what_was_read(server: ServerProcess, head: str, body: bytes, expected: str) -> None:
    with server.ask(head, body) as connection:
        answer_head, _ = split(read_all(connection))
    assert answer_head.startswith(f"http/1.1 {expected[:3]} ")
    assert told(server, answer_head) == expected


def test_a_request_after_others_on_its_connection_is_told_by_its_own_name(server: ServerProcess) -> None:
    with server.connect() as connection:
        connection.sendall(request("GET /hello HTTP/1.1"))
        read_until(connection, b"hello ")
        connection.sendall(request("nonsense"))
        answer_head, _ = split(read_all(connection))
    assert told(server, answer_head) == "400 - - bad_request"
    with server.connect() as connection:
        connection.sendall(
            request("GET /hello HTTP/1.1") + request(f"POST /echo HTTP/1.1\nContent-Length: {LIMIT + 1}")
        )
        answers = read_all(connection)
    assert answers.count(b"HTTP/1.1 ") == 2
    assert told(server, split(answers[answers.index(b"HTTP/1.1 413") :])[0]) == "413 POST /echo request_too_large"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET /hello HTTP/1.1\r\n", "GET /hello"),
        (b"GET /hel", "- -"),
    ],
)
def test_a_client_whose_header_takes_too_long_is_told_of_once_and_answered_nothing(
    hasty: ServerProcess, sent: bytes, expected: str
) -> None:
    with hasty.connect() as connection:
        connection.sendall(sent)
        assert read_all(connection) == b""
    assert hasty.expect("refused") == f"408 {expected} request_timeout - True"
    assert hasty.tells_nothing_more()


def test_a_client_whose_body_takes_too_long_is_told_so(hasty: ServerProcess) -> None:
    with hasty.ask("POST /echo HTTP/1.1\nContent-Length: 100", b"half") as connection:
        answer_head, body = split(read_all(connection))
    assert answer_head.startswith("http/1.1 408 ")
    assert b"The rest of the request body did not arrive." in body
    assert told(hasty, answer_head) == "408 POST /echo request_timeout"
    assert hasty.tells_nothing_more()


def test_a_tls_handshake_is_closed_at_once() -> None:
    with serving(header_seconds=600) as patient, patient.connect() as connection:
        connection.sendall(bytes.fromhex("16030100050100000100"))
        with pytest.raises(ConnectionResetError):
            read_all(connection)


def test_connections_that_ask_nothing_and_what_the_application_answers_are_not_told(hasty: ServerProcess) -> None:
    with hasty.connect() as silent:
        assert read_all(silent) == b""
    for path in ("/hello", "/fails", "/silent"):
        hasty.get(path)
    assert hasty.tells_nothing_more()


@pytest.mark.parametrize(
    "head",
    [
        f"POST /echo HTTP/1.1\nOrigin: http://page\nContent-Length: {LIMIT + 1}",
        "GET / HTTP/1.1\nOrigin: http://page\nX: \x0b",
    ],
)
def test_an_answer_has_the_headers_that_were_returned_for_it(server: ServerProcess, head: str) -> None:
    with server.ask(head) as connection:
        answer_head, _ = split(read_all(connection))
    assert "x-page: http://page" in answer_head.split("\r\n")
    told(server, answer_head)
