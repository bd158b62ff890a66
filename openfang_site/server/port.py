# mypy: allow-untyped-calls
"""One listening socket for several workers: a new connection goes to the one that has the fewest.

The system wakes them all for it, and whichever runs first takes it: of 16 that came at once, one of two workers got up
to 16 (measured). A socket for each (SO_REUSEPORT) divides more evenly, but by chance; what waits at the socket of a
worker that dies is lost; and any program of the same user can join in unnoticed.
"""

import socket
from typing import Any

from twisted.internet import tcp

from openfang_site.listener import BACKLOG, start_listening
from openfang_site.seats import Seat
from openfang_site.server.reactor import reactor
from openfang_site.server.transport import Transport

# For a worker with fewer connections to take the next one first; with it, 16 at once were divided 8 and 8.
WAIT_SECONDS = 0.001


class SharedPort(tcp.Port):
    """Takes one connection at a time, and after workers that have fewer."""

    transport = Transport
    seat: Seat
    _has_waited = False

    def doRead(self) -> None:
        if self.seat.another_has_fewer() and not self._has_waited:
            self._has_waited = True
            self.stopReading()
            self.reactor.callLater(WAIT_SECONDS, self._go_on)
            return
        self._has_waited = False
        self.numberAccepts = 1
        super().doRead()

    def take_all(self) -> None:
        """Take whoever has connected: the system resets what still waits at a socket when that is closed."""
        self.numberAccepts = BACKLOG
        super().doRead()

    def _go_on(self) -> None:
        if self.connected and not self.disconnecting:
            self.startReading()


def take_connections(listener: socket.socket, factory: Any, seat: Seat) -> SharedPort:
    """Listen, and do what `reactor.adoptStreamPort` does, for a socket that other workers may have, too."""
    start_listening(listener)
    port: SharedPort = SharedPort._fromListeningDescriptor(reactor, listener.fileno(), listener.family, factory)
    port.seat = seat
    seat.count(0)
    port.startListening()
    return port
