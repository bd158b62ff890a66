"""The words the loop, the providers and the tools speak with each other.

Messages have the shape of OpenAI's chat messages, because every provider reads that shape; everything that only the
OpenAI *server* protocol knows (chunks, error bodies, model objects) is in `openai_compat`.
"""

from collections.abc import AsyncGenerator
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, Protocol
from uuid import UUID

from msgspec import Struct, field

from agents.errors import AgentError
from agents.tracing import Span

MILLION = Decimal(1_000_000)


class TextPart(Struct, tag_field="type", tag="text"):
    text: str


class ImageURL(Struct, omit_defaults=True):
    """An image as a `data:` URI, passed to the provider unchanged."""

    url: str
    detail: str | None = None


class ImagePart(Struct, tag_field="type", tag="image_url"):
    image_url: ImageURL


Part = TextPart | ImagePart


class FunctionCall(Struct):
    name: str
    arguments: str


class ToolCall(Struct):
    """A model's wish to have a tool run; `arguments` is the text of one JSON object."""

    id: str
    function: FunctionCall
    type: Literal["function"] = "function"


class Attachment(Struct, omit_defaults=True):
    """What a provider adds to a turn and wants back with it, as its reasoning and signatures are.

    `fields` are those of the message, `calls` those of its tool calls by their ids.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.fields or self.calls)


class ToolAnswer(Struct, frozen=True):
    """What a tool answered, with the pictures that a model with vision gets to see."""

    text: str
    pictures: tuple[ImagePart, ...] = ()


class Message(Struct, omit_defaults=True):
    """One turn of a conversation; without attachments, encoding it gives what a provider reads.

    `attached` is by the name of the provider that attached it; no other gets to see it. Under `FROM_CLIENT` it is what
    a client sent back, which does not say whose it is: the provider that is asked first gets it.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[Part] | None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    attached: dict[str, Attachment] = field(default_factory=dict)


FROM_CLIENT = ""


class ToolFunction(Struct, omit_defaults=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolSpec(Struct):
    """A tool as the model is told of it; `parameters` is a JSON schema."""

    function: ToolFunction
    type: Literal["function"] = "function"


class Usage(Struct, frozen=True):
    """Tokens of one LLM call or of a whole run."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


class ReportedUsage(Struct, frozen=True):
    """Tokens of one LLM call as its provider counted them; None is unknown."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def is_complete(self) -> bool:
        return self.prompt_tokens is not None and self.completion_tokens is not None

    def filled(self, estimated: Usage) -> Usage:
        """Return the usage with what is unknown from an estimate, within the total if that is known."""
        prompt, completion = self.prompt_tokens, self.completion_tokens
        if completion is None:
            completion = estimated.completion_tokens
            if prompt is None and self.total_tokens is not None:
                completion = min(completion, self.total_tokens)
                prompt = self.total_tokens - completion
        prompt = estimated.prompt_tokens if prompt is None else prompt
        return Usage(prompt, completion, min(self.cached_tokens, prompt), self.reasoning_tokens)


class UsageSource(StrEnum):
    """Where a run's token numbers come from."""

    PROVIDER = "provider"
    ESTIMATED = "estimated"
    CAPPED = "capped"
    NONE = "none"


class Prices(Struct, frozen=True):
    """US dollars per million tokens; None is unknown, zero is free."""

    prompt: Decimal | None = None
    cached: Decimal | None = None
    completion: Decimal | None = None

    def cost(self, usage: Usage) -> Decimal | None:
        """Return what the tokens cost in US dollars, or None if a price that is needed is unknown."""
        if self.prompt is None or self.completion is None:
            return None
        cached_price = self.prompt if self.cached is None else self.cached
        fresh = usage.prompt_tokens - usage.cached_tokens
        dollars = fresh * self.prompt + usage.cached_tokens * cached_price + usage.completion_tokens * self.completion
        return dollars / MILLION


class ProviderSpec(Struct, frozen=True):
    """An LLM API to call; `kind` picks the code that calls it, `api_key` never leaves the process otherwise."""

    name: str
    label: str
    kind: Literal["openai", "embedded"]
    base_url: str
    api_key: str | None = None
    api_key_env: str = ""
    key_withheld: bool = False  # the variable is set perhaps, but may not be sent to this address
    proxy: str | None = None

    def __repr__(self) -> str:
        return f"ProviderSpec({self.name!r}, {self.base_url!r})"


class ModelSpec(Struct, frozen=True):
    """A language model at a provider; None means that the catalog does not know.

    `token_correction` is how many times our estimate its own count of a prompt comes to, 1 or more.
    """

    name: str
    provider: ProviderSpec
    context_window: int | None = None
    max_output_tokens: int | None = None
    prices: Prices = Prices()
    tools: bool | None = None
    vision: bool | None = None
    reasoning: bool | None = None
    token_correction: float = 1.0


class AgentSpec(Struct, frozen=True):
    """An agent as it was when the request came in; the loop never sees the database.

    `models` is the agent's model followed by its fallbacks; `run_timeout` is in seconds, `created` in Unix seconds.
    """

    id: UUID
    name: str
    description: str
    created: int
    system_prompt: str
    models: tuple[ModelSpec, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_llm_calls: int = 10
    max_tool_calls: int = 50
    run_timeout: int = 600
    honour_client_parameters: bool = False
    tools: tuple[str, ...] = ()
    tool_activity: str = "automatic"
    workspace_per_key: bool = False

    @property
    def sees(self) -> bool:
        """Tell whether every model that may answer can be given pictures, as far as is known."""
        known = [model.vision for model in self.models]
        return bool(known) and known[0] is True and False not in known

    @property
    def takes_tools(self) -> bool:
        """Tell whether the agent's model can be given tools; one of which nothing is known can."""
        return not self.models or self.models[0].tools is not False


class Parameters(Struct, omit_defaults=True, frozen=True):
    """What a model is asked besides the conversation; encoding it gives what a provider reads."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    response_format: dict[str, Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None


class Delivery(Struct):
    """How far one call has come: `billable` from when its request is being sent, unless the provider refuses it."""

    billable: bool = False


class ModelRequest(Struct, frozen=True):
    """One call of a language model, whichever model takes it; `deadline` is on the event loop's clock."""

    messages: list[Message]
    deadline: float
    tools: list[ToolSpec] = field(default_factory=list)
    parameters: Parameters = Parameters()
    span: Span | None = None  # where traces are written
    delivery: Delivery = field(default_factory=Delivery)


class FinishReason(StrEnum):
    """Why an answer ended, in OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class ToolCallDelta(Struct):
    """A piece of a tool call; id and name come with the first piece of an index.

    `server` tells a call that this server executes from one that is the client's to execute. `extra` are the fields
    that are not OpenAI's. Whatever the model wrote, the arguments of all pieces add up to one JSON object. If its own
    text was none, the last piece has it as `unread`; `broke_off` says that a part of a value has been passed on.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    server: bool = False
    extra: dict[str, Any] | None = None
    unread: str = ""
    broke_off: bool = False


class Delta(Struct):
    """What a model's answer goes on with; the last has the model, as the provider calls what has answered.

    `pieces` are the text as the provider cut it, if it came in several chunks at once; `attached`, with the last, are
    the fields of the message that the provider wants back.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: FinishReason | None = None
    usage: ReportedUsage | None = None
    model: str = ""
    pieces: tuple[str, ...] = ()
    attached: dict[str, Any] | None = None


class PromptEstimate(Struct, frozen=True):
    """What a prompt is taken to come to, before any model's correction; `images` of its tokens are not text."""

    tokens: int
    images: int = 0


class LLMCallStarted(Struct):
    """A model is being asked; its deltas follow, then LLMCallEnded.

    `attempt` counts the calls made for one answer, from 1, over retries and fallback models. `estimate` is set when the
    call is admitted.
    """

    model: ModelSpec
    request: ModelRequest
    attempt: int = 1
    estimate: PromptEstimate = PromptEstimate(0)


class LLMCallEnded(Struct):
    """The call is over: answered, by the `model` that the provider says, or failed with `error_code`.

    Usage is None if the provider told none. `error` says why it failed, `backoff` how many seconds pass before the same
    model is asked again, None if it is not.
    """

    finish_reason: FinishReason | None = None
    usage: ReportedUsage | None = None
    error_code: str = ""
    model: str = ""
    error: AgentError | None = None
    backoff: float | None = None
    attached: dict[str, Any] | None = None


class CallsMade(Struct):
    """The model's turn ended with tool calls; the server's own, in `executed`, are run unless `results` has theirs."""

    message: Message
    executed: list[ToolCall]
    results: dict[str, str] = field(default_factory=dict)


class ToolCallEnded(Struct):
    """A tool of the server has answered; an error is an answer to the model, too.

    `reason` says why a call failed, if this server knows: a sentence of ours, without a quotation.
    """

    call: ToolCall
    result: str
    is_error: bool
    duration_ms: int
    reason: str = ""
    pictures: tuple[ImagePart, ...] = ()


class Finished(Struct):
    """The answer is complete; nothing follows. `usage` is that of all the run's LLM calls."""

    finish_reason: FinishReason
    usage: Usage = Usage()


Event = LLMCallStarted | Delta | LLMCallEnded | CallsMade | ToolCallEnded | Finished


class Toolbox(Protocol):
    """The tools of one run: the agent's, which are executed here, and the client's, which only the client can."""

    def specs(self, *, first: bool, last: bool) -> list[ToolSpec]:
        """Return the tools for the run's next LLM call; in the `last` one the agent's own are no use any more."""
        ...

    def is_server(self, name: str) -> bool:
        """Tell whether a call of this name is executed here; unknown names are, so that the model reads its error."""
        ...

    def call_id(self, number: int) -> str:
        """Return the id of the run's n-th call, unlike any other."""
        ...

    def call_all(self, calls: list[ToolCall], deadline: float) -> AsyncGenerator[ToolCallEnded, None]:
        """Execute the calls at once and yield each as it ends."""
        ...


class Provider(Protocol):
    """An LLM API. It has one verb."""

    def stream(self, model: ModelSpec, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """Ask the model and yield its answer as it comes; raises ProviderError or InvalidRequest."""
        ...
