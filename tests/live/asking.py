"""What tests say to a live server with plain HTTP, and how they find the usage row of what they said.

`verify=False` saves every client the reading of the system's certificates: half of a request's time.
"""

import json
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from tests.live.server import Live

# What takes a moment on a quiet machine takes many on one whose cores are shared: only a failure waits so long.
TIMEOUT = 120


def body(model: str = "coder", **fields: Any) -> dict[str, Any]:
    """A chat request; one user message unless `messages` are among the fields."""
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}


def url_of(live: Live) -> str:
    return f"{live.base_url}/chat/completions"


def ask(live: Live, model: str = "coder", *, key: str = "dummy", **fields: Any) -> httpx2.Response:
    """Send a chat request and read its whole answer, be it a stream or not."""
    headers = {"authorization": f"Bearer {key}"}
    return httpx2.post(url_of(live), json=body(model, **fields), headers=headers, timeout=TIMEOUT, verify=False)


@contextmanager
def streaming(live: Live, model: str = "coder", **fields: Any) -> Iterator[httpx2.Response]:
    """Send a chat request for a stream and hand over the response when its head is there."""
    with (
        httpx2.Client(timeout=TIMEOUT, verify=False) as client,
        client.stream("POST", url_of(live), json=body(model, stream=True, **fields)) as response,
    ):
        yield response


def events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The events of a stream, up to its `[DONE]`, which must come and be the last."""
    pieces = iter(lines)
    for line in pieces:
        if line == "data: [DONE]":
            assert not any(pieces), "something followed [DONE]"
            return
        if line:
            assert line.startswith("data: "), line
            yield json.loads(line.removeprefix("data: "))
    raise AssertionError("the stream ended without [DONE]")


def events_of(response: httpx2.Response) -> list[dict[str, Any]]:
    return list(events(response.text.split("\n")))


def text_of(chunks: Iterable[dict[str, Any]], key: str = "content") -> str:
    return "".join(choice["delta"].get(key) or "" for chunk in chunks for choice in chunk.get("choices", ()))


def content_of(response: httpx2.Response) -> str:
    """The text of an answer that was not streamed."""
    assert response.status_code == 200, response.text
    content = response.json()["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


def read_until(lines: Iterator[str], text: str) -> None:
    """Read a stream up to the chunk that completes this text."""
    seen = ""
    while text not in seen:
        line = next(lines)
        if line.startswith("data: {"):
            seen += text_of([json.loads(line.removeprefix("data: "))])


def request_id(response: httpx2.Response) -> str:
    """The id of the usage row, as SQLite has it."""
    return response.headers["x-request-id"].removeprefix("req_")


def row_of(live: Live, response: httpx2.Response) -> dict[str, Any]:
    """The usage row of an answer that is over; it is closed."""
    [row] = live.usage(f"id = '{request_id(response)}'")
    assert row["status"] != "running"
    return row


def closed_row(live: Live, where: str) -> dict[str, Any]:
    """The one usage row that fits, once it is closed: for a client that left and was told nothing."""
    row: dict[str, Any] = eventually(lambda: next(iter(live.usage(f"({where}) AND status != 'running'")), None))
    return row


def eventually(find: Any, seconds: float = TIMEOUT, *, every: float = 0.02) -> Any:
    """What `find` returns once that is not false or None."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s"
        time.sleep(every)
    return found


def somebody() -> str:
    """A name for `user` that finds one request's row, whatever else the server has answered."""
    return f"user-{uuid.uuid4().hex}"
