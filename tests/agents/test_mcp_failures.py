"""MCP servers that fail: what the model is told, what the other calls see, and when the server is tried again."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from agents.errors import ToolFailed
from agents.tools.mcp import McpPool, McpServerSpec
from agents.tools.mcp.breaker import FIRST_PAUSE, LONGEST_PAUSE, TOLERATED, Breaker
from tests.agents.mcp_parts import PLAIN, call, patience, program, runs, tool, until
from tests.clocks import loop_clock

__all__ = ["patience"]  # a fixture
pytestmark = pytest.mark.usefixtures("patience")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def pool(clock: Clock) -> AsyncIterator[McpPool]:
    pool = McpPool(clock=clock)
    yield pool
    await pool.aclose()


@pytest.fixture
def nowhere() -> Iterator[McpServerSpec]:
    """A server whose port nobody listens on, nor can: it is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        yield McpServerSpec(id=9, name="gone", transport="http", url=f"http://127.0.0.1:{port}/mcp")


async def test_a_server_that_dies_during_a_call_fails_that_call_and_runs_again_at_the_next(pool):
    server = program(PLAIN)
    first = await call(pool, server, "tool.0")
    with pytest.raises(ToolFailed, match=r"'files' (was lost during the call|has ended)"):
        await call(pool, server, "tool.0", die=True)
    second = await call(pool, server, "tool.0")
    assert first != second
    await until(lambda: not runs(int(first)))


async def test_a_death_fails_every_call_under_way(pool, tmp_path):
    server = program(PLAIN)
    await call(pool, server, "tool.0")
    here = [tmp_path / str(number) for number in range(3)]
    waiting = [asyncio.create_task(call(pool, server, "tool.0", wait=str(path))) for path in here]
    await until(lambda: all(path.exists() for path in here))
    with pytest.raises(ToolFailed):
        await call(pool, server, "tool.0", die=True)
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(failure).__mro__[1] for failure in failures] == [ToolFailed] * 3


async def test_a_server_that_is_not_there_is_named_with_the_reason(pool, nowhere):
    with pytest.raises(ToolFailed, match=r"^The MCP server 'gone' cannot be reached: "):
        await call(pool, nowhere, "search")


async def test_a_program_that_does_not_exist_is_named(pool):
    server = McpServerSpec(id=9, name="gone", transport="stdio", command="/nowhere/to/be-found")
    with pytest.raises(ToolFailed, match=r"^The program of the MCP server 'gone' ended before it was ready\.$"):
        await call(pool, server, "search")


async def test_after_failures_its_tools_are_left_out_and_named_until_one_more_try_is_due(pool, clock, nowhere):
    dead, alive = tool(nowhere, "search"), tool(program(PLAIN), "tool.0")
    for _ in range(TOLERATED + 1):
        assert len(pool.tools_for([dead, alive])) == 2
        assert pool.notice_for([dead, alive]) == ""
        with pytest.raises(ToolFailed):
            await call(pool, nowhere, "search")
    assert [each.name for each in pool.tools_for([dead, alive])] == ["files_tool.0"]
    assert pool.notice_for([dead, alive]) == (
        "These tools are unavailable now, because their server does not answer: gone_search."
    )
    clock.now += FIRST_PAUSE
    assert len(pool.tools_for([dead, alive])) == 2
    with pytest.raises(ToolFailed, match="cannot be reached"):
        await call(pool, nowhere, "search")
    assert len(pool.tools_for([dead, alive])) == 1


async def test_while_a_server_is_given_a_rest_its_calls_fail_at_once(pool, nowhere):
    called = pool.tools_for([tool(nowhere, "search")])[0]
    for _ in range(TOLERATED + 1):
        with pytest.raises(ToolFailed):
            await called.call(None, "{}")
    with pytest.raises(ToolFailed, match=r"The next try is in 5 s\.$"):
        await called.call(None, "{}")


async def test_a_server_that_starts_slowly_costs_its_tools_and_not_the_answer(pool, monkeypatch):
    monkeypatch.setattr("agents.tools.mcp.session.WAIT_SECONDS", 0.2)
    server = program(PLAIN, "deaf")
    with pytest.raises(ToolFailed, match=r"^The MCP server 'files' is still starting; try later\.$"):
        await call(pool, server, "tool.0")
    assert pool.tools_for([tool(server, "tool.0")]) == []


async def test_a_server_that_hangs_for_three_calls_is_started_again(pool, tmp_path):
    server = program(PLAIN, timeout=70)
    first = int(await call(pool, server, "tool.0"))
    for number in range(3):
        await hang(pool, server, tmp_path / str(number))
    assert int(await call(pool, server, "tool.0")) != first
    await until(lambda: not runs(first))


async def hang(pool: McpPool, server: McpServerSpec, here: Path) -> None:
    """Let a call reach the server, which makes this file, and wait for its answer in vain."""
    waiting = asyncio.create_task(call(pool, server, "tool.0", wait=str(here)))
    await until(here.exists)
    with loop_clock() as forward:
        forward(server.timeout)
        with pytest.raises(ToolFailed, match="did not answer within 70 s"):
            await waiting


async def test_what_is_no_protocol_on_its_standard_output_is_overheard(pool, caplog):
    server = program(PLAIN, "garbage")
    assert (await call(pool, server, "tool.0")).isdigit()
    assert (await call(pool, server, "tool.0", size=10)) == "x" * 10
    assert caplog.text == ""


async def test_an_answer_that_is_too_long_is_refused_and_the_session_lives(pool):
    server = program(PLAIN)
    first = await call(pool, server, "tool.0")
    with pytest.raises(ToolFailed, match=r"^The answer is longer than 4 MB\.$"):
        await call(pool, server, "tool.0", size=9_000_000)
    assert await call(pool, server, "tool.0") == first


async def test_a_server_from_before_2026_that_ignores_what_it_does_not_know_is_served(pool, monkeypatch):
    monkeypatch.setattr("mcp.client.session.DISCOVER_TIMEOUT_SECONDS", 0.2)
    assert (await call(pool, program(PLAIN, "old"), "tool.0")).isdigit()


async def test_a_variable_that_is_not_set_is_named(pool, nowhere, monkeypatch):
    monkeypatch.delenv("MCP_TEST_TOKEN", raising=False)
    server = McpServerSpec(
        id=9, name="gone", transport="http", url=nowhere.url, headers=(("Authorization", "Bearer ${MCP_TEST_TOKEN}"),)
    )
    with pytest.raises(ToolFailed, match=r"^The environment variable MCP_TEST_TOKEN of an MCP server is not set\.$"):
        await call(pool, server, "search")


async def test_the_value_of_a_variable_is_not_told(pool, caplog, monkeypatch):
    monkeypatch.setenv("MCP_TEST_TOKEN", "s3cret-host.invalid")
    server = McpServerSpec(id=9, name="gone", transport="http", url="http://${MCP_TEST_TOKEN}/mcp")
    with pytest.raises(ToolFailed) as failure:
        await call(pool, server, "search")
    assert "s3cret" not in str(failure.value) + caplog.text


def test_the_pauses_grow_up_to_five_minutes_and_end_with_a_success(clock):
    breaker = Breaker(clock)
    pauses = []
    for _ in range(12):
        breaker.failed("It is down.")
        pauses.append(breaker.pause)
        clock.now += breaker.pause
        assert breaker.pause == 0
    assert pauses[: TOLERATED + 3] == [0, 0, 5, 10, 20]
    assert pauses[-1] == LONGEST_PAUSE
    breaker.succeeded()
    breaker.failed("It is down.")
    assert breaker.pause == 0
