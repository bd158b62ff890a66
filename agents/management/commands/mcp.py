import asyncio
import hashlib
import os
from typing import TYPE_CHECKING, Any

import aiohttp
from django.core.management import CommandError
from django.core.management.base import CommandParser

from agents.management.base import OpenFangCommand
from agents.management.server_state import running_url

if TYPE_CHECKING:
    import mcp_types as protocol
    from mcp.server.context import ServerRequestContext

# MCP clients give a call up after 60 s in which they hear nothing of it.
PROGRESS_SECONDS = 10
LONGEST_NAME = 64
INPUT = {
    "type": "object",
    "properties": {
        "message": {"type": "string", "description": "What to ask. The agent remembers no earlier message."}
    },
    "required": ["message"],
}


class Command(OpenFangCommand):
    help = (
        "Offer the agents as tools to an MCP client, over standard input and output. They run in a running server, "
        "which records their usage."
    )
    examples = ("mcp", "mcp --url http://agents.example.com --key of_...")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", default="", help="the server (default: the one running on this data directory)")
        parser.add_argument("--key", default="", help="an API key (default: the variable OPENFANG_API_KEY)")

    def handle(self, *, url: str, key: str, **options: Any) -> None:
        # The key of a client, as which this command acts, and no setting of the server.
        asyncio.run(serve(url or running_url(), key or os.environ.get("OPENFANG_API_KEY", "")))


async def serve(url: str, key: str) -> None:
    """Speak MCP on the standard streams until the client closes them."""
    async with OpenFang(url, key) as openfang:
        try:
            await openfang.agents()
        except Refused as error:
            raise CommandError(str(error)) from None
        from mcp.server.lowlevel import Server
        from mcp.server.stdio import stdio_server

        tools = AgentTools(openfang)
        server: Server[Any] = Server("openfang", on_list_tools=tools.on_list, on_call_tool=tools.on_call)
        async with stdio_server() as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())


class Refused(Exception):
    """The server did not do what it was asked; `str(error)` says why."""


class OpenFang:
    """A running server, asked as any client of its API asks."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def __aenter__(self) -> "OpenFang":
        # No limit of time: each agent has its own.
        self._http = aiohttp.ClientSession(headers=self._headers, timeout=aiohttp.ClientTimeout(None, sock_connect=10))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def agents(self) -> list[dict[str, Any]]:
        models: list[dict[str, Any]] = (await self._ask("GET", "/v1/models"))["data"]
        return models

    async def answer(self, agent: str, message: str) -> str:
        body = {"model": agent, "messages": [{"role": "user", "content": message}]}
        choice = (await self._ask("POST", "/v1/chat/completions", body))["choices"][0]
        text = choice["message"]["content"] or choice["message"].get("refusal") or ""
        return f"{text}\n[The answer was cut short.]" if choice["finish_reason"] == "length" else text

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            async with self._http.request(method, self._url + path, json=body) as response:
                answer: dict[str, Any] = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Refused(f"No OpenFang server answers at {self._url} ({type(error).__name__}).") from None
        if "error" in answer:
            raise Refused(answer["error"]["message"])
        return answer


class AgentTools:
    """The agents that the key may use, as MCP tools."""

    def __init__(self, openfang: OpenFang) -> None:
        self._openfang = openfang

    async def on_list(
        self, context: "ServerRequestContext[Any]", page: "protocol.PaginatedRequestParams | None"
    ) -> "protocol.ListToolsResult":
        import mcp_types as protocol

        agents = await self._by_tool_name()
        return protocol.ListToolsResult(
            tools=[
                protocol.Tool(name=name, description=described(agent), input_schema=INPUT)
                for name, agent in agents.items()
            ]
        )

    async def on_call(
        self, context: "ServerRequestContext[Any]", params: "protocol.CallToolRequestParams"
    ) -> "protocol.CallToolResult":
        import mcp_types as protocol

        message = (params.arguments or {}).get("message")
        try:
            if not isinstance(message, str) or not message.strip():
                raise Refused("`message` must be a text.")
            text, failed = await self._answer(context, params.name, message), False
        except Refused as error:
            text, failed = str(error), True
        return protocol.CallToolResult(content=[protocol.TextContent(text=text)], is_error=failed)

    async def _answer(self, context: "ServerRequestContext[Any]", tool: str, message: str) -> str:
        agent = (await self._by_tool_name()).get(tool)
        if agent is None:
            raise Refused(f"There is no agent {tool!r}.")
        asking = asyncio.ensure_future(self._openfang.answer(agent["id"], message))
        try:
            seconds = 0
            while not (await asyncio.wait([asking], timeout=PROGRESS_SECONDS))[0]:
                seconds += PROGRESS_SECONDS
                await context.session.report_progress(seconds)
            return asking.result()
        finally:
            asking.cancel()  # the client has left: the run ends with this request

    async def _by_tool_name(self) -> dict[str, dict[str, Any]]:
        named: dict[str, dict[str, Any]] = {}
        for agent in await self._openfang.agents():
            # Names of agents may have dots, for which many clients and models refuse a tool.
            name = agent["id"].removeprefix("openfang:").replace(".", "_")
            if name in named:
                name = f"{name[: LONGEST_NAME - 9]}_{hashlib.sha256(agent['id'].encode()).hexdigest()[:8]}"
            named[name] = agent
        return named


def described(agent: dict[str, Any]) -> str:
    return agent.get("description") or f"Ask the agent {agent['id'].removeprefix('openfang:')}."
