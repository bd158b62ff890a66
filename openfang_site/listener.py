import errno
import socket

# The system caps it (net.core.somaxconn, 4096 today); Twisted's own 50 refuses clients in a burst.
BACKLOG = 4096
# How much of an answer the system queues beyond what is on its way. Linux would take up to 4 MB for a client that reads
# nothing: an answer shorter than that never stalled, and a slow one took minutes to.
UNSENT_BYTES = 128 * 1024


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


def take_port(host: str, port: int) -> socket.socket:
    """Take the port, before anything else is started; port 0 takes a free one. IPv4, IPv6 or a name.

    Nobody can connect before the server listens: a proxy passes over one that starts, and one that does not start.
    """
    if not 0 <= port <= 65535:
        raise CannotListen(host, port, "ports go from 0 to 65535")  # the system takes 70000 for 4464
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return _bound(family, (str(address[0]), port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(host, port) from error
        raise CannotListen(host, port, error.strerror or str(error)) from error


def start_listening(listener: socket.socket) -> None:
    """Let clients connect, which several workers may say of the socket that they share."""
    try:
        listener.listen(BACKLOG)
    except OSError as error:  # another process has taken the port, too, and was faster
        raise PortTaken(*listener.getsockname()[:2]) from error


def _bound(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    listener = socket.socket(family)
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart need not wait for old connections
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # Linux and macOS; accepted connections inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener
