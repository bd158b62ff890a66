"""A server that can't listen says so in one line, before anything is served."""

import socket

import pytest

from openfang_site.listener import CannotListen, PortTaken, take_port


def test_a_taken_port_is_named():
    with take_port("127.0.0.1", 0) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(PortTaken) as taken:
            take_port("127.0.0.1", port)
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
        take_port(host, port)


def test_nobody_can_connect_before_the_server_listens():
    with take_port("127.0.0.1", 0) as listener, pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.getsockname())


def test_a_port_is_free_again_at_once():
    with take_port("127.0.0.1", 0) as listener:
        listener.listen()
        address = listener.getsockname()
        with socket.create_connection(address) as client:
            accepted, _ = accept(listener)
            accepted.close()  # the server's side closes first and stays in TIME_WAIT
            assert client.recv(1) == b""
    take_port(*address).close()


def accept(listener: socket.socket) -> tuple[socket.socket, object]:
    listener.setblocking(True)
    return listener.accept()


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_ipv6_works_and_every_address_means_ipv4_too():
    for host, reached_at in (("::1", "::1"), ("::", "::1"), ("::", "127.0.0.1")):
        with take_port(host, 0) as listener:
            listener.listen()
            socket.create_connection((reached_at, listener.getsockname()[1])).close()
