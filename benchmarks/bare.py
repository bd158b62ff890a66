"""The floor: a Channels consumer that does nothing but pass the request on, on Daphne and uvloop, with aiohttp.

python -m benchmarks.bare UPSTREAM prints its base URL.
"""

import sys
from typing import Any

import uvloop
from twisted.internet import asyncioreactor

asyncioreactor.install(uvloop.new_event_loop())  # type: ignore[no-untyped-call]

import aiohttp  # noqa: E402 -- the reactor must be chosen before Daphne is imported
from channels.generic.http import AsyncHttpConsumer  # noqa: E402
from daphne.server import Server  # noqa: E402
from django.conf import settings  # noqa: E402

session: aiohttp.ClientSession | None = None


class Bare(AsyncHttpConsumer):  # type: ignore[misc]
    async def handle(self, body: bytes) -> None:
        global session  # noqa: PLW0603 -- needs the running loop
        if session is None:
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        headers = {"Content-Type": "application/json"}
        async with session.post(f"{sys.argv[1]}/chat/completions", data=body, headers=headers) as response:
            if response.content_type == "application/json":
                content = await response.read()
                await self.send_response(200, content, headers=[(b"Content-Type", b"application/json")])
                return
            await self.send_headers(headers=[(b"Content-Type", b"text/event-stream")])
            while data := await response.content.readany():
                await self.send_body(data, more_body=True)
            await self.send_body(b"")


class AnnouncedServer(Server):  # type: ignore[misc]
    def listen_success(self, port: Any) -> None:
        print(f"http://127.0.0.1:{port.getHost().port}/v1", flush=True)


if __name__ == "__main__":
    settings.configure()
    # A buffer as large as ours: in messages of 8 KB, a large body costs Channels many times as much.
    AnnouncedServer(Bare.as_asgi(), ["tcp:port=0:interface=127.0.0.1"], request_buffer_size=2**25).run()
