"""The loop: ask the model, run the tools it asks for, hand back the results, until it has answered."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import count

from msgspec.structs import replace

from agents.errors import ContextLengthExceeded, ToolLoop
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
    Toolbox,
    ToolCall,
)

Answer = AsyncGenerator[LLMCallStarted | Delta | LLMCallEnded, None]
WARN_AT, STOP_AT = 3, 4  # the same calls so many turns in a row


async def run(
    agent: AgentSpec,
    request: ModelRequest,
    ask: Callable[[ModelRequest], Answer],
    toolbox: Toolbox,
    calls_before: int = 0,
) -> AsyncGenerator[Event, None]:
    """Yield the answer as it comes, every step on the way, and `Finished` last.

    A turn that calls tools of the client ends the run with those calls; the server's calls of that turn are executed
    before. Out of LLM or tool calls, the model is asked for what it has, and the answer finishes with `length`.
    `calls_before` counts the calls that an earlier run of the same request has made.
    """
    messages, calls, repeats = list(request.messages), calls_before, Repeats()
    for number in count(1):
        last = number >= agent.max_llm_calls or calls >= agent.max_tool_calls
        turn = Turn(toolbox, first_call=calls)
        try:
            async with aclosing(ask(_next_request(request, messages, toolbox, number, last))) as answer:
                async for event in answer:
                    if (seen := turn.read(event)) is not None:
                        yield seen
        except ContextLengthExceeded:
            if turn.answered or last or not shed_oldest_results(messages):
                raise
            continue
        executed = turn.server_calls()
        if not turn.client_calls() and (not executed or last):
            out_of_calls = last and (executed or number > 1)
            yield Finished(FinishReason.LENGTH if out_of_calls else turn.finish_reason)
            return
        calls += len(executed)
        warning = repeats.warning(executed)
        message = turn.message()
        yield CallsMade(message, executed)
        results: dict[str, str] = {}
        async with aclosing(toolbox.call_all(executed, request.deadline)) as ended:
            async for tool_ended in ended:
                results[tool_ended.call.id] = tool_ended.result
                yield tool_ended
        if turn.client_calls():
            yield Finished(FinishReason.TOOL_CALLS)
            return
        answers = [Message("tool", results[call.id] + warning, tool_call_id=call.id) for call in executed]
        messages += [message, *answers]


REPEATED = "\n\n[You have made this same call several times in a row. Do something else, or answer with what you have.]"
OUT_OF_CALLS = "You have no tool calls left. Answer now with what you have, and say what is missing."


def _next_request(
    request: ModelRequest, messages: list[Message], toolbox: Toolbox, number: int, last: bool
) -> ModelRequest:
    """Return what the model is asked next. The client's tool_choice governs the first call only."""
    if last and number > 1:
        messages = [*messages, Message("user", OUT_OF_CALLS)]
    tools = toolbox.specs(first=number == 1, last=last)
    choice = request.parameters.tool_choice if number == 1 and tools else None
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
