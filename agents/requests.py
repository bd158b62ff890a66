"""What a client asks of an agent, and what of it holds."""

from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from msgspec import Struct
from msgspec.structs import replace

from agents.digests import Digests, digests_of
from agents.errors import AgentError, InvalidRequest
from agents.keyring import KeySpec
from agents.limits.allowance import Allowance
from agents.models import UsageRecord
from agents.sql.rows import new_row
from agents.tracing import Span, span_of_run
from agents.types import AgentSpec, Message, ModelSpec, Parameters, TextPart, ToolSpec


class Caller(Struct, frozen=True):
    """Who asks: the key (None where the server is open), what is known of the client, and what the key may use."""

    key: KeySpec | None
    address: str = ""
    user_agent: str = ""
    allowance: Allowance | None = None

    @property
    def scope(self) -> str:
        """Return the name under which things are kept for this caller and shown to no other."""
        return f"key:{self.key.id}" if self.key else f"address:{self.address}"

    def asking(self) -> "Caller":
        """Return the caller as it asks another agent: those tokens count, and its place is one of the tree's."""
        return replace(self, allowance=self.allowance and self.allowance.of_tokens())


class RunRequest(Struct):
    """What a client asks of an agent.

    `body` is the request as it came; `image_at` is the place of the first image in it. `http_status` tells what status
    the client gets to see for an error, or for None, so that the usage row can say it. `caller_span` is what the client
    says of the trace that it writes. `asked_as` is what recognises a question of another agent, which has no body.
    """

    id: UUID
    endpoint: str
    requested_model: str
    streamed: bool
    messages: list[Message]
    http_status: Callable[[AgentError | None], int]
    tools: list[ToolSpec]
    parameters: Parameters
    end_user: str = ""
    image_at: str | None = None
    body: bytes = b""
    asked_as: Digests | None = None
    idempotency_key: str = ""
    caller_span: Span | None = None

    @property
    def span(self) -> Span | None:
        """The span of this run, under which those of its calls stand; None if no traces are written."""
        return span_of_run(self.id, self.caller_span) if settings.OPENFANG_TRACES else None

    def digests(self) -> Digests:
        """Return what recognises a repeat of this request. Of a long body that takes a moment."""
        return self.asked_as or digests_of(self.body, self.end_user)


def opening_row(
    request: RunRequest, agent: AgentSpec, caller: Caller, *, worker_id: UUID, parent_id: UUID | None
) -> UsageRecord:
    """Return the usage row of a run that begins now."""
    return new_row(
        UsageRecord,
        id=request.id,
        started_at=timezone.now(),
        worker_id=worker_id,
        agent_id=agent.id,
        agent_name=agent.name,
        api_key_id=caller.key.id if caller.key else None,
        api_key_name=caller.key.name if caller.key else "",
        parent_id=parent_id,
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


def able_models(agent: AgentSpec, request: RunRequest) -> tuple[ModelSpec, ...]:
    """Return the agent's models that can take the request; the first of them must, or InvalidRequest is raised."""
    models = agent.models
    if models and request.image_at is not None:
        if models[0].vision is False:
            raise InvalidRequest(
                f"The model of the agent {agent.name!r} cannot see images.",
                param=request.image_at,
                code="unsupported_image",
            )
        models = tuple(model for model in models if model.vision is not False)
    if models and request.tools:
        if not agent.takes_tools and request.parameters.tool_choice not in (None, "auto", "none"):
            raise InvalidRequest(
                f"The model of the agent {agent.name!r} cannot call tools, so none can be required.",
                param="tool_choice",
                code="unsupported_tools",
            )
        models = tuple(model for model in models if (model.tools is not False) or not agent.takes_tools)
    return models


def instructed(agent: AgentSpec, messages: list[Message], notice: str = "") -> list[Message]:
    """Return the messages for the model, all instructions first and in one message.

    The agent's prompt leads, then the client's system messages, then a notice of ours. Many chat templates refuse a
    second system message, or one that is not the first.
    """
    instructions = [agent.system_prompt] if agent.system_prompt else []
    conversation = []
    for message in messages:
        if message.role == "system":
            instructions.append(_text(message))
        else:
            conversation.append(message)
    text = "\n\n".join(filter(None, [*instructions, notice]))
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
