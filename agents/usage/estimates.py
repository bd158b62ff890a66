"""Estimates of tokens: of a prompt before it is sent, and of an answer that its provider did not count.

A prompt's estimate errs on the high side, because budgets and token limits reserve it. It is taken from the JSON that
the provider reads, so it covers whatever a message or a tool carries.
"""

import math
import string
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from agents.types import ImagePart, Message, ModelSpec, Part, PromptEstimate, ToolSpec

BYTES_PER_TOKEN = 4
LONG_TEXT, CHARACTERS_PER_TOKEN = 4096, 3  # what is longer is not read where nothing is reserved
IMAGE_TOKENS = 1600  # the most that common models count for an image of ordinary size

# In prose, code and JSON, common tokenizers join at least four of these into a token on average.
_PLAIN = (string.ascii_lowercase + " ").encode()
# Many tokenizers spend a token on each digit, and on nearly each character of base64 and identifiers.
_DENSE = (string.ascii_uppercase + string.digits).encode()

Measured = Mapping[int, tuple[object, int]]
"""Token counts by the id of the object they are of. The object is kept, so that its id stays its own."""


def text_tokens(byte_count: int) -> int:
    """Return about how many tokens an answer of so many UTF-8 bytes has."""
    return -(-byte_count // BYTES_PER_TOKEN)


def json_tokens(encoded: bytes) -> int:
    """Return about how many tokens a model reads in this JSON or text, rounded up.

    Lower-case letters and spaces count a quarter, digits and capitals one, all other bytes a half. A token is never
    shorter than a byte, so the real number is at most four times this one.
    """
    other = encoded.translate(None, _PLAIN)
    rest = other.translate(None, _DENSE)
    return -(-(len(encoded) + 3 * len(other) - 2 * len(rest)) // 4)


def measure(specs: Iterable[ToolSpec], system_prompts: Iterable[str]) -> Measured:
    """Measure what many requests share: tools, and the instructions of agents."""
    tools = {id(spec): (spec, json_tokens(msgspec.json.encode(spec))) for spec in specs}
    return tools | {
        id(prompt): (prompt, _message_tokens(Message("system", prompt), thorough=True)) for prompt in system_prompts
    }


def prompt_tokens(estimate: PromptEstimate, model: ModelSpec) -> int:
    """Return an estimate with what has been learned of how this model counts."""
    correction = model.token_correction
    return estimate.tokens if correction == 1 else math.ceil(estimate.tokens * correction)


class PromptEstimator:
    """Estimates the prompts of one run; a message or a tool that is sent again is not measured again.

    Unless it is `thorough`, long ASCII texts are taken at three characters a token: to read 100 KB takes some 4 % of
    a request's CPU, which is too much for a number that nothing is reserved by.
    """

    def __init__(self, shared: Measured, *, thorough: bool = True) -> None:
        self.thorough = thorough
        self._shared = shared
        self._own: dict[int, tuple[object, int]] = {}

    def estimate(
        self, messages: Iterable[Message], tools: Iterable[ToolSpec], response_format: dict[str, Any] | None
    ) -> PromptEstimate:
        """Return what the parts of a request's body that a model reads come to."""
        tokens, images = 0, 0
        for message in messages:
            if isinstance(message.content, list):
                images += sum(isinstance(part, ImagePart) for part in message.content)
            # Instructions are put into a new message for each run, and mostly are the agent's own text.
            tokens += self._tokens(message, message.content if message.role == "system" else message)
        for tool in tools:
            tokens += self._tokens(tool, tool)
        if response_format is not None:
            tokens += json_tokens(msgspec.json.encode(response_format))
        return PromptEstimate(tokens, images)

    def _tokens(self, part: Message | ToolSpec, known_by: object) -> int:
        known = self._own.get(id(known_by)) or self._shared.get(id(known_by))
        if known is not None and known[0] is known_by:
            return known[1]
        if isinstance(part, Message):
            tokens = _message_tokens(part, thorough=self.thorough)
        else:
            tokens = json_tokens(msgspec.json.encode(part))
        self._own[id(known_by)] = (known_by, tokens)
        return tokens


def _message_tokens(message: Message, *, thorough: bool) -> int:
    content = message.content
    if isinstance(content, list):
        parts: list[Part] = [part for part in content if not isinstance(part, ImagePart)]
        images = len(content) - len(parts)
        return json_tokens(msgspec.json.encode(replace(message, content=parts))) + images * IMAGE_TOKENS
    if content is None or len(content) <= LONG_TEXT:
        return json_tokens(msgspec.json.encode(message))
    rough = not thorough and content.isascii()
    text = -(-len(content) // CHARACTERS_PER_TOKEN) if rough else json_tokens(content.encode())
    return text + json_tokens(msgspec.json.encode(replace(message, content="")))
