"""The wire without a client in between: requests as they are written, answers as they came."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.live import Live
from tests.live.asking import TIMEOUT

DONE = b"data: [DONE]"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)

    def events(self) -> list[bytes]:
        """Return the lines of a stream, which must be `data:` lines with a blank line after each, and nothing else."""
        assert self.headers["content-type"] == "text/event-stream; charset=utf-8"
        *events, rest = self.body.split(b"\n\n")
        assert rest == b""
        assert all(event.startswith(b"data: ") and b"\n" not in event and b"\r" not in event for event in events)
        return events

    def chunks(self) -> list[Any]:
        """Return what a complete stream says before its [DONE]."""
        *events, last = self.events()
        assert last == DONE
        return [json.loads(event.removeprefix(b"data: ")) for event in events]


def send(
    live: Live, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, key: str = ""
) -> Answer:
    """Send a request and read its answer to the end. A body that is not bytes is sent as JSON."""
    address = urlsplit(live.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT)
    sent = {"authorization": f"Bearer {key}"} if key else {}
    if body is not None:
        sent["content-type"] = "application/json"
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        connection.request(method, path, body, {**sent, **(headers or {})})
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def chat(live: Live, *, model: str = "openfang:coder", key: str = "", **fields: Any) -> Answer:
    """Post a chat completion request."""
    messages = fields.pop("messages", [{"role": "user", "content": "Hello!"}])
    return send(live, "POST", "/v1/chat/completions", {"model": model, "messages": messages, **fields}, key=key)
