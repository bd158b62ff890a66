import socket
import socketserver
import threading
from collections.abc import Callable, Sequence
from typing import Self


class Names:
    """A name server that knows one service, whatever it is asked for, by the addresses that it has at that time."""

    def __init__(self, addresses: Callable[[], Sequence[str]]) -> None:
        class ByUDP(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                query, connection = self.request
                connection.sendto(answer(query, addresses()), self.client_address)

        class ByTCP(socketserver.StreamRequestHandler):
            """Caddy 2.6 asks by TCP, with the length before each message."""

            def handle(self) -> None:
                while length := int.from_bytes(self.rfile.read(2)):
                    said = answer(self.rfile.read(length), addresses())
                    self.wfile.write(len(said).to_bytes(2) + said)

        tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), ByTCP)
        tcp.daemon_threads = True
        self.port: int = tcp.server_address[1]
        self._servers = [tcp, socketserver.ThreadingUDPServer(("127.0.0.1", self.port), ByUDP)]

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=server.serve_forever) for server in self._servers]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


def answer(query: bytes, addresses: Sequence[str]) -> bytes:
    """Return the answer (RFC 1035) to a query of one question: IPv4 addresses, and none to any other question."""
    question = query[12 : query.index(b"\0", 12) + 5]
    if question[-4:] != b"\0\1\0\1":
        addresses = []
    # Each: the name that was asked for, an address, of the Internet, valid for 0 s, 4 bytes long.
    records = [b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(address) for address in addresses]
    counts = b"\0\1" + len(records).to_bytes(2) + b"\0\0\0\0"
    return query[:2] + b"\x85\x80" + counts + question + b"".join(records)
