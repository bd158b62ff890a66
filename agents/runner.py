"""The loop: ask the model until it has answered."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from agents.types import Delta, Event, Finished, FinishReason, LLMCallEnded, LLMCallStarted, ModelRequest

Answer = AsyncGenerator[LLMCallStarted | Delta | LLMCallEnded, None]


async def run(request: ModelRequest, ask: Callable[[ModelRequest], Answer]) -> AsyncGenerator[Event, None]:
    """Ask the model and yield its answer as it comes, and `Finished` last."""
    finish_reason = FinishReason.STOP
    called_tools = False
    async with aclosing(ask(request)) as answer:
        async for event in answer:
            if isinstance(event, Delta):
                called_tools = called_tools or bool(event.tool_calls)
            elif isinstance(event, LLMCallEnded) and event.finish_reason is not None:
                finish_reason = event.finish_reason
            yield event
    yield Finished(FinishReason.TOOL_CALLS if called_tools else finish_reason)
