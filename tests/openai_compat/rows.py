"""The usage row of one answer, found by the id that the answer bears."""

import time
from typing import Any

from tests.live import Live


def row_of(live: Live, completion_id: str) -> dict[str, Any]:
    request_id = completion_id.removeprefix("chatcmpl-").replace("-", "")
    [row] = live.usage(f"id = '{request_id}'")
    return row


def closed_row_of(live: Live, completion_id: str) -> dict[str, Any]:
    """Wait for the row of an answer whose client is gone: nobody is told when it is closed."""
    deadline = time.monotonic() + 10
    while (row := row_of(live, completion_id))["status"] == "running":
        assert time.monotonic() < deadline, "the row was not closed within 10 s"
        time.sleep(0.01)
    return row
