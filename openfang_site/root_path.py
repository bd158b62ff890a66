"""Serving below a path of a host that others share: OPENFANG_ROOT_PATH.

Requests arrive with the whole path. A proxy that cut it off could be asked for a path twice as deep, and its own rules
about paths would be bypassed.
"""

from collections.abc import Awaitable, Callable
from typing import Any

Application = Callable[..., Awaitable[None]]
NOT_FOUND = b'{"error": {"message": "Not found: this server is below %s/.", "type": "invalid_request_error", '
NOT_FOUND += b'"param": null, "code": "unknown_url"}}\n'


class BelowRoot:
    """Passes on requests below `root` in ASGI's form; probes may ask for the paths `outside` it, too."""

    def __init__(self, application: Application, root: str, outside: tuple[str, ...]) -> None:
        self._application = application
        self._root = root
        self._outside = outside

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path: str = scope["path"]
        if path == self._root:
            path += "/"
        if path.startswith(f"{self._root}/"):
            await self._application({**scope, "path": path, "root_path": self._root}, receive, send)
        elif path in self._outside:
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            await self._refuse(send)

    async def _refuse(self, send: Any) -> None:
        body = NOT_FOUND % self._root.encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})
