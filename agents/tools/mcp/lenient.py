"""What a server sends, before the library reads it: it refuses a whole answer for one bad member."""

import json
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Self

import mcp_types as protocol
from mcp.client._transport import ReadStream, TransportStreams
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from agents.tools.mcp.listing import LeftOut, clean, read_tools
from agents.tools.mcp.rendering import readable_content

RESULT = {"content", "structuredContent", "isError"}


class Lenient:
    """Mends the answers of one server; `left_out` has the tools that its lists lost since it was emptied."""

    def __init__(self) -> None:
        self.left_out: list[LeftOut] = []

    @asynccontextmanager
    async def over(
        self, transport: AbstractAsyncContextManager[TransportStreams]
    ) -> AsyncGenerator[TransportStreams, None]:
        async with transport as (reading, writing):
            yield _Mended(reading, self), writing

    def mend(self, item: SessionMessage | Exception) -> SessionMessage | Exception:
        if isinstance(item, ValidationError):
            item = _reread(item) or item
        if isinstance(item, SessionMessage) and isinstance(item.message, protocol.JSONRPCResponse):
            result = item.message.result
            if "tools" in result:
                self._mend_list(result)
            elif not RESULT.isdisjoint(result) and result.get("resultType", "complete") == "complete":
                _mend_result(result)
        return item

    def _mend_list(self, result: dict[str, Any]) -> None:
        result["tools"] = list(read_tools(result["tools"], self.left_out))
        _drop_unless(dict, result, "_meta")
        if result.get("nextCursor") is not None and not isinstance(result["nextCursor"], str):
            del result["nextCursor"]
            self.left_out.append(LeftOut("", "the list goes on, but its cursor is not a text"))


def _reread(error: ValidationError) -> SessionMessage | None:
    """Return the answer in a line that the library could not read, so that its caller does not wait for a timeout.

    Its parser refuses half of a surrogate pair, which servers in JavaScript write where they cut an emoji.
    """
    raw = error.errors(include_url=False, include_context=False)[0]["input"]
    try:
        message = clean(json.loads(raw) if isinstance(raw, str | bytes) else raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not isinstance(message.get("id"), str | int) or "method" in message:
        return None
    if isinstance(message.get("result"), dict):
        return SessionMessage(protocol.JSONRPCResponse(jsonrpc="2.0", id=message["id"], result=message["result"]))
    failure = protocol.ErrorData(code=protocol.INTERNAL_ERROR, message="The server's answer is no result.")
    return SessionMessage(protocol.JSONRPCError(jsonrpc="2.0", id=message["id"], error=failure))


def _mend_result(result: dict[str, Any]) -> None:
    result["content"] = readable_content(result.get("content"), result.get("structuredContent"))
    result["isError"] = result.get("isError") in (True, "true", 1)
    _drop_unless(dict, result, "structuredContent")  # other values are in the content by now
    _drop_unless(dict, result, "_meta")


def _drop_unless(kind: type, result: dict[str, Any], member: str) -> None:
    if not isinstance(result.get(member), kind):
        result.pop(member, None)


class _Mended:
    """A stream of messages, each mended as it is read."""

    def __init__(self, stream: ReadStream[SessionMessage | Exception], lenient: Lenient) -> None:
        self._stream = stream
        self._lenient = lenient

    @property
    def last_context(self) -> Any:
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        return self._lenient.mend(await self._stream.receive())

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        return self._lenient.mend(await self._stream.__anext__())

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._stream.__aexit__(exc_type, exc, traceback)
