"""Asking a model, and asking again: retries, then the agent's fallback models, as long as nothing was answered."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec.structs import replace

from agents.errors import AgentError, ContextLengthExceeded, ProviderError
from agents.providers.delivery import REFUSALS
from agents.types import (
    FROM_CLIENT,
    Delivery,
    Delta,
    LLMCallEnded,
    LLMCallStarted,
    Message,
    ModelRequest,
    ModelSpec,
    Provider,
)

TRIES = 3
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0


async def ask(
    provider: Provider, models: tuple[ModelSpec, ...], request: ModelRequest
) -> AsyncGenerator[LLMCallStarted | Delta | LLMCallEnded, None]:
    """Yield the answer of the first model that gives one, and the start and end of every call made for it.

    Raises the first model's error when none answers: it is the one that the administrator meant to be used.
    """
    first_error: AgentError | None = None
    attempts = 0
    for model in models:
        if model.provider.name != models[0].provider.name:
            request = replace(request, messages=without_attachments_of_clients(request.messages))
        for attempt in range(TRIES):
            request = replace(request, span=request.span and request.span.child(), delivery=Delivery())
            attempts += 1
            yield LLMCallStarted(model, request, attempts)
            answered = False
            try:
                async with aclosing(provider.stream(model, request)) as deltas:
                    async for delta in deltas:
                        if delta.finish_reason is not None:
                            yield LLMCallEnded(
                                delta.finish_reason, delta.usage, model=delta.model, attached=delta.attached
                            )
                            return
                        answered = True
                        yield delta
            except AgentError as error:
                if not answered and isinstance(error, REFUSALS):
                    request.delivery.billable = False
                pause = None if answered else _pause_before_retry(error, attempt, request.deadline)
                yield LLMCallEnded(error_code=error.code, error=error, backoff=pause)
                if answered or not isinstance(error, ProviderError | ContextLengthExceeded):
                    raise
                first_error = first_error or error
            if pause is None:
                break
            await asyncio.sleep(pause)
    assert first_error is not None
    raise first_error


def without_attachments_of_clients(messages: list[Message]) -> list[Message]:
    """Return messages as a fallback may see them: what clients send back comes from the provider asked first."""
    if not any(FROM_CLIENT in message.attached for message in messages):
        return messages
    return [
        replace(message, attached={name: kept for name, kept in message.attached.items() if name != FROM_CLIENT})
        for message in messages
    ]


def _pause_before_retry(error: AgentError, attempt: int, deadline: float) -> float | None:
    """Return the seconds to wait before asking the same model again, or None if that is no use."""
    if not isinstance(error, ProviderError) or not error.retryable or attempt == TRIES - 1:
        return None
    pause: float = FIRST_PAUSE * 2**attempt * random.uniform(0.75, 1.25)
    if error.retry_after is not None:
        pause = error.retry_after
    if pause > LONGEST_PAUSE or asyncio.get_running_loop().time() + pause >= deadline:
        return None
    return pause
