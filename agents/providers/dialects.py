"""What one model of one API takes of a chat completion request, learnt from what it refuses."""

import re
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from agents.providers.attachments import THOUGHTS
from agents.providers.refusals import Said
from agents.types import FROM_CLIENT, Attachment, Message, ModelRequest, ModelSpec, ProviderSpec, TextPart

# What a model can do without. `tools` is not among them: an agent without its tools is another one.
DISPENSABLE = ("stream_options", "parallel_tool_calls", "reasoning_effort", "temperature", "top_p", "stop")
REFUSED = re.compile(
    r"unsupported|unknown|unrecogni[sz]ed|unexpected|forbidden|deprecated|unavailable|incompatible|has been removed"
    r"|(?:not|n't|no longer|never) (?:be )?(?:both |a )?(?:support|permit|allow|accept|recogni[sz]|compatible|enabled"
    r"|available|implemented|configurable|valid (?:parameter|argument|field)|used|set\b|specified)"
    r"|(?:cannot|can't) (?:both|be (?:both )?(?:used|set|specified|changed))"
    r"|extra (?:inputs|fields)|extra_forbidden|additional propert|cannot find field|use .?max_tokens"
    r"|only .{0,40}(?:allowed|supported|accepted)|only (?:be|one of)|must be (?:set to )?1(?:\.0)?\b(?![.\d])",
    re.I | re.S,
)
SYSTEM_ROLE = re.compile(
    r"(?:system|developer)['\"` ]*(?:message|role|prompt|instruction)|role.{0,60}['\"`](?:system|developer)['\"`]", re.I
)
REASONING_MISSING = re.compile(
    r"(?:missing|must|required|expected).{0,80}reasoning_content|reasoning_content.{0,80}(?:missing|must|required)",
    re.I | re.S,
)
SIGNATURE_MISSING = re.compile(r"missing.{0,40}thought_?signature|thought_?signature.{0,60}(?:missing|required)", re.I)
# Google documents it for calls that its model did not make itself.
NO_SIGNATURE = {"google": {"thought_signature": "skip_thought_signature_validator"}}
# They refuse fields of a message that are not OpenAI's, and have none that a client could have got from them.
STRICT_HOSTS = ("//api.openai.com/", ".openai.azure.com/", "//api.groq.com/", "//api.cerebras.ai/", "//api.mistral.ai/")
FORMAT = re.compile(r"response_?format|json_(schema|object)", re.I)
OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens")


class Dialect(Struct):
    """What has been learnt of a model; `thoughts` is the field in which it sends its reasoning and takes it back."""

    output_limit: str = "max_tokens"
    left_out: set[str] = field(default_factory=set)
    unwanted: set[str] = field(default_factory=set)
    system_role: str = "system"
    schemas: bool = True
    thoughts: str = "reasoning_content"
    takes_thoughts_of_clients: bool = True
    needs_reasoning: bool = False
    needs_signatures: bool = False
    limit_is_settled: bool = False

    def body(self, model: ModelSpec, request: ModelRequest) -> dict[str, Any]:
        """Return the request as this model takes it."""
        parameters = {
            name: value for name, value in msgspec.structs.asdict(request.parameters).items() if value is not None
        }
        messages, asked = request.messages, parameters.get("response_format") or {}
        if not self.schemas and asked.get("type") == "json_schema":
            messages = _instructed(messages, _schema_instruction(asked))
            parameters["response_format"] = {"type": "json_object"}
        if "max_tokens" in parameters:
            parameters[self.output_limit] = parameters.pop("max_tokens")
        body: dict[str, Any] = {
            "model": model.name,
            "messages": self._messages(model.provider, messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            **parameters,
        }
        if request.tools:
            body["tools"] = request.tools
        if model.provider.kind == "embedded":
            # llama.cpp then writes while it reads a prompt, and so notices that the caller has left.
            body["return_progress"] = True
        for name in self.left_out:
            body.pop(name, None)
        return body

    def notice(self, attached: dict[str, Any] | None) -> None:
        """Remember in which field the model sends its reasoning."""
        if attached and self.thoughts not in attached and (names := [name for name in THOUGHTS if name in attached]):
            self.thoughts = names[0]

    def learn(self, status: int, said: Said, body: dict[str, Any]) -> str:
        """Take in why a request was refused; return what is done differently now, nothing if that is no help."""
        words = f"{said.message} {said.code}"
        if status not in (400, 422) and not (status == 500 and SYSTEM_ROLE.search(words)):
            return ""
        if unwanted := next((name for name in _fields_of(body) if _names(name, said)), ""):
            self.unwanted.add(unwanted)
            return f"messages have no {unwanted}"
        if REASONING_MISSING.search(words) and not self.needs_reasoning and "reasoning_content" not in self.unwanted:
            self.needs_reasoning = True
            return "every turn of the model has reasoning_content"
        if SIGNATURE_MISSING.search(words) and not self.needs_signatures:
            self.needs_signatures = True
            return "calls without a thought signature say so"
        if "stream_options" in body and "stream_options" in words:
            self.left_out.add("stream_options")
            return "stream_options is left out"
        is_refused = REFUSED.search(words) is not None
        learnt = self._learn_limit(said, body, is_refused=is_refused)
        return learnt or (self._learn_parameter(said, words, body) if is_refused else "")

    def _learn_limit(self, said: Said, body: dict[str, Any], *, is_refused: bool) -> str:
        """Give the limit on output its other name, once. A host that speaks of the new name wants it."""
        old, new = OUTPUT_LIMITS
        if old in body and (_place(new, said) >= 0 or (is_refused and _names(old, said))):
            names = old, new
        elif new in body and is_refused and _names(new, said):
            names = new, old
        else:
            return ""
        if self.limit_is_settled:
            return ""
        self.output_limit, self.limit_is_settled = names[1], True
        return f"{names[0]} is called {names[1]}"

    def _learn_parameter(self, said: Said, words: str, body: dict[str, Any]) -> str:
        named = [name for name in DISPENSABLE if name in body and _names(name, said)]
        if named:
            is_either = re.search(r"both|only one of", words, re.I) is not None
            refused = named[-1] if is_either else min(named, key=lambda name: _place(name, said))
            self.left_out.add(refused)
            return f"{refused} is left out"
        asked = body.get("response_format") or {}
        if "invalid schema" not in words.lower() and FORMAT.search(" ".join([words, *said.params])):
            if asked.get("type") == "json_schema":
                self.schemas = False
                return "the schema is in the instructions"
            if asked:
                self.left_out.add("response_format")
                return "response_format is left out"
        if SYSTEM_ROLE.search(words) and self.system_role != "user":
            is_openai = self.system_role == "system" and any(name.endswith("role") for name in said.params)
            self.system_role = "developer" if is_openai else "user"
            return f"instructions have the role {self.system_role}"
        return ""

    def _messages(self, provider: ProviderSpec, messages: list[Message]) -> list[Any]:
        wire: list[Any] = messages
        if self.needs_reasoning or self.needs_signatures or any(message.attached for message in messages):
            wire = [self._with_attachment(provider, message) for message in messages]
        if self.system_role != "system" and messages and messages[0].role == "system":
            wire = _instructed_as(self.system_role, messages[0], wire[1:])
        return wire

    def _with_attachment(self, provider: ProviderSpec, message: Message) -> Any:
        """Return a message with what this provider attached to it, and nothing of what others did."""
        attached = message.attached.get(provider.name) or self._from_client(message)
        fields = {name: value for name, value in attached.fields.items() if name not in self.unwanted}
        calls = attached.calls
        if message.role == "assistant" and self.needs_reasoning:
            fields.setdefault("reasoning_content", "")
        if message.tool_calls and self.needs_signatures and not calls:
            calls = {message.tool_calls[0].id: {"extra_content": NO_SIGNATURE}}
        if not fields and not calls:
            return replace(message, attached={}) if message.attached else message
        parts = fields.pop("content", None)
        wire = {**msgspec.to_builtins(replace(message, attached={})), **fields}
        if isinstance(parts, list):
            wire["content"] = [*parts, *_text_parts(message)]
        for call in wire.get("tool_calls", ()):
            extra = {name: value for name, value in calls.get(call["id"], {}).items() if name not in self.unwanted}
            call["function"].update(extra.pop("function", {}))
            call.update(extra)
        return wire

    def _from_client(self, message: Message) -> Attachment:
        """Return what a client sent back, its thoughts under the name that this model has for them."""
        sent = message.attached.get(FROM_CLIENT)
        if sent is None or not self.takes_thoughts_of_clients:
            return Attachment(calls=sent.calls) if sent else Attachment()
        fields = dict(sent.fields)
        if "reasoning_content" in fields:
            fields[self.thoughts] = fields.pop("reasoning_content")
        return Attachment(fields, sent.calls)


def dialect_of(provider: ProviderSpec) -> Dialect:
    """Return what is known of an API before it has refused anything."""
    # OpenAI's reasoning models refuse the old name; other servers do not know the new one.
    is_openai = "//api.openai.com/" in provider.base_url
    is_strict = any(host in provider.base_url for host in STRICT_HOSTS)
    return Dialect(output_limit=OUTPUT_LIMITS[is_openai], takes_thoughts_of_clients=not is_strict)


def _names(name: str, said: Said) -> bool:
    """Tell whether an error is about this parameter or field."""
    if any(name in re.split(r"[.\[\]$]+", path) for path in said.params):
        return True
    return REFUSED.search(f"{said.message} {said.code}") is not None and _place(name, said) >= 0


def _place(name: str, said: Said) -> int:
    """Return where a message names a parameter, -1 if it does not; `stop` is a word, too, so it must stand out."""
    camel = re.sub(r"_(\w)", lambda letter: letter[1].upper(), name)
    pattern = rf"(?<![\w]){name}(?!\w)|(?<!\w){camel}(?!\w)"
    if name == "stop":
        pattern = (
            r"['\"`]stop['\"`]|(?:parameters?|arguments?|field|model|inputs)[: ]+stop\b|\bstop (?:parameter|sequence)"
        )
    found = re.search(pattern, said.message)
    return found.start() if found else -1


def _fields_of(body: dict[str, Any]) -> set[str]:
    """Return the fields of the messages of a request that are not OpenAI's."""
    known = {"role", "content", "name", "tool_calls", "tool_call_id"}
    messages = [message for message in body["messages"] if isinstance(message, dict)]
    calls = [call for message in messages for call in message.get("tool_calls", ())]
    fields = {name for message in messages for name in message if name not in known}
    return fields | {name for call in calls for name in call if name not in ("id", "type", "function")}


def _schema_instruction(asked: dict[str, Any]) -> str:
    schema = (asked.get("json_schema") or {}).get("schema") or {}
    return f"Answer with one JSON object that fits this JSON schema: {msgspec.json.encode(schema).decode()}"


def _instructed(messages: list[Message], text: str) -> list[Message]:
    """Return messages with another instruction behind those they begin with."""
    if messages and messages[0].role == "system" and isinstance(messages[0].content, str):
        return [Message("system", f"{messages[0].content}\n\n{text}"), *messages[1:]]
    return [Message("system", text), *messages]


def _instructed_as(role: str, instructions: Message, messages: list[Any]) -> list[Any]:
    """Return messages with instructions before them; for `user`, in the first message, as the roles must alternate."""
    text = instructions.content if isinstance(instructions.content, str) else ""
    first = messages[0] if messages else None
    if role == "user" and isinstance(first, Message) and first.role == "user":
        content = first.content
        joined = [TextPart(text), *content] if isinstance(content, list) else f"{text}\n\n{content or ''}".strip()
        return [replace(first, content=joined), *messages[1:]]
    return [{"role": role, "content": text}, *messages]


def _text_parts(message: Message) -> list[Any]:
    if isinstance(message.content, list):
        return msgspec.to_builtins(message.content)  # type: ignore[no-any-return]
    return [{"type": "text", "text": message.content}] if message.content else []
