"""What the tests of MCP share: specs of the test servers, and calls of their tools."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.tools.mcp import McpPool, McpServerSpec, McpToolSpec
from agents.types import ToolFunction, ToolSpec

SERVERS = Path(__file__).parents[1] / "mcp_servers"
SCRIPTED, PLAIN = str(SERVERS / "scripted.py"), str(SERVERS / "plain.py")
CONTEXT: Any = None  # MCP tools take nothing from the run


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give servers the time to start and to take leave that they need on a busy machine."""
    monkeypatch.setattr("agents.tools.mcp.session.WAIT_SECONDS", 60.0)
    monkeypatch.setattr("agents.tools.mcp.session.FAREWELL_SECONDS", 60.0)


def program(*args: str, name: str = "files", **values: Any) -> McpServerSpec:
    return McpServerSpec(id=1, name=name, transport="stdio", command=sys.executable, args=args, **values)


def scripted(file: Path, *pages: Any, call: Any = None) -> McpServerSpec:
    """A server that lists these pages, None for one that fails, and answers every call with the same."""
    file.write_text(json.dumps({"pages": pages, "call": call}))
    return program(PLAIN, "script", str(file))


def tool(server: McpServerSpec, name: str) -> McpToolSpec:
    return McpToolSpec(server, name, ToolSpec(ToolFunction(f"{server.name}_{name}")))


async def call(pool: McpPool, server: McpServerSpec, name: str, **arguments: Any) -> str:
    (called,) = pool.tools_for([tool(server, name)])
    return (await called.call(CONTEXT, json.dumps(arguments))).text


def runs(pid: int) -> bool:
    """Say whether a process is there and more than a zombie, which only waits to be counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what no event tells: another process's end, or what it wrote."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
