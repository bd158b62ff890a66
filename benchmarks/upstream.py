"""The LLM API that everything is measured against: the name of a model says how it answers.

reply        one chunk, at once
stream-50    fifty chunks in one write
slow-2-10    two chunks a second for ten seconds; each chunk's text is the time at which it was written
until-left   twenty chunks a second until the client leaves; GET /left tells when those of this process did
tool         a call of `calculator`, then, when its result is in the messages, one chunk

Requests without `"stream": true` get the same as one JSON object.

python -m benchmarks.upstream prints the base URL.
"""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import uvloop

from benchmarks.liars import LIES, answer

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000}
USAGE = {"prompt_tokens": 20, "completion_tokens": 50, "total_tokens": 70}
CALL = {
    "index": 0,
    "id": "call_1",
    "type": "function",
    "function": {"name": "calculator", "arguments": '{"expression": "6*7"}'},
}
LEFT: list[float] = []
SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def frame(**fields: Any) -> bytes:
    return b"data: " + json.dumps({**HEAD, **fields}, separators=(",", ":")).encode() + b"\n\n"


def delta(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return frame(choices=[{"index": 0, "delta": delta, "finish_reason": finish}])


def http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def message_of(model: str, asked: dict[str, Any]) -> dict[str, Any]:
    if model == "tool" and asked["messages"][-1]["role"] != "tool":
        return {"role": "assistant", "content": None, "tool_calls": [CALL]}
    words = int(model.removeprefix("stream-")) if model.startswith("stream-") else 1
    return {"role": "assistant", "content": "".join(f"word{number} " for number in range(words))}


async def stream(model: str, asked: dict[str, Any]) -> AsyncIterator[bytes]:
    """Yield the writes of a streamed answer."""
    finish = "stop"
    if model.startswith("slow-"):
        per_second, seconds = map(int, model.removeprefix("slow-").split("-"))
        for _ in range(per_second * seconds):
            yield delta({"content": f"{time.monotonic():.6f} "})
            await asyncio.sleep(1 / per_second)
        pieces = []
    elif calls := message_of(model, asked).get("tool_calls"):
        pieces, finish = [delta({"tool_calls": calls})], "tool_calls"
    else:
        words = message_of(model, asked)["content"].split(" ")[:-1]
        pieces = [delta({"content": f"{word} "}) for word in words]
    yield b"".join([*pieces, delta({}, finish), frame(choices=[], usage=USAGE), b"data: [DONE]\n\n"])


def completion(model: str, asked: dict[str, Any]) -> bytes:
    message = message_of(model, asked)
    finish = "tool_calls" if "tool_calls" in message else "stop"
    choice = {"index": 0, "message": message, "finish_reason": finish}
    whole = {**HEAD, "object": "chat.completion", "model": model, "choices": [choice], "usage": USAGE}
    body = json.dumps(whole, separators=(",", ":")).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def stream_until_left(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    left = asyncio.ensure_future(reader.read(1))
    writer.write(SSE_HEAD)
    while not left.done():
        writer.write(http_chunk(delta({"content": "word "})))
        await asyncio.wait((left,), timeout=0.05)
    LEFT.append(time.monotonic())


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection, in plain sockets so that little of the machine is used up here."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b"content-length:" not in head:
                writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + json.dumps(LEFT).encode())
                break
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            asked = json.loads(await reader.readexactly(length))
            model = asked["model"]
            if model == "until-left":
                await stream_until_left(reader, writer)
                break
            if model in LIES:
                writer.write(SSE_HEAD + http_chunk(answer(model, asked["messages"])) + b"0\r\n\r\n")
                continue
            if not asked.get("stream"):
                writer.write(completion(model, asked))
                continue
            unsent = SSE_HEAD
            async for data in stream(model, asked):
                writer.write(unsent + http_chunk(data))
                unsent = b""
                await writer.drain()
            writer.write(b"0\r\n\r\n")


async def main() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2048, limit=2**21)
    print("http://{}:{}/v1".format(*server.sockets[0].getsockname()), flush=True)
    await stopped.wait()


if __name__ == "__main__":
    uvloop.run(main())
