"""What a run's toolbox makes of calls: whose they are, what the model reads when one fails, and when they end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated
from uuid import UUID

import pytest
from msgspec import Meta

from agents.errors import ToolFailed
from agents.tools.context import RunContext
from agents.tools.function import FunctionTool
from agents.tools.toolbox import RunTools
from agents.types import AgentSpec, FunctionCall, ToolCall, ToolCallEnded, ToolFunction, ToolSpec

AGENT = AgentSpec(id=UUID(int=1), name="a", description="", created=0, system_prompt="", models=())


async def add(context: RunContext, one: int, two: Annotated[int, Meta(description="The other.")] = 1) -> str:
    """Add two numbers."""
    return str(one + two)


def tool(function: Callable[..., Awaitable[str]], **limits: float) -> FunctionTool:
    return FunctionTool(function, **limits)  # type: ignore[arg-type]


def toolbox(*own: FunctionTool, client: Sequence[str] = (), choice: object = None) -> RunTools:
    async def ask_agent(name: str, question: str) -> str:
        raise AssertionError("nobody asks")

    context = RunContext(agent=AGENT, scope="", workspaces=Path("/nowhere"), deadline=0, depth=0, ask_agent=ask_agent)
    specs = [ToolSpec(ToolFunction(name)) for name in client]
    return RunTools(UUID(int=7), context, own=own, client=specs, choice=choice)


def named(name: str, arguments: str = "{}", call_id: str = "one") -> ToolCall:
    return ToolCall(call_id, FunctionCall(name, arguments))


async def called(tools: RunTools, *calls: ToolCall, seconds: float = 10) -> dict[str, ToolCallEnded]:
    deadline = asyncio.get_running_loop().time() + seconds
    return {ended.call.id: ended async for ended in tools.call_all(list(calls), deadline)}


async def result(tools: RunTools, call: ToolCall, seconds: float = 10) -> tuple[str, bool]:
    ended = (await called(tools, call, seconds=seconds))[call.id]
    return ended.result, ended.is_error


def names(specs: Sequence[ToolSpec]) -> list[str]:
    return [spec.function.name for spec in specs]


async def test_a_tool_gets_the_arguments_that_the_model_wrote():
    assert await result(toolbox(tool(add)), named("add", '{"one": 2}')) == ("3", False)


def test_the_model_is_told_what_the_signature_says():
    [spec] = toolbox(tool(add)).specs(first=True, last=False)
    assert spec.function.description == "Add two numbers."
    assert spec.function.parameters == {
        "type": "object",
        "properties": {
            "one": {"type": "integer"},
            "two": {"type": "integer", "description": "The other.", "default": 1},
        },
        "required": ["one"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ('{"one": 2', "Input data was truncated"),
        ('{"one": "two"}', "Expected `int`, got `str` - at `$.one`"),
        ("{}", "Object missing required field `one`"),
        ('{"one": 1, "three": 3}', "Object contains unknown field `three`"),
        ("[]", "Expected `object`, got `array`"),
    ],
)
async def test_arguments_that_are_not_right_are_explained(arguments: str, complaint: str):
    said, is_error = await result(toolbox(tool(add)), named("add", arguments))
    assert (said, is_error) == (f"Error: The arguments of add are not right: {complaint}", True)


async def test_a_tool_that_is_not_there_is_answered_with_those_that_are():
    said = await result(toolbox(tool(add), client=["theirs"]), named("ad"))
    assert said == ("Error: there is no tool 'ad'. Your tools: add, theirs.", True)


async def test_a_result_that_is_too_long_is_cut_and_says_so():
    async def long(context: RunContext) -> str:
        return "x" * 120

    assert await result(toolbox(tool(long, max_result=100)), named("long")) == (
        f"{'x' * 100}\n[Cut here: 100 of 120 characters are shown.]",
        False,
    )


async def test_a_result_that_no_message_can_carry_is_mended():
    async def odd(context: RunContext) -> str:
        return "name\udc80.txt"

    assert await result(toolbox(tool(odd)), named("odd")) == ("name?.txt", False)


async def test_a_tool_that_takes_too_long_is_stopped():
    ended = asyncio.Event()

    async def slow(context: RunContext) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    said = await result(toolbox(tool(slow, timeout=0.01)), named("slow"))
    assert said == ("Error: slow took longer than 0 s and was stopped.", True)
    assert ended.is_set()


@pytest.mark.parametrize("seconds", [0.01, -3])
async def test_a_tool_may_not_outlast_its_run(seconds: float):
    async def slow(context: RunContext) -> str:
        await asyncio.Event().wait()
        return ""

    said = await result(toolbox(tool(slow, timeout=60)), named("slow"), seconds=seconds)
    assert said == ("Error: slow took longer than 0 s and was stopped.", True)


async def test_what_a_tool_says_of_its_failure_is_for_the_model():
    async def picky(context: RunContext) -> str:
        raise ToolFailed("Ask me nicely.")

    assert await result(toolbox(tool(picky)), named("picky")) == ("Error: Ask me nicely.", True)


async def test_a_broken_tool_tells_the_log_and_not_the_model(caplog: pytest.LogCaptureFixture):
    async def broken(context: RunContext) -> str:
        raise ValueError("the password is x")

    with caplog.at_level(logging.ERROR):
        said, is_error = await result(toolbox(tool(broken)), named("broken"))
    assert said == "Error: broken failed inside the server. The administrator can read why in its log."
    assert is_error
    assert "The tool broken failed" in caplog.text


async def test_the_calls_of_a_turn_run_at_the_same_time():
    met = asyncio.Barrier(2)

    async def meet(context: RunContext) -> str:
        await met.wait()
        return "met"

    ended = await called(toolbox(tool(meet)), named("meet"), named("meet", call_id="two"))
    assert {one: done.result for one, done in ended.items()} == {"one": "met", "two": "met"}


async def test_whoever_stops_reading_ends_the_tools_that_still_run():
    ended = asyncio.Event()

    async def quick(context: RunContext) -> str:
        return "done"

    async def slow(context: RunContext) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()
        return ""

    tools = toolbox(tool(quick), tool(slow))
    deadline = asyncio.get_running_loop().time() + 10
    async with aclosing(tools.call_all([named("quick"), named("slow", call_id="two")], deadline)) as results:
        assert (await anext(results)).result == "done"
    assert ended.is_set()


def test_ids_are_the_runs_own():
    assert toolbox().call_id(3) == f"call_{UUID(int=7).hex}_3"


async def test_a_client_keeps_the_name_that_the_agents_tool_has_too():
    tools = toolbox(tool(add), client=["add"])
    assert names(tools.specs(first=True, last=False)) == ["openfang_add", "add"]
    assert (tools.is_server("openfang_add"), tools.is_server("add")) == (True, False)
    assert await result(tools, named("openfang_add", '{"one": 4}')) == ("5", False)


def test_a_client_may_even_have_a_tool_of_the_other_name():
    tools = toolbox(tool(add), client=["add", "openfang_add"])
    assert names(tools.specs(first=True, last=False)) == ["openfang_openfang_add", "add", "openfang_add"]


@pytest.mark.parametrize(
    ("choice", "first", "later"),
    [
        pytest.param(None, ["add", "theirs"], ["add", "theirs"], id="absent"),
        pytest.param("auto", ["add", "theirs"], ["add", "theirs"], id="auto"),
        pytest.param("required", ["theirs"], ["add", "theirs"], id="required"),
        pytest.param({"type": "function"}, ["theirs"], ["add", "theirs"], id="named"),
        pytest.param("none", ["add"], ["add"], id="none"),
    ],
)
def test_a_tool_choice_is_about_the_clients_tools(choice: object, first: list[str], later: list[str]):
    tools = toolbox(tool(add), client=["theirs"], choice=choice)
    assert names(tools.specs(first=True, last=False)) == first
    assert names(tools.specs(first=False, last=False)) == later


async def test_a_tool_that_the_client_has_forbidden_is_not_left_to_the_client():
    tools = toolbox(tool(add), client=["theirs"], choice="none")
    assert tools.is_server("theirs")
    assert await result(tools, named("theirs")) == ("Error: there is no tool 'theirs'. Your tools: add.", True)


def test_in_the_last_call_only_the_clients_tools_are_left():
    assert names(toolbox(tool(add), client=["theirs"]).specs(first=False, last=True)) == ["theirs"]
