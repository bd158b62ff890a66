"""Hosts, origins and targets that cannot be taken apart: each is refused, as the client's fault, on every path."""

import socket
from urllib.parse import urlsplit

import pytest

from tests.live import Live
from tests.openai_compat import raw

UNREADABLE = ["[", "[::1", "]", "a]b", "[zz]", "[::1]x", "a:99999", "a:b", "a\tb", "\x80", "//["]
ORIGINS = [f"http://{host}" for host in UNREADABLE] + ["http://", "://", "null"]
PATHS = ["/v1/models", "/api/agents", "/api/docs", "/admin/login/", "/admin/", "/static/openfang/mark.svg", "/metrics"]


@pytest.mark.parametrize("path", PATHS)
def test_a_host_or_an_origin_that_is_none_fails_nothing(live: Live, path: str):
    for header, values in {"host": UNREADABLE, "origin": ORIGINS, "referer": ORIGINS}.items():
        for value in values:
            for method in ("GET", "POST"):
                answer = raw.send(live, method, path, headers={header: value})
                assert answer.status < 500, (method, path, header, value)


@pytest.mark.parametrize("host", ["[", "[::1", "]"])
def test_without_keys_a_host_that_is_none_is_not_this_machine(live: Live, host: str):
    by_host = raw.send(live, "GET", "/v1/models", headers={"host": host})
    by_origin = raw.send(live, "GET", "/v1/models", headers={"origin": f"http://{host}"})
    assert (by_host.status, by_origin.status) == (401, 401)
    assert "another host name" in by_host.json()["error"]["message"]
    assert "web page from elsewhere" in by_origin.json()["error"]["message"]


@pytest.mark.parametrize(
    "target", ["http://[/v1/models", "//[", "//[/admin/", "/admin/login/?next=http://[", "*", "[", "http://[::1"]
)
def test_a_target_that_cannot_be_taken_apart_fails_nothing(live: Live, target: str):
    assert first_line(live, f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") < 500


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_websocket_from_an_origin_that_is_none_is_refused(live: Live, origin: str):
    handshake = (
        "GET /admin/live/requests/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {origin}\r\n\r\n"
    )
    assert 400 <= first_line(live, handshake) < 500


def first_line(live: Live, request: str) -> int:
    """Return the status of the answer to a request as it is written here."""
    address = urlsplit(live.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(request.encode("latin-1"))
        answer = connection.makefile("rb").readline()
    return int(answer.split()[1])
