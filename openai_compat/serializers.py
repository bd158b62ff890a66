"""The body of a chat completion request: what is accepted, and what it means to an agent.

Unknown fields are ignored, as OpenAI's clients add new ones all the time; null is the same as absent.
"""

import base64
import binascii
import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from agents.errors import InvalidRequest
from agents.providers.arguments import one_object
from agents.types import (
    FROM_CLIENT,
    AgentSpec,
    Attachment,
    FunctionCall,
    ImagePart,
    ImageURL,
    Message,
    Parameters,
    Part,
    TextPart,
    ToolCall,
    ToolFunction,
    ToolSpec,
)

# Accepted and ignored: no agent has them (the seed: "not supported").
UNSUPPORTED = ("logprobs", "top_logprobs", "seed", "logit_bias")
# Accepted and ignored unless the agent honours the client's parameters.
AGENTS_OWN = ("temperature", "max_tokens", "max_completion_tokens", "top_p")

MODEL_NAME = r"\A(?=.*\S)[^\x00-\x1f\x7f]{1,200}\Z"
FUNCTION_NAME = r"\A[a-zA-Z0-9_.-]{1,64}\Z"
FunctionName = Annotated[str, Meta(pattern=FUNCTION_NAME)]
Tokens = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class RequestTextPart(Struct, tag_field="type", tag="text"):
    text: str


class RequestInputTextPart(Struct, tag_field="type", tag="input_text"):
    text: str


class RequestRefusalPart(Struct, tag_field="type", tag="refusal"):
    refusal: str


class RequestImageURL(Struct):
    url: str
    detail: str | None = None


class RequestImagePart(Struct, tag_field="type", tag="image_url"):
    image_url: RequestImageURL | str


RequestPart = RequestTextPart | RequestInputTextPart | RequestRefusalPart | RequestImagePart
Content = str | list[RequestPart] | None


class SystemMessage(Struct, tag_field="role", tag="system"):
    content: Content = None


class DeveloperMessage(Struct, tag_field="role", tag="developer"):
    content: Content = None


class UserMessage(Struct, tag_field="role", tag="user"):
    content: Content = None
    name: str | None = None


class RequestFunctionCall(Struct):
    name: str
    arguments: str | None = None


class RequestToolCall(Struct):
    id: str
    function: RequestFunctionCall
    type: Literal["function"] | None = None
    extra_content: Any = None


class AssistantMessage(Struct, tag_field="role", tag="assistant"):
    content: Content = None
    name: str | None = None
    tool_calls: list[RequestToolCall] | None = None
    function_call: RequestFunctionCall | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None


class ToolMessage(Struct, tag_field="role", tag="tool"):
    tool_call_id: str
    content: Content = None


class FunctionMessage(Struct, tag_field="role", tag="function"):
    name: str
    content: Content = None


RequestMessage = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage


class RequestFunction(Struct):
    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class RequestTool(Struct):
    type: Literal["function"]
    function: RequestFunction


class StreamOptions(Struct):
    include_usage: bool | None = None


class NamedFunction(Struct):
    name: str


class NamedToolChoice(Struct):
    type: Literal["function"]
    function: NamedFunction


class ResponseFormat(Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] | None = None


class ChatCompletionRequest(Struct):
    """POST /v1/chat/completions."""

    model: Annotated[str, Meta(pattern=MODEL_NAME)]
    messages: Annotated[list[RequestMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    n: Annotated[int, Meta(ge=1, le=1)] | None = None
    stop: str | list[str] | None = None
    user: str | dict[str, Any] | None = None
    tools: list[RequestTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[RequestFunction] | None = None
    function_call: Literal["none", "auto"] | NamedFunction | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage is True

    @property
    def end_user(self) -> str:
        """Return whom the client says it asks for; some name the user by an object with an id."""
        if isinstance(self.user, dict):
            return str(self.user.get("id") or "")
        return self.user or ""

    def ignored(self, agent: AgentSpec) -> list[str]:
        """Return the names of the parameters that were sent and have no effect with this agent."""
        own = () if agent.honour_client_parameters else AGENTS_OWN
        tools = () if agent.takes_tools else ("tools", "functions")
        return [name for name in (*own, *UNSUPPORTED, *tools) if getattr(self, name) not in (None, [])]

    def parameters(self) -> Parameters:
        tools = self.tool_specs()
        limits = [limit for limit in (self.max_tokens, self.max_completion_tokens) if limit is not None]
        return Parameters(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=min(limits, default=None),
            stop=[self.stop] if isinstance(self.stop, str) else self.stop or None,
            response_format=_plain(self.response_format) if self.response_format else None,
            tool_choice=self._tool_choice(tools),
            parallel_tool_calls=self.parallel_tool_calls if tools else None,
            reasoning_effort=self.reasoning_effort,
        )

    def tool_specs(self) -> list[ToolSpec]:
        """Return the client's own tools, those of the older `functions` among them."""
        functions = [tool.function for tool in self.tools or ()] + (self.functions or [])
        return [ToolSpec(ToolFunction(f.name, f.description, f.parameters, f.strict)) for f in functions]

    def _tool_choice(self, tools: list[ToolSpec]) -> str | dict[str, Any] | None:
        param = "function_call" if self.tool_choice is None else "tool_choice"
        choice = self.function_call if self.tool_choice is None else self.tool_choice
        if not isinstance(choice, NamedToolChoice | NamedFunction):
            return choice if tools else None
        name = choice.name if isinstance(choice, NamedFunction) else choice.function.name
        if name not in {tool.function.name for tool in tools}:
            raise InvalidRequest(f"'{param}' names the function {name[:64]!r}, which is not in 'tools'.", param=param)
        return {"type": "function", "function": {"name": name}}


def _plain(struct: Struct) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(struct).items() if value is not None}


class Conversation(Struct):
    """The messages as an agent reads them; `image_at` is the place of the first image in the body."""

    messages: list[Message]
    image_at: str | None = None


def conversation(request: ChatCompletionRequest) -> Conversation:
    """Return the request's messages in the agents' words. Raises InvalidRequest for images that are no data URIs."""
    result = Conversation([])
    for index, message in enumerate(request.messages):
        content = _content(message.content, f"messages[{index}].content", result)
        match message:
            case SystemMessage() | DeveloperMessage():
                result.messages.append(Message("system", content))
            case UserMessage():
                result.messages.append(Message("user", content or "", name=message.name))
            case AssistantMessage():
                result.messages.append(_assistant(message, content))
            case ToolMessage():
                result.messages.append(Message("tool", content or "", tool_call_id=message.tool_call_id))
            case FunctionMessage():
                result.messages.append(Message("tool", content or "", tool_call_id=f"call_{message.name}"))
    return result


def _assistant(message: AssistantMessage, content: str | list[Part] | None) -> Message:
    calls = [
        ToolCall(call.id, FunctionCall(call.function.name, one_object(call.function.arguments or "{}")))
        for call in message.tool_calls or ()
    ]
    if message.function_call is not None:
        called = message.function_call
        calls.append(ToolCall(f"call_{called.name}", FunctionCall(called.name, one_object(called.arguments or "{}"))))
    attachment = _attachment(message)
    attached = {FROM_CLIENT: attachment} if attachment else {}
    return Message("assistant", content if calls else content or "", tool_calls=calls or None, attached=attached)


def _attachment(message: AssistantMessage) -> Attachment:
    """Return what the client sends back of what a provider attached to a turn; what is of an odd type is left out."""
    fields: dict[str, Any] = {}
    thoughts = message.reasoning_content or message.reasoning
    if isinstance(thoughts, str) and thoughts:
        fields["reasoning_content"] = thoughts
    if isinstance(message.reasoning_details, list) and message.reasoning_details:
        fields["reasoning_details"] = message.reasoning_details
    extra = {call.id: call.extra_content for call in message.tool_calls or () if isinstance(call.extra_content, dict)}
    return Attachment(fields, {call_id: {"extra_content": content} for call_id, content in extra.items() if content})


def _content(content: Content, where: str, result: Conversation) -> str | list[Part] | None:
    if not isinstance(content, list):
        return content
    parts: list[Part] = []
    for index, part in enumerate(content):
        match part:
            case RequestTextPart() | RequestInputTextPart():
                parts.append(TextPart(part.text))
            case RequestRefusalPart():
                parts.append(TextPart(part.refusal))
            case RequestImagePart():
                place = f"{where}[{index}].image_url"
                result.image_at = result.image_at or place
                parts.append(_image(part, place))
    if all(isinstance(part, TextPart) for part in parts):
        # A plain string: many servers know no other content for system and assistant messages.
        return "\n".join(part.text for part in parts if isinstance(part, TextPart))
    return parts


DATA_URI = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.I)


def _image(part: RequestImagePart, place: str) -> ImagePart:
    image = part.image_url if isinstance(part.image_url, RequestImageURL) else RequestImageURL(part.image_url)
    if image.url[:8].lower().startswith(("http:", "https:")):
        raise InvalidRequest(
            "Images are not fetched from URLs. Send the image itself as a data URI, as in data:image/png;base64,....",
            param=place,
            code="unsupported_image",
        )
    found = DATA_URI.match(image.url)
    if found is None:
        raise InvalidRequest(
            "Only data URIs of images are supported, as in data:image/png;base64,....",
            param=place,
            code="invalid_image",
        )
    encoded = image.url[found.end() :]
    try:
        if not encoded or not base64.b64decode(encoded, validate=True):
            raise ValueError
    except (ValueError, binascii.Error):
        raise InvalidRequest("The image is not valid base64.", param=place, code="invalid_image") from None
    return ImagePart(ImageURL(image.url, image.detail))
