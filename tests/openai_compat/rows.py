"""The usage row of one answer, found by the id that the answer bears."""

from typing import Any

from tests.live import Live
from tests.live.asking import eventually


def row_of(live: Live, completion_id: str) -> dict[str, Any]:
    request_id = completion_id.removeprefix("chatcmpl-").replace("-", "")
    [row] = live.usage(f"id = '{request_id}'")
    return row


def closed_row_of(live: Live, completion_id: str) -> dict[str, Any]:
    """Wait for the row of an answer whose client is gone: nobody is told when it is closed."""
    eventually(lambda: row_of(live, completion_id)["status"] != "running")
    return row_of(live, completion_id)
