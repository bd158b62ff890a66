"""A server made with the `mcp` package: `python scripted.py [--http]`; over HTTP it prints its URL first.

It writes what it is told, one line each, to the file that MCP_TEST_DIARY names: its start, calls, and cancelled calls.
"""

import asyncio
import os
import signal
import subprocess
import sys

import mcp_types as protocol
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged

TOOLS = {
    "add": "Add two numbers.",
    "wait": "Never answer.",
    "die": "End the server.",
    "child": "Start a program that outlives its parent, and return its process id.",
    "fail": "Fail.",
    "picture": "Return every kind of content.",
    "record": "Return structured content only.",
    "environment": "Return the names of the environment variables.",
    "rename": "Say that the tools have changed.",
    "meet": "Answer when two calls are here.",
}


def note(text: str) -> None:
    if path := os.environ.get("MCP_TEST_DIARY"):
        with open(path, "a") as diary:
            diary.write(f"{text}\n")


async def list_tools(ctx, params) -> protocol.ListToolsResult:
    note("list")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
    }
    return protocol.ListToolsResult(
        tools=[protocol.Tool(name=name, description=text, input_schema=schema) for name, text in TOOLS.items()]
    )


class Tools:
    def __init__(self) -> None:
        self.meeting = asyncio.Barrier(2)
        self.changes = InMemorySubscriptionBus()
        self.listen = ListenHandler(self.changes)
        self.heard = asyncio.Event()

    async def on_listen(self, ctx, params):
        self.heard.set()
        return await self.listen(ctx, params)

    async def call(self, ctx, params: protocol.CallToolRequestParams) -> protocol.CallToolResult:
        note(f"call {params.name}")
        content = await getattr(self, params.name)(ctx, params.arguments or {})
        return content if isinstance(content, protocol.CallToolResult) else said(content)

    async def add(self, ctx, arguments):
        return f"{arguments['a'] + arguments['b']:g}"

    async def wait(self, ctx, arguments):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            note("cancelled")
            raise

    async def die(self, ctx, arguments):
        os.kill(os.getpid(), signal.SIGKILL)

    async def child(self, ctx, arguments):
        program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        return str(subprocess.Popen([sys.executable, "-c", program]).pid)  # noqa: ASYNC220

    async def fail(self, ctx, arguments):
        return protocol.CallToolResult(content=[text("The disk is full.")], is_error=True)

    async def picture(self, ctx, arguments):
        page = protocol.TextResourceContents(uri="file:///a.txt", text="A page.")
        blob = protocol.BlobResourceContents(uri="file:///b.bin", blob="AAAA")
        return protocol.CallToolResult(
            content=[
                text("Look:"),
                protocol.ImageContent(data="AAAAAAAA", mime_type="image/png"),
                protocol.ResourceLink(name="guide", uri="https://example.com/guide"),
                protocol.EmbeddedResource(resource=page),
                protocol.EmbeddedResource(resource=blob),
            ]
        )

    async def record(self, ctx, arguments):
        return protocol.CallToolResult(content=[], structured_content={"city": "Zürich"})

    async def environment(self, ctx, arguments):
        return " ".join(sorted(os.environ))

    async def rename(self, ctx, arguments):
        await self.heard.wait()
        await self.changes.publish(ToolsListChanged())
        return "Told."

    async def meet(self, ctx, arguments):
        await self.meeting.wait()
        return "Met."


def text(words: str) -> protocol.TextContent:
    return protocol.TextContent(text=words)


def said(words: str) -> protocol.CallToolResult:
    return protocol.CallToolResult(content=[text(words)])


tools = Tools()
server = Server("scripted", on_list_tools=list_tools, on_call_tool=tools.call, on_subscriptions_listen=tools.on_listen)


async def serve_stdio() -> None:
    async with stdio_server() as (reading, writing):
        options = server.create_initialization_options(NotificationOptions(tools_changed=True))
        await server.run(reading, writing, options)


async def serve_http() -> None:
    import socket

    import uvicorn

    listening = socket.create_server(("127.0.0.1", int(os.environ.get("MCP_TEST_PORT", "0"))))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
    app = server.streamable_http_app()
    await uvicorn.Server(uvicorn.Config(app, log_level="error")).serve(sockets=[listening])


if __name__ == "__main__":
    note("start")
    asyncio.run(serve_http() if "--http" in sys.argv else serve_stdio())
