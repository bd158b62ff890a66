"""What the upstream remembers of a request: what was sent, and when its answer began, ended or was given up."""

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any

from tests.upstream.steps import Asked


class Moment(threading.Event):
    """An event that knows when it happened, on the clock of `time.monotonic()`."""

    def __init__(self) -> None:
        super().__init__()
        self.at: float | None = None

    def set(self) -> None:
        self.at = time.monotonic() if self.at is None else self.at
        super().set()

    async def seen(self) -> None:
        """Wait for it without blocking the event loop; fail the test if it has not come after a minute."""
        assert await asyncio.to_thread(self.wait, 60), "it did not happen within a minute"


class Received:
    """One request that reached the upstream."""

    def __init__(self, method: str, path: str, headers: Mapping[str, str], raw: bytes, body: Any) -> None:
        self.method = method
        self.path = path
        # Found without regard to case.
        self.headers = headers
        self.raw = raw
        # The parsed JSON, None when there is none.
        self.body = body
        self.at = time.monotonic()
        # The first byte of the answer has been written.
        self.started = Moment()
        # The answer has been played to its end, be it a good one or a cut.
        self.answered = Moment()
        # The client closed its connection before that.
        self.client_gone = Moment()
        self.released = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __repr__(self) -> str:
        return f"<{self.method} {self.path} {self.model!r}, {self.size} bytes>"

    def release(self) -> None:
        """Let the answer go on past the point where it stalls or hangs, now or when it gets there."""
        self._loop.call_soon_threadsafe(self.released.set)

    @property
    def size(self) -> int:
        return len(self.raw)

    @property
    def model(self) -> str:
        return str(self._field("model") or "")

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self._field("messages") or [])

    @property
    def asked(self) -> Asked:
        options = self._field("stream_options") or {}
        return Asked(self.model, bool(self._field("stream")), bool(options.get("include_usage")))

    def _field(self, name: str) -> Any:
        return self.body.get(name) if isinstance(self.body, dict) else None
