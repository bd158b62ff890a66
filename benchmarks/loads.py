"""The loads that every target is put under, and the bodies of their requests."""

import base64
import json
from typing import Any

from msgspec import Struct

MODELS = ("reply", "stream-50", "tool", "slow-2-10", "slow-10-10", "slow-10-1", "until-left")
IMAGE_BYTES, PROMPT_BYTES = 1_000_000, 100_000


class Load(Struct, frozen=True):
    """What is sent, over how many connections; `once` sends one request over each instead of as many as it can.

    A crowd comes `within` some seconds: what happens in the instant in which all come is not what its chunks wait for.
    `agents_only` loads need what only an agent server does; `spread` loads keep several workers busy.
    """

    name: str
    model: str
    connections: int
    stream: bool = False
    content: str | list[dict[str, Any]] = "Hello"
    once: bool = False
    within: float = 0.0
    agents_only: bool = False
    spread: bool = False

    def body(self, prefix: str = "") -> bytes:
        asked = {
            "model": prefix + self.model,
            "messages": [{"role": "user", "content": self.content}],
            "stream": self.stream,
        }
        return json.dumps(asked).encode()

    @property
    def expected(self) -> bytes:
        return b"[DONE]" if self.stream else b"word0"


def image() -> list[dict[str, Any]]:
    # Not a picture: neither the upstream nor anything in between looks inside.
    data = base64.b64encode(bytes(IMAGE_BYTES)).decode()
    return [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}]


LOADS = [
    Load("reply, 1 connection", "reply", 1),
    Load("reply, 16 connections", "reply", 16, spread=True),
    Load("reply, 64 connections", "reply", 64, spread=True),
    Load("50-chunk stream, 1 connection", "stream-50", 1, stream=True),
    Load("50-chunk stream, 16 connections", "stream-50", 16, stream=True, spread=True),
    Load("50-chunk stream, 64 connections", "stream-50", 64, stream=True, spread=True),
    Load("one tool call, 16 connections", "tool", 16, agents_only=True),
    Load("prompt of 100 KB, 4 connections", "reply", 4, content="word " * (PROMPT_BYTES // 5)),
    Load("image of 1 MB, 4 connections", "reply", 4, content=image()),
]
LEAVING = Load("leaving", "until-left", 1, stream=True)
CROWDS = [
    Load("1,000 streams of 2 chunks a second, opened within 5 s", "slow-2-10", 1000, stream=True, once=True, within=5),
    Load("300 streams of 10 chunks a second, opened within 5 s", "slow-10-10", 300, stream=True, once=True, within=5),
]
