"""Starting runs: a request for an agent becomes the loop, with a model to ask and a usage row around it."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from msgspec import Struct
from msgspec.structs import replace

from agents import runner
from agents.errors import AgentError, InvalidRequest, ProviderRefused, RunAbandoned, ServerStopped, ToolFailed
from agents.models import Status, UsageRecord
from agents.providers import Providers
from agents.providers.attempts import ask
from agents.snapshot import KeySpec, Snapshot, SnapshotKeeper
from agents.tools.context import RunContext
from agents.tools.toolbox import RunTools
from agents.types import (
    AgentSpec,
    Delta,
    Event,
    Finished,
    Message,
    ModelRequest,
    ModelSpec,
    Parameters,
    TextPart,
    ToolSpec,
)
from agents.usage.ledger import Ledger
from agents.usage.recording import Recording


class Caller(Struct, frozen=True):
    """Who asks: the key (None where the server is open) and what is known of the client."""

    key: KeySpec | None
    address: str = ""
    user_agent: str = ""


class RunRequest(Struct):
    """What a client asks of an agent.

    `image_at` is the place of the first image in the request body; `http_status` tells what status the client gets to
    see for an error, or for None, so that the usage row can say it.
    """

    id: UUID
    endpoint: str
    requested_model: str
    streamed: bool
    messages: list[Message]
    tools: list[ToolSpec]
    parameters: Parameters
    end_user: str
    image_at: str | None
    http_status: Callable[[AgentError | None], int]


class Engine:
    """The parts that a serving process holds from start to stop, and the way of a request through them."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._started = False
        self._stopping = False
        self._keeper = SnapshotKeeper()
        self._ledger = Ledger()
        self._providers: Providers | None = None

    def start(self) -> None:
        """Read what is served and open the ledger; does nothing the second time. Raises DatabaseError."""
        with self._starting:
            if not self._started:
                self._keeper.start()
                self._ledger.start()
                self._started = True

    def stop_runs(self) -> None:
        """From now on a run that is cancelled was ended by this server, not by its client."""
        self._stopping = True

    async def aclose(self) -> None:
        if self._providers is not None:
            await self._providers.aclose()
        if self._started:
            await asyncio.to_thread(self._ledger.stop)
            await asyncio.to_thread(self._keeper.stop)

    @property
    def snapshot(self) -> Snapshot:
        if not self._started:
            self.start()
        return self._keeper.current

    @property
    def providers(self) -> Providers:
        if self._providers is None:
            self._providers = Providers()
        return self._providers

    def run(self, agent: AgentSpec, request: RunRequest, caller: Caller) -> AsyncGenerator[Event, None]:
        """Return the agent's answer: deltas, and Finished last. Raises InvalidRequest for what its model can't take."""
        models = _able_models(agent, request)
        return self._recorded(agent, models, request, caller)

    async def _recorded(
        self, agent: AgentSpec, models: tuple[ModelSpec, ...], request: RunRequest, caller: Caller
    ) -> AsyncGenerator[Event, None]:
        """Run, and whatever happens, leave a closed usage row before the last word reaches the client."""
        recording = Recording(self._opening_row(agent, request, caller))
        error: AgentError | None = RunAbandoned("The client left before the answer was complete.")
        try:
            await self._ledger.open(recording.row)
            deadline = asyncio.get_running_loop().time() + agent.run_timeout
            model_request = ModelRequest(
                messages=_conversation(agent, request.messages),
                deadline=deadline,
                tools=request.tools,
                parameters=settled_parameters(agent, request.parameters),
            )
            if not models:
                raise ProviderRefused(f"The agent {agent.name!r} has no model, and this server has no default model.")
            toolbox = self._toolbox(agent, request, deadline)
            asking = partial(ask, self.providers, models)
            async with aclosing(runner.run(agent, model_request, asking, toolbox)) as events:
                async for event in events:
                    recording.observe(event)
                    if type(event) is Delta:
                        yield event
            error = None
        except AgentError as failure:
            error = failure
            raise
        finally:
            if self._stopping and isinstance(error, RunAbandoned):
                error = ServerStopped("The server stopped before the answer was complete.")
            await self._close(recording, error, request)
        yield Finished(recording.finish_reason, recording.usage)

    def _toolbox(self, agent: AgentSpec, request: RunRequest, deadline: float) -> RunTools:
        context = RunContext(
            agent=agent,
            scope="",
            workspace=settings.OPENFANG_DATA_DIR / "workspaces" / str(agent.id),
            deadline=deadline,
            depth=0,
            ask_agent=self._ask_agent,
        )
        return RunTools(request.id, [], request.tools, request.parameters.tool_choice, context)

    async def _ask_agent(self, name: str, question: str) -> str:
        raise ToolFailed("Not yet.")

    async def _close(self, recording: Recording, error: AgentError | None, request: RunRequest) -> None:
        """Commit the closing row, also when the request is being cancelled meanwhile."""
        status = Status.OK if error is None else Status.FAILED
        if isinstance(error, RunAbandoned):
            status = Status.CANCELLED
        recording.close(status, http_status=request.http_status(error), error_code=error.code if error else "")
        await asyncio.shield(asyncio.ensure_future(self._ledger.close(recording.row, recording.steps)))

    def _opening_row(self, agent: AgentSpec, request: RunRequest, caller: Caller) -> UsageRecord:
        key = caller.key
        return UsageRecord(
            id=request.id,
            started_at=timezone.now(),
            worker_id=self._ledger.worker_id,
            agent_id=agent.id,
            agent_name=agent.name,
            api_key_id=key.id if key else None,
            api_key_name=key.name if key else "",
            endpoint=request.endpoint,
            streamed=request.streamed,
            requested_model=_storable(request.requested_model),
            client_address=caller.address[:64],
            user_agent=_storable(caller.user_agent),
            end_user=_storable(request.end_user),
        )


def _storable(text: str) -> str:
    """Return a client's text as it fits a column: cut, and without the NUL that PostgreSQL refuses."""
    return text.replace("\x00", "")[:200]


def _able_models(agent: AgentSpec, request: RunRequest) -> tuple[ModelSpec, ...]:
    """Return the agent's models that can take the request; the first of them must."""
    if request.image_at is None or not agent.models:
        return agent.models
    if agent.models[0].vision is False:
        raise InvalidRequest(
            f"The model of the agent {agent.name!r} cannot see images.",
            param=request.image_at,
            code="unsupported_image",
        )
    return tuple(model for model in agent.models if model.vision is not False)


def _conversation(agent: AgentSpec, messages: list[Message]) -> list[Message]:
    """Return the messages for the model, all instructions first and in one message.

    The agent's prompt leads, then the client's system messages. Many chat templates refuse a second system message, or
    one that is not the first.
    """
    instructions = [agent.system_prompt] if agent.system_prompt else []
    conversation = []
    for message in messages:
        if message.role == "system":
            instructions.append(_text(message))
        else:
            conversation.append(message)
    text = "\n\n".join(filter(None, instructions))
    return [Message("system", text), *conversation] if text else conversation


def _text(message: Message) -> str:
    if isinstance(message.content, list):
        return "\n".join(part.text for part in message.content if isinstance(part, TextPart))
    return message.content or ""


def settled_parameters(agent: AgentSpec, asked: Parameters) -> Parameters:
    """Return the client's parameters with the agent's own values, which hold unless the agent honours the client's."""
    if not agent.honour_client_parameters:
        return replace(asked, temperature=agent.temperature, top_p=agent.top_p, max_tokens=agent.max_tokens)
    caps = [limit for limit in (agent.max_tokens, asked.max_tokens) if limit is not None]
    return replace(
        asked,
        temperature=agent.temperature if asked.temperature is None else asked.temperature,
        top_p=agent.top_p if asked.top_p is None else asked.top_p,
        max_tokens=min(caps, default=None),
    )


engine = Engine()
