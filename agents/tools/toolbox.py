import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol
from uuid import UUID

from msgspec.structs import replace

from agents.errors import ToolFailed
from agents.tools.context import RunContext
from agents.types import ToolAnswer, ToolCall, ToolCallEnded, ToolSpec

logger = logging.getLogger(__name__)


class Tool(Protocol):
    """Something that an agent can do. `timeout` is in seconds, `max_result` in characters."""

    name: str
    spec: ToolSpec
    timeout: float
    max_result: int

    async def call(self, context: RunContext, arguments: str) -> str | ToolAnswer:
        """Do it, with arguments as JSON text. Raises ToolFailed, which the model gets to read."""
        ...


class RunTools:
    """The tools of one run: the agent's, which are executed here, and the client's, which only the client can.

    A client's tool keeps its name; a tool of the agent with the same name is called `openfang_<name>` in this run.
    """

    def __init__(
        self,
        run_id: UUID,
        context: RunContext,
        *,
        own: Sequence[Tool] = (),
        client: Sequence[ToolSpec] = (),
        choice: object = None,
    ) -> None:
        self._run_id = run_id
        self._context = context
        self._choice = choice
        self._client = [] if choice == "none" else client
        taken = {spec.function.name for spec in client}
        self._tools = {_free_name(tool.name, taken): tool for tool in own}
        self._client_names = {spec.function.name for spec in self._client}

    def specs(self, *, first: bool, last: bool) -> list[ToolSpec]:
        # A choice that demands one of the client's tools is met only if the model can take no other.
        demanded = first and self._choice not in (None, "auto", "none")
        own = [] if last or demanded else [_named(tool.spec, name) for name, tool in self._tools.items()]
        return [*own, *self._client]

    def is_server(self, name: str) -> bool:
        return name not in self._client_names

    def call_id(self, number: int) -> str:
        return f"call_{self._run_id.hex}_{number}"

    async def call_all(self, calls: list[ToolCall], deadline: float) -> AsyncGenerator[ToolCallEnded, None]:
        tasks = [asyncio.create_task(self._call(call, deadline)) for call in calls]
        try:
            for ended in asyncio.as_completed(tasks):
                yield await ended
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _call(self, call: ToolCall, deadline: float) -> ToolCallEnded:
        began = time.monotonic()
        answer, is_error, reason = await self._answer(call, deadline)
        answer = answer if isinstance(answer, ToolAnswer) else ToolAnswer(answer)
        milliseconds = round((time.monotonic() - began) * 1000)
        return ToolCallEnded(call, answer.text, is_error, milliseconds, reason, answer.pictures)

    async def _answer(self, call: ToolCall, deadline: float) -> tuple[str | ToolAnswer, bool, str]:
        """Return what the model gets to read, whether it is an error, and why if that is ours to say.

        Only the run's end stops a tool otherwise.
        """
        tool = self._tools.get(call.function.name)
        if tool is None:
            known = ", ".join([*self._tools, *sorted(self._client_names)]) or "none"
            return (
                f"Error: there is no tool {call.function.name[:64]!r}. Your tools: {known}.",
                True,
                "The agent has no such tool.",
            )
        seconds = max(0.0, min(tool.timeout, deadline - asyncio.get_running_loop().time()))
        try:
            async with asyncio.timeout(seconds):
                answer = await tool.call(self._context, call.function.arguments)
            if isinstance(answer, ToolAnswer):
                return ToolAnswer(_fit(answer.text, tool.max_result), answer.pictures), False, ""
            return _fit(answer, tool.max_result), False, ""
        except ToolFailed as error:
            return _fit(f"Error: {error}", tool.max_result), True, ""
        except TimeoutError:
            reason = f"{tool.name} took longer than {seconds:.0f} s and was stopped."
            return f"Error: {reason}", True, reason
        except Exception:
            logger.exception("The tool %s failed in an unforeseen way.", tool.name)
            reason = f"{tool.name} failed inside the server."
            return f"Error: {reason} The administrator can read why in its log.", True, f"{reason} Its log says why."


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"openfang_{name}"
    return name


def _named(spec: ToolSpec, name: str) -> ToolSpec:
    return spec if spec.function.name == name else replace(spec, function=replace(spec.function, name=name))


def _fit(text: str, limit: int) -> str:
    """Return a result as a message can carry it: not too long, and without the half characters of odd file names."""
    text = text.encode(errors="replace").decode()
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[Cut here: {limit} of {len(text)} characters are shown.]"
