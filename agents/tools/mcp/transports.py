"""The two ways to an MCP server: HTTP requests, or a program of this machine."""

import asyncio
import logging
import os
import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from io import FileIO
from pathlib import Path
from typing import TextIO

import httpx2
from django.conf import settings
from mcp import MCPError, StdioServerParameters, stdio_client
from mcp.client._transport import TransportStreams
from mcp.client.streamable_http import streamable_http_client

from agents.tools.mcp.errors import McpServerUnavailable
from agents.tools.mcp.specs import McpServerSpec
from agents.tools.mcp.variables import Variables
from agents.tools.sandbox import enclosed

GUARD = Path(__file__).with_name("guard.py")
LONGEST_LINE = 64 * 1024
LAST_WORDS_SECONDS = 0.5
# The library's own: servers hold answers open for minutes.
READ_SECONDS = 300

logger = logging.getLogger(__name__)
# A program that prints to its standard output would fill the log with tracebacks, one a line.
logging.getLogger("mcp.client.stdio").setLevel(logging.CRITICAL)


class Http:
    """Streamable HTTP. `opened` is set from outside; from then on a 404 means that the server forgot the session."""

    def __init__(self, server: McpServerSpec) -> None:
        self._server = server
        self._variables = Variables(server.name, server.url)
        self._status = 0
        self.ended = asyncio.Event()
        self.opened = False
        self.session_unknown = False

    @asynccontextmanager
    async def streams(self) -> AsyncGenerator[TransportStreams, None]:
        url = self._variables.filled_in(self._server.url)
        headers = {name: self._variables.filled_in(value) for name, value in self._server.headers}
        timeout = httpx2.Timeout(30, read=max(READ_SECONDS, self._server.timeout + 10))
        hooks = {"response": [self._look_at]}
        # The library would read other variables of the environment, too: the proxy is the one of our own rule.
        proxy, certificates = settings.PROXIES.for_url(url), ssl.create_default_context()
        async with (
            httpx2.AsyncClient(
                headers=headers, timeout=timeout, event_hooks=hooks, trust_env=False, proxy=proxy, verify=certificates
            ) as client,
            streamable_http_client(url, http_client=client) as streams,
        ):
            yield streams

    async def _look_at(self, response: httpx2.Response) -> None:
        self._status = response.status_code
        self.session_unknown = self.session_unknown or (self.opened and response.status_code == 404)

    def failure(self, error: BaseException) -> McpServerUnavailable:
        if self._status >= 400:
            why = f"answered with HTTP status {self._status}"
        elif isinstance(error, MCPError):
            why = f"refused the connection: {error.message}"
        else:
            why = f"cannot be reached: {error or type(error).__name__}"
        return McpServerUnavailable(f"The MCP server {self._server.name!r} {self._variables.hidden(why)}.")


class Program:
    """A program that is started for this connection, behind `guard.py`; what it writes to stderr is logged at debug."""

    session_unknown = False

    def __init__(self, server: McpServerSpec) -> None:
        self._server = server
        self._variables = Variables(server.name)
        self._last_words = ""
        self.ended = asyncio.Event()
        self.opened = False

    @asynccontextmanager
    async def streams(self) -> AsyncGenerator[TransportStreams, None]:
        guarded = [sys.executable, "-I", "-S", str(GUARD), self._server.command, *self._server.args]
        program, *arguments = enclosed(guarded)
        parameters = StdioServerParameters(
            command=program,
            args=arguments,
            env={name: self._variables.value(name) for name in self._server.environment},
            encoding_error_handler="replace",
        )
        async with self._heard() as stderr, stdio_client(parameters, stderr) as streams:
            stderr.close()  # the program alone writes to it: its end is seen by this
            yield streams

    @asynccontextmanager
    async def _heard(self) -> AsyncGenerator[TextIO, None]:
        """Give the program something to write its standard error to, and listen to it."""
        words = asyncio.StreamReader(limit=LONGEST_LINE)
        reader, stderr = _pipe()
        with reader, stderr:
            pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(words), reader
            )
            listening = asyncio.create_task(self._listen(words))
            try:
                yield stderr
            finally:
                stderr.close()
                if not self.opened:  # then the last thing it said is the reason
                    await asyncio.wait([listening], timeout=LAST_WORDS_SECONDS)
                listening.cancel()
                pipe.close()

    async def _listen(self, words: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await words.readline()
            except ValueError:  # a line longer than the buffer, which has been emptied
                continue
            if not line:
                break
            self._last_words = line.decode(errors="replace").strip() or self._last_words
            logger.debug("%s: %s", self._server.name, self._last_words)
        self.ended.set()

    def failure(self, error: BaseException) -> McpServerUnavailable:
        return McpServerUnavailable(
            f"The program of the MCP server {self._server.name!r} ended before it was ready.",
            detail=self._variables.hidden(self._last_words[:300]),
        )


def _pipe() -> tuple[FileIO, TextIO]:
    reading, writing = os.pipe()
    return FileIO(reading), open(writing, "w")
