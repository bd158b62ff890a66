"""A real HTTP server that plays an OpenAI-compatible provider, word for word as a test has scripted it."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

from tests.upstream.player import play
from tests.upstream.received import Received
from tests.upstream.script import Script, Scripts
from tests.upstream.steps import Step, answers, fails
from tests.upstream.wire import error, model_list

MODELS = ["gpt-test"]


class Upstream:
    """A scripted provider on a port of its own, for as long as the `with` block lasts.

    with Upstream() as upstream:
        upstream.turns(calls("clock", timezone="UTC"), says("It is noon."))
        ... point a client at upstream.base_url ...
        assert upstream.asked[1]["messages"][-1]["role"] == "tool"
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        default: Step | None = None,
        remembers: bool = True,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop,
    ) -> None:
        # What GET /v1/models answers: the names, or a step such as fails(401).
        self.models: list[str] | Step = MODELS
        self.requests: list[Received] = []
        # Chat requests that came when the script was at its end: a test that leaves some has gone wrong.
        self.unscripted: list[Received] = []
        self._scripts = Scripts(default)
        self._address = (host, port)
        self._remembers = remembers
        self._loop_factory = loop_factory
        self._open: set[Received] = set()
        self._changed = threading.Condition()
        self._closing = False

    def __enter__(self) -> Self:
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="upstream", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Go away like a provider that is down: open connections are dropped, new ones refused."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    @property
    def base_url(self) -> str:
        return "http://{}:{}/v1".format(*self._address)

    # The script

    def turns(self, *steps: Step) -> None:
        """Answer the next requests with these steps, in their order."""
        self._scripts.common.turns(*steps)

    def says(self, *args: Any, **kwargs: Any) -> None:
        """Answer the next request with `steps.says(...)`."""
        self._scripts.common.says(*args, **kwargs)

    def model(self, name: str) -> Script:
        """The script of one model, played before the common one."""
        return self._scripts.of(name)

    @property
    def default(self) -> Step | None:
        """The answer once the script is at its end. None: 500, and the request is among the unscripted."""
        return self._scripts.common.default

    @default.setter
    def default(self, step: Step | None) -> None:
        self._scripts.common.default = step

    @property
    def unplayed(self) -> list[Step]:
        """Scripted answers that nobody has asked for."""
        return self._scripts.left()

    def reset(self) -> None:
        """Forget what was scripted and what came, so that another test can use the same provider."""
        self.release()
        self.wait_until_idle()
        self._scripts = Scripts(None)
        self.requests, self.unscripted = [], []
        self.models = MODELS

    def release(self) -> None:
        """Let all requests that are open now go on past the point where they stall or hang."""
        with self._changed:
            for request in self._open:
                request.release()

    # What came

    @property
    def asked(self) -> list[Any]:
        """The bodies of the chat requests, in their order."""
        return [request.body for request in self.requests if request.method == "POST"]

    @property
    def open_requests(self) -> int:
        return len(self._open)

    def wait_for_requests(self, count: int, timeout: float = 60) -> list[Received]:
        """Block until so many requests have arrived."""
        self._wait(lambda: len(self.requests) >= count, f"{count} requests", timeout)
        return list(self.requests)

    def wait_until_idle(self, timeout: float = 60) -> None:
        """Block until no request is open."""
        self._wait(lambda: not self._open, "idleness", timeout)

    async def received(self, count: int) -> list[Received]:
        """`wait_for_requests` for a test that shares its event loop with what it tests."""
        return await asyncio.to_thread(self.wait_for_requests, count)

    async def idle(self) -> None:
        """`wait_until_idle` for a test that shares its event loop with what it tests."""
        await asyncio.to_thread(self.wait_until_idle)

    def _wait(self, condition: Callable[[], bool], what: str, timeout: float) -> None:
        with self._changed:
            came = self._changed.wait_for(condition, timeout)
            assert came, f"waited {timeout} s for {what}; requests: {self.requests}, open: {list(self._open)}"

    # The server's own thread

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                runner.run(self._serve())
        except OSError as failure:  # the address can't be had
            self._failure = failure
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = web.Server(self._answer, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, *self._address, backlog=1024)
            await site.start()
            self._address = runner.addresses[0][:2]
            self._started.set()
            await self._stop.wait()
            self._closing = True
            await site.stop()
            for connection in server.connections:  # stalled ones too: losing its connection cancels the handler
                if connection.transport is not None:
                    connection.transport.abort()
        finally:
            await runner.cleanup()

    async def _answer(self, http: web.BaseRequest) -> web.StreamResponse:
        request = await _received(http)
        step = self._step(request)
        self._arrived(request)
        try:
            return await play(step.reply(request.asked), request, http)
        except (asyncio.CancelledError, ConnectionError):
            if not self._closing:
                request.client_gone.set()
            raise
        finally:
            with self._changed:
                self._open.remove(request)
                self._changed.notify_all()

    def _arrived(self, request: Received) -> None:
        with self._changed:
            self._open.add(request)
            if self._remembers:
                self.requests.append(request)
            self._changed.notify_all()

    def _step(self, request: Received) -> Step:
        match request.method, request.path:
            case "POST", "/v1/chat/completions" if isinstance(request.body, dict):
                return self._scripts.next(request.model) or self._unscripted(request)
            case "POST", "/v1/chat/completions":
                return fails(400, error("The body is not a JSON object.", "invalid_request_error"))
            case "GET", "/v1/models":
                return self.models if isinstance(self.models, Step) else answers(model_list(self.models))
            case method, path:
                return fails(404, error(f"Unknown: {method} {path}", "invalid_request_error"))

    def _unscripted(self, request: Received) -> Step:
        self.unscripted.append(request)
        # Without the header, clients would try again, and the test would fail late instead of at once.
        return fails(500, error("The upstream's script is empty."), {"x-should-retry": "false"})


async def _received(http: web.BaseRequest) -> Received:
    raw = await http.content.read()  # not http.read(): that one refuses bodies over a megabyte
    body = None
    with contextlib.suppress(ValueError):
        body = json.loads(raw)
    return Received(http.method, http.path, http.headers, raw, body)
