import asyncio
import logging
import time
from io import BytesIO
from typing import Any

from channels.generic.http import AsyncHttpConsumer
from django.core.handlers.asgi import ASGIRequest
from django.http.response import HttpResponseBase
from django.urls import get_resolver

from agents.errors import ServerStopped
from agents.models.usage import time_ordered_uuid
from openai_compat.cors import cors_headers, preflight_headers
from openai_compat.errors import error_body, error_frame
from openai_compat.rendering import DONE, encode
from openai_compat.request_ids import request_id as current_request_id
from openai_compat.sse import EventStream

logger = logging.getLogger(__name__)


class OpenAIConsumer(AsyncHttpConsumer):  # type: ignore[misc]
    """Serves /v1: runs the endpoint's view and sends what it answers, as it comes.

    Channels' own consumer reads no message while it answers, so a client's leaving would stay unseen until the end.
    Here it ends the answer.
    """

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.scope, self.base_send = scope, send
        self._began = time.perf_counter()
        self._answered = self._client_left = False
        body = await self._read_body(receive)
        if body is None:
            return
        task = asyncio.current_task()
        assert task is not None

        def client_left(leaving: "asyncio.Task[Any]") -> None:
            # Servers report a disconnect after a complete answer, too: that one may finish what it is at.
            if not (leaving.cancelled() or self._answered):
                self._client_left = True
                task.cancel()

        leaving = asyncio.create_task(receive())
        leaving.add_done_callback(client_left)
        try:
            await self.handle(body)
        except asyncio.CancelledError:
            if not self._client_left or task.uncancel():
                raise
        finally:
            self._answered = True
            leaving.cancel()
            current_request_id.set("")  # what is logged of the whole answer names its request itself

    async def _read_body(self, receive: Any) -> bytes | None:
        """Return the request's body, or None if the client left before it was complete."""
        pieces = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            pieces.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(pieces)

    async def handle(self, body: bytes) -> None:
        """Answer the request. Whatever goes wrong is answered too: a client must never be left hanging."""
        if preflight := preflight_headers(self.scope):
            self._answered = True
            await self.send_response(204, b"", headers=preflight)
            return
        request = ASGIRequest(self.scope, BytesIO(body))
        request.META["CONTENT_LENGTH"] = str(len(body))
        request.META["openfang.body"] = body
        request.META["openfang.request_id"] = request_id = time_ordered_uuid()
        current_request_id.set(f"req_{request_id.hex}")
        headers = [
            (b"x-request-id", b"req_" + request_id.hex.encode()),
            (b"x-content-type-options", b"nosniff"),
            *cors_headers(self.scope),
        ]
        started = False
        try:
            view = get_resolver("openai_compat.urls").resolve(request.path_info)
            response: HttpResponseBase = await view.func(request, *view.args, **view.kwargs)
            headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in response.items()]
            headers.append((b"openai-processing-ms", str(round((time.perf_counter() - self._began) * 1000)).encode()))
            started = True
            await self._send(response, headers)
        except Exception as error:
            logger.exception("A request failed in an unforeseen way.")
            if not started:
                headers.append((b"content-type", b"application/json"))
                self._answered = True
                await self.send_response(500, encode(error_body(error)), headers=headers)

    async def _send(self, response: HttpResponseBase, headers: list[tuple[bytes, bytes]]) -> None:
        if not isinstance(response, EventStream):
            content: bytes = response.content  # type: ignore[attr-defined]
            headers.append((b"content-length", str(len(content)).encode()))
            self._answered = True
            await self.send_response(response.status_code, content, headers=headers)
            return
        try:
            await self.send_headers(status=response.status_code, headers=headers)
            async for frames in response.frames():
                self._answered = response.ended
                await self.send_body(frames, more_body=not response.ended)
        except asyncio.CancelledError:
            await response.aclose()
            if not self._client_left:
                stopped = ServerStopped("The server stopped before the answer was complete.")
                await self.send_body(error_frame(stopped) + DONE)
            raise
        finally:
            await response.aclose()
