"""A server that can't listen says so in one line, before anything is served."""

import socket

import pytest

from openfang_site.listener import CannotListen, PortTaken, listen


def test_a_taken_port_is_named():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortTaken) as taken:
            listen("127.0.0.1", port)
    assert str(taken.value) == f"Can't listen on 127.0.0.1, port {port}: another process uses that port."


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("192.0.2.1", 0),  # an address for documentation: never this machine's
        ("name.invalid", 0),
        ("127.0.0.1", 70_000),
    ],
)
def test_an_impossible_address_is_named(host, port):
    with pytest.raises(CannotListen, match=f"Can't listen on {host}, port {port}: "):
        listen(host, port)


def test_a_port_is_free_again_at_once():
    with listen("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address) as client:
            accepted, _ = accept(listener)
            accepted.close()  # the server's side closes first and stays in TIME_WAIT
            assert client.recv(1) == b""
    listen(*address).close()


def accept(listener: socket.socket) -> tuple[socket.socket, object]:
    listener.setblocking(True)
    return listener.accept()


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_ipv6_works_and_every_address_means_ipv4_too():
    with listen("::1", 0) as listener, socket.create_connection(listener.getsockname()[:2]):
        pass
    with listen("::", 0) as listener, socket.create_connection(("127.0.0.1", listener.getsockname()[1])):
        pass
