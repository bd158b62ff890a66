import asyncio
from typing import Any


class Flow:
    """The pace of one connection: whoever writes waits while the client has too much left to read.

    Twisted calls `pauseProducing` when more than 64 KB are unsent, and `resumeProducing` when all of it has been sent.
    """

    transport: Any
    full = False
    _drained: asyncio.Future[None] | None = None
    _sent = 0
    _moved = 0.0

    def pauseProducing(self) -> None:
        self.full = True
        super().pauseProducing()  # type: ignore[misc]

    def resumeProducing(self) -> None:
        self.release()
        super().resumeProducing()  # type: ignore[misc]

    def release(self) -> None:
        """Wake whoever waits to write: there is room again, or there is no connection any more."""
        self.full = False
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    async def drained(self) -> None:
        """Wait until the client has read what was written so far."""
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._drained)

    def stalled(self, now: float, patience: float) -> bool:
        """Return whether data has waited longer than `patience` for the client to make room for any of it."""
        transport = self.transport
        if not transport.waits_for_room or transport.sent != self._sent:
            self._sent = transport.sent
            self._moved = now
        return now - self._moved > patience
