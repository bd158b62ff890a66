"""Tools made of functions: the signature is the schema, the docstring is what the model reads."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, get_type_hints

import msgspec

from agents.errors import ToolFailed
from agents.tools.context import RunContext
from agents.types import ToolFunction, ToolSpec

# A tool's function: `async def name(context, ...) -> str`; every parameter after the first is the model's to fill in.
Function = Callable[..., Awaitable[str]]


class FunctionTool:
    """A built-in tool. `timeout` is in seconds, `max_result` in characters."""

    def __init__(self, function: Function, *, timeout: float = 30, max_result: int = 32_000) -> None:
        self._function = function
        self._arguments = _arguments_type(function)
        self.name = function.__name__
        self.timeout = timeout
        self.max_result = max_result
        description = inspect.cleandoc(function.__doc__ or "")
        self.spec = ToolSpec(ToolFunction(self.name, description, _schema(self._arguments)))

    async def call(self, context: RunContext, arguments: str) -> str:
        """Run the function with the model's arguments (JSON text). Raises ToolFailed, which the model gets to read."""
        try:
            checked = msgspec.json.decode(arguments or "{}", type=self._arguments)
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ToolFailed(f"The arguments of {self.name} are not right: {error}") from None
        return await self._function(context, **msgspec.structs.asdict(checked))


def _arguments_type(function: Function) -> type[msgspec.Struct]:
    hints = get_type_hints(function, include_extras=True)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, parameter in list(inspect.signature(function).parameters.items())[1:]:
        required = parameter.default is inspect.Parameter.empty
        fields.append((name, hints[name]) if required else (name, hints[name], parameter.default))
    return msgspec.defstruct(function.__name__, fields, kw_only=True, forbid_unknown_fields=True)


def _schema(arguments: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON schema of the arguments, whole in itself: models read no references."""
    (schema,), components = msgspec.json.schema_components([arguments])
    body = components[schema["$ref"].rsplit("/", 1)[-1]]
    return {key: body[key] for key in ("type", "properties", "required", "additionalProperties") if key in body}
