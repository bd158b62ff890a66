"""Calls of MCP tools, over both transports, of servers made with the `mcp` package and of a published one."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from agents.errors import ToolFailed
from agents.tools.mcp import McpPool, McpServerSpec
from tests.agents.mcp_parts import CONTEXT, SCRIPTED, call, patience, program, tool, until
from tests.clocks import loop_clock

__all__ = ["patience"]  # a fixture
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("patience")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[McpPool]:
    pool = McpPool()
    yield pool
    await pool.aclose()


@pytest.fixture(scope="module")
def diary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the servers note down."""
    path = tmp_path_factory.mktemp("mcp") / "diary"
    path.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MCP_TEST_DIARY", str(path))
        patch.setenv("MCP_TEST_TOKEN", "s3cret")
        yield path


@pytest.fixture(scope="module")
def http_url(diary: Path) -> Iterator[str]:
    with served() as (_, url):
        yield url


@pytest.fixture(params=["stdio", "http"])
def server(request: pytest.FixtureRequest, diary: Path, http_url: str) -> McpServerSpec:
    if request.param == "stdio":
        return program(SCRIPTED, environment=("MCP_TEST_DIARY",))
    return McpServerSpec(id=2, name="web", transport="http", url=http_url)


@contextmanager
def served(port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    environment = {**os.environ, "MCP_TEST_PORT": str(port)}
    command = [sys.executable, SCRIPTED, "--http"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


async def test_a_tool_answers(pool, server):
    assert await call(pool, server, "add", a=2, b=3) == "5"


async def test_calls_at_the_same_time_share_the_session(pool, server, diary):
    before = diary.read_text().count("start")
    assert await asyncio.gather(*(call(pool, server, "meet") for _ in range(2))) == ["Met.", "Met."]
    assert diary.read_text().count("start") - before <= 1


async def test_a_tool_that_fails_tells_the_model_why(pool, server):
    with pytest.raises(ToolFailed, match=r"^The disk is full\.$"):
        await call(pool, server, "fail")


async def test_every_kind_of_content_becomes_text(pool, server):
    assert (await call(pool, server, "picture")).splitlines() == [
        "Look:",
        "[image, image/png, 6 bytes]",
        "[resource guide: https://example.com/guide]",
        "[resource file:///a.txt]",
        "A page.",
        "[resource file:///b.bin, binary, 3 bytes]",
    ]


async def test_structured_content_without_text_is_given_as_json(pool, server):
    assert json.loads(await call(pool, server, "record")) == {"city": "Zürich"}


async def test_arguments_that_are_no_object_are_sent_back_to_the_model(pool, server):
    (add,) = pool.tools_for([tool(server, "add")])
    with pytest.raises(ToolFailed, match=r"The arguments of \w+_add are not right"):
        await add.call(CONTEXT, "[1, 2]")


async def test_a_caller_that_leaves_ends_its_call_at_the_server_and_no_other(pool, server, diary):
    await call(pool, server, "add", a=1, b=1)
    calls, cancelled = diary.read_text().count("call wait"), diary.read_text().count("cancelled")
    waiting = asyncio.create_task(call(pool, server, "wait"))
    await until(lambda: diary.read_text().count("call wait") > calls)
    waiting.cancel()
    await until(lambda: diary.read_text().count("cancelled") > cancelled)
    assert await call(pool, server, "add", a=1, b=2) == "3"


async def test_a_call_that_hangs_is_ended_by_its_timeout_and_the_session_lives(pool, tmp_path, monkeypatch):
    diary = tmp_path / "diary"
    monkeypatch.setenv("MCP_TEST_DIARY", str(diary))
    server = program(SCRIPTED, environment=("MCP_TEST_DIARY",), timeout=70)
    waiting = asyncio.create_task(call(pool, server, "wait"))
    await until(lambda: diary.exists() and "call wait" in diary.read_text())
    with loop_clock() as forward:
        forward(70)
        with pytest.raises(ToolFailed, match=r"did not answer within 70 s"):
            await waiting
    await until(lambda: "cancelled" in diary.read_text())
    assert await call(pool, server, "add", a=1, b=2) == "3"
    # One start, and no list of tools, which are in the row.
    assert diary.read_text().split("\n") == ["start", "call wait", "cancelled", "call add", ""]


async def test_a_program_gets_only_the_variables_named(pool, diary):
    server = program(SCRIPTED, environment=("MCP_TEST_DIARY",))
    names = set((await call(pool, server, "environment")).split())
    assert "MCP_TEST_DIARY" in names
    assert names - {"MCP_TEST_DIARY"} <= {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "LC_CTYPE"}


@pytest.mark.slow
async def test_an_http_server_that_was_restarted_is_greeted_anew(pool, diary):
    with served() as (process, url):
        server = McpServerSpec(id=3, name="again", transport="http", url=url)
        assert await call(pool, server, "add", a=1, b=1) == "2"
        process.kill()
        process.wait()
    with served(port=int(url.split(":")[2].split("/")[0])):
        assert await call(pool, server, "add", a=1, b=2) == "3"


async def test_a_published_server_answers(pool):
    command = shutil.which("mcp-server-time", path=str(Path(sys.executable).parent))
    assert command is not None
    server = McpServerSpec(id=4, name="time", transport="stdio", command=command, args=("--local-timezone", "UTC"))
    answer = await call(
        pool, server, "convert_time", source_timezone="Europe/Zurich", time="12:00", target_timezone="Asia/Tokyo"
    )
    assert "Asia/Tokyo" in answer
    assert "T19:00" in answer or "T20:00" in answer
