"""MCP servers over HTTP that keep sessions, as those before the protocol of 2026 do."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from agents.errors import ToolFailed
from agents.tools.mcp import McpPool, McpServerSpec
from tests.agents.mcp_parts import call, patience, until
from tests.mcp_servers.sessions import SessionServer

__all__ = ["patience"]  # a fixture
pytestmark = pytest.mark.usefixtures("patience")


@pytest.fixture
def server() -> Iterator[SessionServer]:
    with SessionServer() as server:
        yield server


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[McpPool]:
    pool = McpPool()
    yield pool
    await pool.aclose()


def spec(server: SessionServer) -> McpServerSpec:
    headers = (("Authorization", "Bearer ${MCP_TEST_TOKEN}"),)
    return McpServerSpec(id=1, name="web", transport="http", url=server.url, headers=headers)


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_TEST_TOKEN", "s3cret")


async def test_calls_share_a_session(pool, server):
    assert [await call(pool, spec(server), "search") for _ in range(3)] == ["session 1"] * 3


async def test_a_call_whose_session_the_server_forgot_is_made_again_in_a_new_one(pool, server):
    await call(pool, spec(server), "search")
    server.forget()
    assert await call(pool, spec(server), "search") == "session 2"
    assert pool.notice_for([]) == ""


async def test_variables_are_put_into_headers(pool, server):
    await call(pool, spec(server), "search")
    assert server.authorization == "Bearer s3cret"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_takes_no_variable_to_another_server(pool, server, status):
    with SessionServer() as other:
        server.status, server.location = status, other.url
        with pytest.raises(ToolFailed):
            await call(pool, spec(server), "search")
    assert server.authorization == "Bearer s3cret"
    assert (other.greetings, other.authorization) == (0, None)


async def test_a_server_that_refuses_us_is_named_with_the_status_and_no_secret(pool, server):
    server.status = 401
    with pytest.raises(ToolFailed, match=r"^The MCP server 'web' answered with HTTP status 401\.$"):
        await call(pool, spec(server), "search")


async def test_closing_ends_the_session_at_the_server(pool, server):
    await call(pool, spec(server), "search")
    assert len(server.sessions) == 1
    await pool.aclose()
    assert not server.sessions


async def test_a_session_without_calls_is_closed_after_a_while_and_opened_again(server):
    pool = McpPool(idle_seconds=0.05)
    try:
        await call(pool, spec(server), "search")
        await until(lambda: not server.sessions)
        assert await call(pool, spec(server), "search") == "session 2"
    finally:
        await pool.aclose()


async def test_a_changed_row_is_another_connection(pool, server):
    await call(pool, spec(server), "search")
    changed = McpServerSpec(id=1, name="web", transport="http", url=server.url, timeout=50)
    assert await call(pool, changed, "search") == "session 2"
