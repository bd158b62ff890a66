"""`openfang mcp`: the agents as tools, for clients made with the `mcp` package."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp_types as protocol
import pytest
import pytest_asyncio
from mcp import Client, StdioServerParameters, stdio_client

from tests.live import Live
from tests.live.server import ROOT
from tests.upstream import fails, hangs

pytestmark = pytest.mark.slow

in_one_loop = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def client_of(server: Live, *args: str, **environment: str) -> AsyncIterator[Client]:
    environment = {name: value for name, value in {**server.env, **environment}.items() if value}
    command = StdioServerParameters(
        command=sys.executable, args=[str(ROOT / "manage.py"), "mcp", *args], env=environment, cwd=ROOT
    )
    with (server.data_dir / "mcp.log").open("w") as log:
        async with Client(stdio_client(command, log)) as client:
            yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(open_server: Live) -> AsyncIterator[Client]:
    """A client of the server that `live` is; the library wants it opened and closed by one task."""
    opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
    leave = asyncio.Event()

    async def own() -> None:
        async with client_of(open_server) as client:
            opened.set_result(client)
            await leave.wait()

    owner = asyncio.create_task(own())
    first: list[asyncio.Future[Any]] = [owner, opened]
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    yield opened.result()
    leave.set()
    await owner


def text(result: protocol.CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, protocol.TextContent)
    return block.text


@in_one_loop
async def test_every_enabled_agent_is_a_tool_that_answers_and_leaves_a_usage_row(live, upstream, client):
    upstream.says("Use a list.")
    rows = len(live.usage())
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    result = await client.call_tool("coder", {"message": "Array or list?"})
    assert "disabled" not in tools
    assert tools["coder"].description == "Writes code."
    assert tools["coder"].input_schema["required"] == ["message"]
    assert (text(result), result.is_error) == ("Use a list.", False)
    assert upstream.asked[0]["messages"][-1] == {"role": "user", "content": "Array or list?"}
    assert [row["status"] for row in live.usage()[rows:]] == ["ok"]


@in_one_loop
async def test_a_key_opens_its_own_agents_only(guarded, upstream):
    upstream.says("I hear you.")
    async with client_of(guarded, OPENFANG_API_KEY=guarded.keys["bob"]) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["listener"]
        assert text(await client.call_tool("listener", {"message": "Hello?"})) == "I hear you."
        refused = await client.call_tool("coder", {"message": "Hello?"})
    assert (text(refused), refused.is_error) == ("There is no agent 'coder'.", True)


@in_one_loop
async def test_what_goes_wrong_is_told_and_the_command_goes_on(live, upstream, client):
    upstream.turns(fails(401))
    failed = await client.call_tool("coder", {"message": "Hello?"})
    empty = await client.call_tool("coder", {"message": " "})
    assert (await client.list_tools()).tools
    assert failed.is_error
    assert "Scripted" in text(failed)
    assert (text(empty), empty.is_error) == ("`message` must be a text.", True)


@in_one_loop
async def test_a_client_that_cancels_ends_the_run(live, upstream, client):
    upstream.turns(hangs())
    rows = len(live.usage())
    waiting = asyncio.create_task(client.call_tool("coder", {"message": "Hello?"}))
    await upstream.received(1)
    waiting.cancel()
    await upstream.idle()
    async with asyncio.timeout(60):
        while [row["status"] for row in live.usage()[rows:]] != ["cancelled"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], r"^openfang: No server runs here\. Start one with .*openfang start, or name one with --url\.$"),
        (["--url", "http://127.0.0.1:9"], r"^openfang: No OpenFang server answers at http://127\.0\.0\.1:9 \(.+\)\.$"),
    ],
)
def test_without_a_server_it_says_so_and_writes_nothing_else(args: list[str], message: str, tmp_path: Path):
    environment = {**os.environ, "OPENFANG_DATA_DIR": str(tmp_path)}
    command = [sys.executable, str(ROOT / "manage.py"), "mcp", *args]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(message, done.stderr.strip())


def test_a_wrong_key_is_told_before_anything_is_served(guarded: Live):
    command = [sys.executable, str(ROOT / "manage.py"), "mcp", "--key", guarded.keys["dave"]]
    done = subprocess.run(
        command, env=guarded.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("openfang: ")
    assert guarded.keys["dave"] not in done.stderr
