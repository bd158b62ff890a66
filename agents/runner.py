"""The loop: ask the model, run the tools it asks for, hand back the results, until it has answered."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType

from msgspec.structs import replace

from agents.errors import ContextLengthExceeded, ToolLoop
from agents.history import PastTurn
from agents.shedding import shed_oldest_results
from agents.turn import Turn
from agents.types import (
    AgentSpec,
    CallsMade,
    Delta,
    Event,
    Finished,
    FinishReason,
    LLMCallEnded,
    LLMCallStarted,
    Message,
    ModelRequest,
    Part,
    TextPart,
    Toolbox,
    ToolCall,
    ToolCallEnded,
)

Answer = AsyncGenerator[LLMCallStarted | Delta | LLMCallEnded, None]
WARN_AT, STOP_AT = 3, 4  # the same calls so many turns in a row


async def run(
    agent: AgentSpec,
    request: ModelRequest,
    ask: Callable[[ModelRequest], Answer],
    toolbox: Toolbox,
    begun: Sequence[PastTurn] = (),
) -> AsyncGenerator[Event, None]:
    """Yield the answer as it comes, every step on the way, and `Finished` last.

    A turn that calls tools of the client ends the run with those calls; the server's calls of that turn are executed
    before. Out of LLM or tool calls, the model is asked for what it has, and the answer finishes with `length`.
    `begun` is how far an earlier run of the same request came: what it executed is not executed again.
    """
    async with aclosing(_taken_up(begun, toolbox, agent.max_tool_calls, request.deadline)) as events:
        async for event in events:
            yield event
    messages = request.messages + [message for past in begun for message in past.messages()]
    calls, number, repeats = sum(len(past.executed) for past in begun), 1, Repeats()
    acted, reason, silences = begun[-1] if begun else None, FinishReason.TOOL_CALLS, 0
    while acted is None or not acted.calls_client:
        last = number >= agent.max_llm_calls or calls >= agent.max_tool_calls
        turn = Turn(toolbox, first_call=calls)
        try:
            async with aclosing(ask(_next_request(request, messages, toolbox, number, last))) as answer:
                async for piece in answer:
                    yield turn.read(piece)
        except ContextLengthExceeded:
            if turn.answered or not shed_oldest_results(messages):
                raise
            continue
        if turn.is_silent and acted is None and not silences:
            # After tool calls, silence can mean that all is done; as the first answer it is nearly always a slip.
            silences = 1
            continue
        turn.refuse_broken_calls()
        acted = PastTurn(turn.message(), [call.id for call in turn.server_calls()])
        if not acted.calls_client and (not acted.executed or last):
            yield Finished(FinishReason.LENGTH if last and (calls or number > 1) else turn.finish_reason)
            return
        warning = repeats.warning(acted.calls())
        pictures: list[Part] = []
        room, unreadable = agent.max_tool_calls - calls, turn.unreadable_calls()
        acting = _act(acted, toolbox, room, request.deadline, pictures, unreadable=unreadable)
        async with aclosing(acting) as events:
            async for event in events:
                yield event
        calls, number, reason = calls + len(acted.executed), number + 1, turn.finish_reason
        messages += [*acted.messages(warning), *_showing(pictures, agent)]
    yield Finished(reason)


REPEATED = "\n\n[You have made this same call several times in a row. Do something else, or answer with what you have.]"
PICTURES = "The pictures that the tools above returned:"
OUT_OF_CALLS = "You have no tool calls left. Answer now with what you have, and say what is missing."
REFUSED_AT_ONCE = 100
UNREAD = "Not executed: the model's arguments were not one JSON object."
NOT_EXECUTED = "Error: this call was not executed, because you have no tool calls left."


async def _taken_up(
    begun: Sequence[PastTurn], toolbox: Toolbox, most_calls: int, deadline: float
) -> AsyncGenerator[Event, None]:
    """Show the turns of an earlier run as they were shown there, and execute what it has not."""
    calls = 0
    for past in begun:
        yield past.delta(first_call=calls)
        async with aclosing(_act(past, toolbox, most_calls - calls, deadline, [])) as events:
            async for event in events:
                yield event
        calls += len(past.executed)


def _showing(pictures: list[Part], agent: AgentSpec) -> list[Message]:
    """Return the message with the tools' pictures, for a model with vision: a tool's message can hold text alone."""
    return [Message("user", [TextPart(PICTURES), *pictures])] if pictures and agent.sees else []


async def _act(
    turn: PastTurn,
    toolbox: Toolbox,
    room: int,
    deadline: float,
    pictures: list[Part],
    *,
    unreadable: Mapping[str, str] = MappingProxyType({}),
) -> AsyncGenerator[Event, None]:
    """Execute the turn's calls that have no result yet and enter their results, if there is room for so many.

    The calls whose arguments are `unreadable` are not executed; the model gets to read why.
    """
    yield CallsMade(turn.message, turn.calls(), turn.results)
    calls = [(place, call) for place, call in enumerate(turn.calls()) if call.id not in turn.results]
    refused = {**{call.id: NOT_EXECUTED for place, call in calls if place >= room}, **unreadable}
    async with aclosing(toolbox.call_all([call for _, call in calls if call.id not in refused], deadline)) as executed:
        async for ended in executed:
            turn.results[ended.call.id] = ended.result
            pictures += ended.pictures
            yield ended
    for place, call in calls:
        if call.id in refused:
            if place % REFUSED_AT_ONCE == 0:
                await asyncio.sleep(0)  # a model may make thousands, and other runs wait
            turn.results[call.id] = refused[call.id]
            reason = UNREAD if call.id in unreadable else "Not executed: the run had no tool calls left."
            yield ToolCallEnded(call, refused[call.id], True, 0, reason)


def _next_request(
    request: ModelRequest, messages: list[Message], toolbox: Toolbox, number: int, last: bool
) -> ModelRequest:
    """Return what the model is asked next. The client's tool_choice governs the first call only."""
    if last and len(messages) > len(request.messages):
        messages = [*messages, Message("user", OUT_OF_CALLS)]
    tools = toolbox.specs(first=number == 1, last=last)
    choice = request.parameters.tool_choice if number == 1 and tools else None
    # With `none` the client's tools are not among them; the agent may use its own.
    choice = None if choice == "none" else choice
    parallel = request.parameters.parallel_tool_calls if tools else None
    parameters = replace(request.parameters, tool_choice=choice, parallel_tool_calls=parallel)
    return replace(request, messages=messages, tools=tools, parameters=parameters)


class Repeats:
    """Notices a model that makes the same calls turn after turn."""

    def __init__(self) -> None:
        self._last: list[tuple[str, str]] = []
        self._times = 0

    def warning(self, calls: list[ToolCall]) -> str:
        """Return what to add to the results of these calls, if anything. Raises ToolLoop when warning was no use."""
        wishes = [(call.function.name, call.function.arguments) for call in calls]
        self._times = self._times + 1 if wishes and wishes == self._last else 1
        self._last = wishes
        if self._times >= STOP_AT:
            raise ToolLoop(f"The model made the same call of {wishes[0][0]!r} {STOP_AT} times in a row.")
        return REPEATED if self._times >= WARN_AT else ""
