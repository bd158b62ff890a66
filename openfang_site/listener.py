import errno
import socket

# The system caps it (net.core.somaxconn, 4096 today); Twisted's own 50 refuses clients in a burst.
BACKLOG = 4096


class CannotListen(Exception):
    """The server can't be reached where it was told to listen; the message says why."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"Can't listen on {host}, port {port}: {reason}.")
        self.host = host
        self.port = port


class PortTaken(CannotListen):
    """Another process listens there already."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port, "another process uses that port")


def listen(host: str, port: int) -> socket.socket:
    """Take the port, before anything else is started; port 0 takes a free one. IPv4, IPv6 or a name."""
    if not 0 <= port <= 65535:
        raise CannotListen(host, port, "ports go from 0 to 65535")  # the system takes 70000 for 4464
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        every_address = family == socket.AF_INET6 and address[0] == "::"
        listener = socket.create_server(
            address[:2],
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=every_address and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(host, port) from error
        raise CannotListen(host, port, error.strerror or str(error)) from error
    listener.setblocking(False)
    return listener
