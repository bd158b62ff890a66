"""Tokens of an answer whose provider did not count them, or that was cut off before it could."""

from collections.abc import Iterable

from agents.types import ImagePart, Message

BYTES_PER_TOKEN = 4
IMAGE_TOKENS = 765  # what a 1024 x 1024 image costs at OpenAI


def text_tokens(byte_count: int) -> int:
    """Return about how many tokens a text of so many UTF-8 bytes has."""
    return -(-byte_count // BYTES_PER_TOKEN)


def prompt_tokens(messages: Iterable[Message]) -> int:
    return sum(map(_message_tokens, messages))


def _message_tokens(message: Message) -> int:
    tokens = 4  # role and separators
    if isinstance(message.content, str):
        tokens += text_tokens(len(message.content.encode()))
    for part in message.content if isinstance(message.content, list) else ():
        tokens += IMAGE_TOKENS if isinstance(part, ImagePart) else text_tokens(len(part.text.encode()))
    for call in message.tool_calls or ():
        tokens += text_tokens(len(call.function.name) + len(call.function.arguments))
    return tokens
