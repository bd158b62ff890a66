"""WebSockets keep to their reader's pace, and are closed with a reason."""

import signal

import aiohttp
import pytest

from tests.openfang_site.server_process import read_until, serving


@pytest.fixture
def server():
    with serving(drain_seconds=5) as process:
        yield process


async def test_they_are_closed_when_the_server_stops(server):
    async with aiohttp.ClientSession() as client, client.ws_connect(f"{server.url}/live") as websocket:
        await websocket.send_str("hello")
        assert await websocket.receive_str() == "hello"
        server.signal(signal.SIGTERM)
        message = await websocket.receive()
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert message.data == 1001
    assert server.expect("websocket.disconnect").isdigit()
    assert server.expect("stopped") == ""
    assert server.wait() == (0, "")


async def test_what_is_sent_to_one_that_is_being_closed_is_no_fault(monkeypatch):
    monkeypatch.setenv("DRAIN_GOES", "1")
    with serving() as server:
        async with aiohttp.ClientSession() as client, client.ws_connect(f"{server.url}/live") as websocket:
            await websocket.send_str("late")
            server.expect("waiting")
            server.signal(signal.SIGTERM)
            assert (await websocket.receive()).data == 1001
        assert server.expect("stopped") == ""
        assert server.wait() == (0, "")


async def test_a_failed_application_closes_its_own(server):
    async with aiohttp.ClientSession() as client, client.ws_connect(f"{server.url}/live") as websocket:
        await websocket.send_str("fail")
        message = await websocket.receive()
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert message.data == 1011


def test_a_reader_that_reads_nothing_costs_little_and_does_not_hold_a_stop(server):
    server.peak_megabytes()
    before = server.peak_megabytes()
    upgrade = (
        "GET /live HTTP/1.1\nUpgrade: websocket\nConnection: Upgrade\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13"
    )
    flood = b"\x81\x85" + bytes(4) + b"flood"  # a text frame under an empty mask
    with server.ask(upgrade) as connection:
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        connection.sendall(flood)
        server.expect("sending")
        server.get("/hello")
        assert server.peak_megabytes() - before < 20
        server.signal(signal.SIGTERM)
        assert server.expect("websocket.disconnect").isdigit()
        assert server.expect("stopped") == ""
