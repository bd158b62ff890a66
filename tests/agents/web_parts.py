"""A web on loopback: sites that note what they are asked for, and names that resolve as a test has it."""

import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from uuid import uuid4

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from agents.tools.context import RunContext
from agents.types import AgentSpec

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    """A web server with scripted pages; `asked` has the paths of all requests, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.requests: list[web.Request] = []
        self._handlers: dict[str, Handler] = {}
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.host, self.port = self._runner.addresses[0][:2]

    async def stop(self) -> None:
        await self._runner.cleanup()

    def url(self, path: str, host: str | None = None) -> str:
        return f"http://{host or self.host}:{self.port}{path}"

    def page(
        self,
        path: str,
        body: str | bytes = "",
        *,
        status: int = 200,
        content_type: str = "text/html; charset=utf-8",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        content = body.encode() if isinstance(body, str) else body

        async def answer(_: web.Request) -> web.Response:
            return web.Response(body=content, status=status, headers={"Content-Type": content_type, **(headers or {})})

        self.play(path, answer)

    def redirect(self, path: str, location: str, status: int = 302) -> None:
        self.page(path, status=status, headers={"Location": location})

    def play(self, path: str, handler: Handler) -> None:
        self._handlers[path] = handler

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.requests.append(request)
        return await self._handlers[request.path](request)


class Names(AbstractResolver):
    """A DNS whose answers are scripted: for each name the addresses of the first lookup, of the second, and so on."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self._answers = {f"{name}.test": iter(addresses) for name, addresses in answers.items()}
        self.lookups: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.lookups.append(host)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=_family(address), proto=0, flags=0)
            for address in next(self._answers[host])
        ]

    async def close(self) -> None:
        pass


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


async def _nobody(name: str, question: str) -> str:
    raise AssertionError("no agent is asked here")


def run_context(scope: str = "key:1", agent_id: object = None) -> RunContext:
    spec = AgentSpec(
        id=agent_id or uuid4(),  # type: ignore[arg-type]
        name="assistant",
        description="",
        created=0,
        system_prompt="",
        models=(),
    )
    return RunContext(agent=spec, scope=scope, workspaces=Path("/nonexistent"), deadline=0, depth=0, ask_agent=_nobody)
