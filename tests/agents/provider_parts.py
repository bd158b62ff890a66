"""What becomes of one question to the scripted provider, without a server in between."""

import asyncio
from contextlib import aclosing
from typing import Any

from agents.errors import AgentError
from agents.providers import Providers
from agents.providers.attempts import ask
from agents.types import (
    Delta,
    FinishReason,
    LLMCallEnded,
    LLMCallStarted,
    Message,
    ModelRequest,
    ModelSpec,
    Parameters,
    ProviderSpec,
    ReportedUsage,
    ToolSpec,
)
from tests.upstream import Upstream


class Heard:
    """The answer as it adds up, and every call made for it with its error code."""

    def __init__(self) -> None:
        self.text = self.reasoning = self.refusal = ""
        self.names: dict[int, str] = {}
        self.arguments: dict[int, str] = {}
        self.unread: dict[int, str] = {}
        self.extra: dict[int, Any] = {}
        self.finish: FinishReason | None = None
        self.usage: ReportedUsage | None = None
        self.attached: dict[str, Any] | None = None
        self.error: AgentError | None = None
        self.codes: list[str] = []

    @property
    def calls(self) -> list[tuple[str, str]]:
        return [(name, self.arguments[index]) for index, name in self.names.items()]

    def take(self, event: LLMCallStarted | Delta | LLMCallEnded) -> None:
        if isinstance(event, Delta):
            self.text += event.text
            self.reasoning += event.reasoning
            self.refusal += event.refusal
            for piece in event.tool_calls:
                self.arguments[piece.index] = self.arguments.get(piece.index, "") + piece.arguments
                if piece.name:
                    self.names[piece.index] = piece.name
                if piece.unread:
                    self.unread[piece.index] = piece.unread
                if piece.extra:
                    self.extra[piece.index] = piece.extra
        elif isinstance(event, LLMCallEnded):
            self.codes.append(event.error_code)
            self.finish, self.usage, self.attached = event.finish_reason, event.usage, event.attached


async def heard(
    upstream: Upstream,
    *names: str,
    api_key: str | None = None,
    parameters: Parameters | None = None,
    messages: list[Message] | None = None,
    tools: list[ToolSpec] | None = None,
    providers: Providers | None = None,
) -> Heard:
    """Ask the models of these names, one after the other, as a run does."""
    provider = ProviderSpec("scripted", "Scripted", "openai", upstream.base_url, api_key)
    models = tuple(ModelSpec(name, provider) for name in names or ("scripted-model",))
    deadline = asyncio.get_running_loop().time() + 60
    request = ModelRequest(messages or [Message("user", "Hi")], deadline, tools or [], parameters or Parameters())
    result, calling = Heard(), providers or Providers(idle_seconds=30)
    try:
        async with aclosing(ask(calling, models, request)) as events:
            async for event in events:
                result.take(event)
    except AgentError as error:
        result.error = error
    finally:
        if providers is None:
            await calling.aclose()
    return result
