# mypy: allow-untyped-calls
from twisted.internet import tcp


class Transport(tcp.Server):
    """A client's connection, which sends what was written to it once the writer has had its turn.

    Twisted first has the system tell whether a socket takes data: that costs more than to send a chunk, and the answer
    is almost always yes. Here the system is asked only about a client that has not taken everything.
    """

    waits_for_room = False
    _sends_soon = False

    def startWriting(self) -> None:
        if not (self._sends_soon or self.waits_for_room):
            self._sends_soon = True
            self.reactor._asyncioEventloop.call_soon(self._send)

    def stopWriting(self) -> None:
        if self.waits_for_room:
            self.waits_for_room = False
            super().stopWriting()

    def _send(self) -> None:
        self._sends_soon = False
        if self.disconnected:
            return
        self.reactor._readOrWrite(self, False)
        if self.connected and (self.dataBuffer or self._tempDataLen):
            self.waits_for_room = True
            super().startWriting()
