"""Any LLM API that speaks OpenAI's chat completions, always streamed.

Called with aiohttp and not with the `openai` package: a call and its 50 chunks cost a third of the CPU.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress

import aiohttp
import msgspec

from agents.errors import AgentError, ProviderRefused, ProviderTimeout, ProviderUnavailable, RunTimeout
from agents.providers.delivery import GATEWAY_TIMEOUTS, DeliveredBody
from agents.providers.dialects import Dialect, dialect_of
from agents.providers.refusals import read, refusal
from agents.providers.wire import ChunkReader
from agents.types import Delta, ModelRequest, ModelSpec, ProviderSpec
from agents.urls import fits_a_header

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 10
EMBEDDED_IDLE_SECONDS = 600.0
END_SECONDS = 0.05
ERROR_BODY_BYTES = 64 * 1024


class OpenAICompatible:
    """Calls OpenAI-compatible APIs over one pool of connections; a silence of `idle_seconds` ends a call."""

    def __init__(self, *, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "openfang"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        # By API and model: models of one API differ in whether they take a temperature, say.
        self._dialects: dict[tuple[str, str], Dialect] = {}

    async def aclose(self) -> None:
        await self._session.close()

    async def stream(self, model: ModelSpec, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """Ask the model and yield its answer as it comes; the last delta has the finish reason and the usage."""
        reader: ChunkReader | None = None
        try:
            response = await self._ask(model, request)
            try:
                reader = ChunkReader(model, response.headers)
                while data := await _more(response.content):
                    for delta in reader.read(data):
                        yield delta
                    if reader.done:
                        await _read_end(response)
                        break
            finally:
                # Closed, not released: what the provider might still send is not worth waiting for.
                response.release() if response.content.at_eof() else response.close()
        except (aiohttp.ClientError, TimeoutError) as error:
            # Once the finish reason has come, nothing is missing but the end of the stream.
            if reader is None or reader.finish_reason is None:
                raise self._broken_off(model, error) from error
        for delta in reader.end():
            yield delta
        last = reader.last()
        self._dialect(model).notice(last.attached)
        yield last

    def _broken_off(self, model: ModelSpec, error: aiohttp.ClientError | TimeoutError) -> AgentError:
        if isinstance(error, aiohttp.SocketTimeoutError):
            return ProviderTimeout(f"{model.provider.label} was silent for {self._patience(model):g} s.")
        if isinstance(error, aiohttp.ClientError):
            return ProviderUnavailable(f"{model.provider.label} broke off in mid-answer.")
        return RunTimeout("The run reached its time limit.")

    def _dialect(self, model: ModelSpec) -> Dialect:
        key = (model.provider.base_url, model.name)
        if key not in self._dialects:
            self._dialects[key] = dialect_of(model.provider)
        return self._dialects[key]

    async def _ask(self, model: ModelSpec, request: ModelRequest) -> aiohttp.ClientResponse:
        """Send the request and return the response once its status says that an answer follows."""
        dialect = self._dialect(model)
        headers = _headers(model.provider, request)
        body = dialect.body(model, request)
        while True:
            response = await self._post(model, request, msgspec.json.encode(body), headers)
            if response.status == 200:
                return response
            request.delivery.billable = response.status in GATEWAY_TIMEOUTS
            said = await self._error_body(model, response)
            learnt, refused = dialect.learn(response.status, read(said), body), body
            if not learnt or (body := dialect.body(model, request)) == refused:
                raise refusal(model, response.status, said, response.headers)
            logger.info("%s of %s refused a request: from now on %s.", model.name, model.provider.label, learnt)

    async def _post(
        self, model: ModelSpec, request: ModelRequest, data: bytes, headers: dict[str, str]
    ) -> aiohttp.ClientResponse:
        rest = request.deadline - asyncio.get_running_loop().time()
        if rest <= 0:
            raise TimeoutError
        timeout = aiohttp.ClientTimeout(total=rest, sock_connect=CONNECT_SECONDS, sock_read=self._patience(model))
        url = f"{model.provider.base_url.rstrip('/')}/chat/completions"
        try:
            body = DeliveredBody(data, request.delivery)
            return await self._session.post(
                url, data=body, headers=headers, allow_redirects=False, timeout=timeout, proxy=model.provider.proxy
            )
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
                raise
            way = "cannot be reached through the proxy" if model.provider.proxy else "cannot be reached"
            raise ProviderUnavailable(f"{model.provider.label} {way} ({type(error).__name__}).") from error

    async def _error_body(self, model: ModelSpec, response: aiohttp.ClientResponse) -> bytes:
        body = b""
        try:
            while len(body) < ERROR_BODY_BYTES and (data := await response.content.readany()):
                body += data
        except aiohttp.SocketTimeoutError:
            raise
        except aiohttp.ClientError:
            logger.info("%s broke off while it said why it refused a request.", model.provider.label)
        finally:
            response.close()
        return body

    def _patience(self, model: ModelSpec) -> float:
        """Return for how many seconds a provider may be silent."""
        # The embedded model says nothing to a request that waits for its turn.
        return EMBEDDED_IDLE_SECONDS if model.provider.kind == "embedded" else self._idle_seconds


def _headers(provider: ProviderSpec, request: ModelRequest) -> dict[str, str]:
    if provider.api_key_env and not provider.api_key:
        why = "may not be sent to it" if provider.key_withheld else "is not set"
        raise ProviderRefused(f"{provider.label} has no API key on this server: {provider.api_key_env} {why}.")
    if provider.api_key and not fits_a_header(provider.api_key):
        where = f"{provider.api_key_env} or " if provider.api_key_env else ""
        raise ProviderRefused(
            f"{provider.label}'s API key has a character that no header can carry. Correct {where}the kept key."
        )
    headers = {"Authorization": f"Bearer {provider.api_key}"} if provider.api_key else {}
    return headers | (request.span.headers if request.span else {})


async def _more(content: aiohttp.StreamReader) -> bytes:
    """Wait for more of an answer. What came before the connection broke is handed over before that is raised."""
    try:
        return await content.readany()
    except aiohttp.ClientError as broken:
        # aiohttp keeps it, but raises first: a caller that was busy meanwhile would lose the end of the answer.
        content.set_exception(None)  # type: ignore[arg-type]
        rest = content.read_nowait()
        content.set_exception(broken)
        if not rest:
            raise
        return rest


async def _read_end(response: aiohttp.ClientResponse) -> None:
    """Read the end of an answer that is complete, so that its connection can serve the next call."""
    if not response.content.at_eof():
        with suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(END_SECONDS):
                await response.content.readany()
