"""What the server's estimate says of prompts, for tests that count with it."""

from collections.abc import Iterable

from agents.types import Message, ToolSpec
from agents.usage.estimates import PromptEstimator

# The instructions of the cast's `coder`, and the message of `asking.body`.
CODER_PROMPT = 28


def estimated(*messages: Message, tools: Iterable[ToolSpec] = ()) -> int:
    return PromptEstimator({}).estimate(messages, tools, None).tokens
