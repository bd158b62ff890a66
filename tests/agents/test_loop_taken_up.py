"""A run that takes up an earlier one goes on from wherever that one broke."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from agents.history import PastTurn
from agents.runner import NOT_EXECUTED, run
from agents.tools.context import RunContext
from agents.tools.function import FunctionTool
from agents.tools.toolbox import RunTools
from agents.types import (
    AgentSpec,
    CallsMade,
    Delta,
    Event,
    Finished,
    FinishReason,
    FunctionCall,
    LLMCallEnded,
    Message,
    ModelRequest,
    ToolCall,
    ToolCallEnded,
    ToolFunction,
    ToolSpec,
)

RUN = UUID(int=7)
QUESTION = Message("user", "Look.")


def agent(**limits: int) -> AgentSpec:
    return AgentSpec(id=UUID(int=1), name="a", description="", created=0, system_prompt="", models=(), **limits)  # type: ignore[arg-type]


def call(number: int, name: str = "look") -> ToolCall:
    return ToolCall(f"call_{UUID(int=6).hex}_{number}", FunctionCall(name, f'{{"at": {number}}}'))


async def run_again(
    begun: Sequence[PastTurn], *answers: str, limits: dict[str, int] | None = None
) -> tuple[list[Event], list[list[Message]], list[int]]:
    """Take turns up; return the events, what the model was asked, and what was looked at."""
    asked: list[list[Message]] = []
    looked: list[int] = []
    left = iter(answers)

    async def look(context: RunContext, at: int) -> str:
        """Look."""
        looked.append(at)
        return f"seen {at}"

    async def ask(request: ModelRequest) -> AsyncGenerator[Any, None]:
        asked.append(request.messages)
        yield Delta(text=next(left))
        yield LLMCallEnded(FinishReason.STOP)

    async def ask_agent(name: str, question: str) -> str:
        raise AssertionError("nobody asks")

    spec = agent(**(limits or {}))
    context = RunContext(agent=spec, scope="", workspaces=Path("/nowhere"), deadline=0, depth=0, ask_agent=ask_agent)
    tools = RunTools(RUN, context, own=[FunctionTool(look)], client=[ToolSpec(ToolFunction("yours"))])
    request = ModelRequest([QUESTION], asyncio.get_running_loop().time() + 10)
    return [event async for event in run(spec, request, ask, tools, begun)], asked, looked


def turn(*server: int, client: tuple[int, ...] = (), done: tuple[int, ...] = ()) -> PastTurn:
    calls = [*map(call, server), *(call(number, "yours") for number in client)]
    results = {call(number).id: f"saw {number}" for number in done}
    return PastTurn(Message("assistant", "Well.", tool_calls=calls), [call(number).id for number in server], results)


async def test_only_what_has_no_result_is_executed():
    events, [asked], looked = await run_again([turn(0, done=(0,)), turn(1, 2, done=(2,))], "Done.")
    assert looked == [1]
    assert [message.content for message in asked if message.role == "tool"] == ["saw 0", "seen 1", "saw 2"]
    assert [event.result for event in events if isinstance(event, ToolCallEnded)] == ["seen 1"]
    assert events[-1] == Finished(FinishReason.STOP)


async def test_the_turns_are_told_as_they_were():
    events, _, _ = await run_again([turn(0, done=(0,)), turn(1, done=(1,))], "Done.")
    shown = [
        (piece.index, piece.id, piece.server)
        for event in events
        if isinstance(event, Delta)
        for piece in event.tool_calls
    ]
    assert shown == [(0, call(0).id, True), (1, call(1).id, True)]
    assert [event.results for event in events if isinstance(event, CallsMade)] == [
        {call(0).id: "saw 0"},
        {call(1).id: "saw 1"},
    ]


async def test_a_turn_that_had_called_the_client_ends_the_run_again():
    events, asked, looked = await run_again([turn(0, done=(0,)), turn(1, client=(2,))])
    assert (asked, looked) == ([], [1])
    assert events[-1] == Finished(FinishReason.TOOL_CALLS)
    assert [piece.server for event in events if isinstance(event, Delta) for piece in event.tool_calls] == [
        True,
        True,
        False,
    ]


async def test_the_calls_of_before_count_for_the_limit():
    events, [asked], looked = await run_again([turn(0, 1, 2, done=(0,))], "Done.", limits={"max_tool_calls": 2})
    assert looked == [1]
    assert [message.content for message in asked if message.role == "tool"] == ["saw 0", "seen 1", NOT_EXECUTED]
    assert events[-1] == Finished(FinishReason.LENGTH)
