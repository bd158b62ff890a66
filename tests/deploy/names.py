import socket
import socketserver
from collections.abc import Callable, Sequence

from tests.live.background import Background


class Names(Background):
    """A name server that knows one service, whatever it is asked for, by the addresses that it has at that time."""

    def __init__(self, addresses: Callable[[], Sequence[str]]) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                query, connection = self.request
                connection.sendto(answer(query, addresses()), self.client_address)

        super().__init__(socketserver.UDPServer(("127.0.0.1", 0), Handler))


def answer(query: bytes, addresses: Sequence[str]) -> bytes:
    """Return the answer (RFC 1035) to a query of one question: IPv4 addresses, and none to any other question."""
    question = query[12 : query.index(b"\0", 12) + 5]
    if question[-4:] != b"\0\1\0\1":
        addresses = []
    # Each: the name that was asked for, an address, of the Internet, valid for 0 s, 4 bytes long.
    records = [b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(address) for address in addresses]
    counts = b"\0\1" + len(records).to_bytes(2) + b"\0\0\0\0"
    return query[:2] + b"\x85\x80" + counts + question + b"".join(records)
